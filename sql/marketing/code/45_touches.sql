-- Touches: how they are written down, what follows from them for members of campaigns, and who tells of them by themselves.

-- ---- channels ----

CREATE OR REPLACE FUNCTION crm_internal.channel_of(tenant bigint, said text[], otherwise text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT c.code
        FROM unnest(said || otherwise || 'other'::text) WITH ORDINALITY AS s (word, place)
        JOIN crm.channels AS c ON c.tenant_id = tenant AND (c.code = lower(btrim(s.word)) OR lower(btrim(s.word)) = ANY (c.words))
        ORDER BY s.place, c.code <> lower(btrim(s.word)), c.code LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm_internal.channel_of(bigint, text[], text) IS
'Channel that the first of several words means which means any, else otherwise, else other; NULL: the company has removed that one too.';

-- ---- written ----

-- security definer: whose account a person is of, and whether the draw held them out, does not depend on what the writer sees
CREATE OR REPLACE FUNCTION crm_internal.fill_touch()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    base char(3);
    same_cost boolean := TG_OP = 'UPDATE';
BEGIN
    IF NEW.lead_id IS NOT NULL AND (NEW.contact_id IS NULL OR NEW.account_id IS NULL) THEN
        SELECT coalesce(NEW.contact_id, l.contact_id), coalesce(NEW.account_id, l.account_id) INTO NEW.contact_id, NEW.account_id
        FROM crm.leads AS l WHERE l.tenant_id = NEW.tenant_id AND l.id = NEW.lead_id;
    END IF;
    IF NEW.contact_id IS NOT NULL AND NEW.account_id IS NULL THEN
        NEW.account_id := (SELECT k.account_id FROM crm.contacts AS k WHERE k.tenant_id = NEW.tenant_id AND k.id = NEW.contact_id);
    END IF;
    IF NEW.cost IS NOT NULL THEN
        base := (SELECT t.base_currency FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id);
        IF TG_OP = 'UPDATE' THEN
            same_cost := NEW.cost IS NOT DISTINCT FROM OLD.cost AND NEW.currency IS NOT DISTINCT FROM OLD.currency AND NEW.touched_at = OLD.touched_at;
        END IF;
        NEW.base_cost := crm_internal.base_worth(NEW.tenant_id, NEW.cost, NEW.currency, base, crm.local_day(NEW.tenant_id, NEW.touched_at),
            CASE WHEN same_cost THEN OLD.base_cost END, CASE WHEN TG_OP = 'UPDATE' THEN OLD.base_currency END);
        NEW.base_currency := base;
    ELSE
        NEW.base_cost := NULL;
        NEW.base_currency := NULL;
    END IF;
    IF TG_OP = 'INSERT' AND NEW.campaign_id IS NOT NULL THEN
        -- of deliveries and answers we only hear: they are recorded, and reports count them
        IF NEW.kind IN ('sent', 'impression') AND crm_internal.holds_out(NEW.tenant_id, NEW.campaign_id, NEW.lead_id, NEW.contact_id, NEW.account_id) THEN
            RAISE EXCEPTION 'somebody whom campaign % holds out cannot be contacted for it', crm_internal.campaign_title(NEW.tenant_id, NEW.campaign_id)
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Ask crm.is_held_out() before you send. Who is held out is left alone, so that the effect can be measured.';
        END IF;
        IF NEW.variant_id IS NULL THEN
            NEW.variant_id := (crm_internal.member_of(NEW.tenant_id, NEW.campaign_id, NEW.lead_id, NEW.contact_id, NEW.account_id)).variant_id;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_touch() IS
'Row trigger of touches: contact and account that nobody gave, the variant of the member, and the cost in the base currency at the rate of the day. Errors: '
'55000 something sent or shown to somebody who is held out, CR203.';
CREATE OR REPLACE TRIGGER touches_before_insert_fill BEFORE INSERT ON crm.touches FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_touch();
CREATE OR REPLACE TRIGGER touches_before_update_fill BEFORE UPDATE OF lead_id, contact_id, account_id, cost, currency, base_cost, base_currency, touched_at
    ON crm.touches FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_touch();

-- ---- answers ----

CREATE OR REPLACE FUNCTION crm_internal.score_answer(h crm.touches, c crm.campaigns)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.score_events (tenant_id, lead_id, kind, object, occurred_at, attributes)
    VALUES (h.tenant_id, h.lead_id, 'campaign_' || h.kind, coalesce(c.code, c.name), least(h.touched_at, now()),
            jsonb_strip_nulls(jsonb_build_object('campaign', c.name, 'objective', c.objective, 'channel', h.channel, 'object', h.object)))
$$;
COMMENT ON FUNCTION crm_internal.score_answer(crm.touches, crm.campaigns) IS
'That a lead answered a campaign is an event rules may score: kind campaign_click, campaign_reply and so on, its object the code of the campaign.';

CREATE OR REPLACE FUNCTION crm_internal.hand_over_answer(h crm.touches, c crm.campaigns)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    l crm.leads;
    owner bigint;
    person text;
BEGIN
    IF c.hand_over = 'none' THEN
        RETURN false;
    END IF;
    IF h.lead_id IS NOT NULL THEN
        SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = h.tenant_id AND x.id = h.lead_id;
        IF c.hand_over = 'route' AND l.closed_at IS NULL AND (l.owner_id IS NULL OR crm_internal.left_us(h.tenant_id, l.owner_id)) THEN
            PERFORM crm_internal.serve_before(h.tenant_id, 'leads', l.id, now());
            RETURN (crm_internal.route_record(h.tenant_id, 'leads', l.id, false, now())).user_id IS NOT NULL;
        END IF;
    END IF;
    SELECT coalesce(l.owner_id, k.owner_id, a.owner_id), coalesce(l.name, k.name, a.name) INTO owner, person
    FROM (VALUES (h.tenant_id)) AS t (id)
    LEFT JOIN crm.contacts AS k ON k.tenant_id = t.id AND k.id = h.contact_id
    LEFT JOIN crm.accounts AS a ON a.tenant_id = t.id AND a.id = h.account_id;
    IF owner IS NULL OR crm_internal.left_us(h.tenant_id, owner) THEN
        RETURN false;
    END IF;
    INSERT INTO crm.activities (tenant_id, kind, subject, related_table, related_id, contact_id, account_id, due_at, owner_id)
    VALUES (h.tenant_id, 'task', format(crm_internal.texts_of(h.tenant_id, 'seeds') #>> '{campaign_texts,answer,task}', person, c.name),
            CASE WHEN h.lead_id IS NOT NULL THEN 'leads' END, h.lead_id, h.contact_id, h.account_id, h.touched_at + interval '1 day', owner);
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm_internal.hand_over_answer(crm.touches, crm.campaigns) IS
'Hands somebody who answered a campaign to sales: a lead without an owner is given out by the rules of assignment, whoever has an owner gets them a task for '
'the next day. Whether it came to somebody.';

CREATE OR REPLACE FUNCTION crm_internal.follow_touch()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.campaigns;
    m crm.campaign_members;
    first_answer boolean;
    captured CONSTANT boolean := NEW.source_system IS NOT DISTINCT FROM 'crm.lead_captures';
BEGIN
    SELECT x.* INTO c FROM crm.campaigns AS x WHERE x.tenant_id = NEW.tenant_id AND x.id = NEW.campaign_id;
    m := crm_internal.member_of(NEW.tenant_id, c.id, NEW.lead_id, NEW.contact_id, NEW.account_id);
    IF m.id IS NULL THEN
        IF NOT NEW.engaging THEN
            RETURN NULL;
        END IF;
        m := crm_internal.enrol(NEW.tenant_id, c.id, NEW.lead_id, NEW.contact_id, NEW.account_id, 'response', NEW.touched_at, NEW.variant_id);
    END IF;
    first_answer := NEW.engaging AND m.responded_at IS NULL AND NOT m.held_out AND m.status NOT IN ('removed', 'handed_over', 'converted');
    m := crm_internal.advance_member(m, CASE WHEN NEW.engaging THEN 'responded' WHEN NEW.kind IN ('complaint', 'unsubscribe') THEN 'declined'
                                             WHEN NEW.kind = 'bounce' THEN m.status ELSE 'reached' END, NEW.touched_at, 'touch.' || NEW.kind);
    -- a capture is scored and given out as such
    IF NEW.engaging AND NOT captured THEN
        BEGIN
            IF NEW.lead_id IS NOT NULL THEN
                PERFORM crm_internal.score_answer(NEW, c);
            END IF;
            IF first_answer AND NEW.touched_at > now() - interval '30 days' AND crm_internal.hand_over_answer(NEW, c) THEN
                PERFORM crm_internal.advance_member(m, 'handed_over', greatest(NEW.touched_at, now()), 'hand_over');
            END IF;
        EXCEPTION WHEN OTHERS THEN
            -- the touch happened, whatever fails beside it
            IF NEW.lead_id IS NULL THEN
                RAISE WARNING 'touch %: handing over failed: %', NEW.id, SQLERRM;
            ELSE
                PERFORM crm_internal.lead_trouble(NEW.tenant_id, NEW.lead_id, 'campaign', SQLSTATE, SQLERRM);
            END IF;
        END;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_touch() IS
'Row trigger of touches with a campaign: brings the member to reached, responded or declined; who answers and is no member becomes one. An answer of a lead is '
'scored, and the first answer handed to sales, unless it is older than 30 days.';
CREATE OR REPLACE TRIGGER touches_after_insert_follow AFTER INSERT ON crm.touches
    FOR EACH ROW WHEN (NEW.campaign_id IS NOT NULL) EXECUTE FUNCTION crm_internal.follow_touch();

-- ---- told ----

CREATE OR REPLACE FUNCTION crm.record_touch(kind text, channel text, subject_table text, subject_id bigint, campaign_id bigint DEFAULT NULL,
    touched_at timestamptz DEFAULT now(), object text DEFAULT NULL, cost numeric DEFAULT NULL, currency text DEFAULT NULL,
    source_system text DEFAULT NULL, source_id text DEFAULT NULL)
RETURNS crm.touches
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    key CONSTANT text := crm_internal.short_key(record_touch.source_id);
    who record;
    made crm.touches;
BEGIN
    PERFORM crm.because('record_touch');
    SELECT * INTO who FROM crm_internal.who_it_is(t, record_touch.subject_table, record_touch.subject_id, 'change');
    IF record_touch.campaign_id IS NOT NULL THEN
        PERFORM crm_internal.require_campaign(record_touch.campaign_id);
    END IF;
    IF record_touch.touched_at IS NULL OR record_touch.touched_at > now() + interval '1 day' THEN
        RAISE EXCEPTION 'a touch has happened, at some time, and not in days to come' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Record it when it has happened.';
    END IF;
    IF num_nulls(record_touch.source_system, key) = 1 OR record_touch.source_system LIKE 'crm.%' THEN
        RAISE EXCEPTION 'source_system and source_id of a touch are given together, and do not begin with "crm."'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example the name of the provider, and its number of the event.';
    END IF;
    INSERT INTO crm.touches AS h (tenant_id, kind, channel, campaign_id, lead_id, contact_id, account_id, touched_at, object, cost, currency, source_system,
        source_id)
    VALUES (t, record_touch.kind, record_touch.channel, record_touch.campaign_id, who.lead_id, who.contact_id, who.account_id, record_touch.touched_at,
            record_touch.object, record_touch.cost, upper(record_touch.currency), record_touch.source_system, key)
    ON CONFLICT ON CONSTRAINT touches_source_key DO NOTHING RETURNING h.* INTO made;
    IF made.id IS NULL THEN
        SELECT h.* INTO made FROM crm.touches AS h WHERE h.tenant_id = t AND h.source_system = record_touch.source_system AND h.source_id = key;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.record_touch(text, text, text, bigint, bigint, timestamptz, text, numeric, text, text, text) IS
'Writes down a contact of a lead, contact or account with a channel or campaign, and returns it. kind and channel: see crm.touches and crm.channels; object: '
'what it was about; cost: what this one cost. With the same source_system and source_id again it returns the touch that is there, and changes nothing. With a '
'campaign the member is brought on, an answer scored and handed over. Errors: P0002 no such person or campaign, 42501, 22023, 23503 an unknown channel or '
'currency, 23514 an unknown kind, 55000 something sent to somebody who is held out, CR203 no rate for the cost.';
SELECT crm.declare_function('crm.record_touch', 'agent');
SELECT crm.declare_api('crm.record_touch', '{"kind": "click", "channel": "email", "subject_table": "contacts", "subject_id": 1, "campaign_id": 1,
    "object": "https://example.com/offer", "source_system": "mailer", "source_id": "evt-1"}');

CREATE OR REPLACE FUNCTION crm_internal.touch_of_capture()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    channel CONSTANT text := crm_internal.channel_of(NEW.tenant_id, ARRAY[NEW.medium, NEW.source],
        CASE NEW.channel WHEN 'form' THEN 'web' WHEN 'mail' THEN 'email' WHEN 'api' THEN 'other' WHEN 'import' THEN 'other' ELSE NEW.channel END);
BEGIN
    IF channel IS NOT NULL THEN
        INSERT INTO crm.touches (tenant_id, kind, channel, campaign_id, lead_id, touched_at, object, source_system, source_id)
        VALUES (NEW.tenant_id, CASE NEW.channel WHEN 'phone' THEN 'call' WHEN 'mail' THEN 'message' WHEN 'chat' THEN 'message' WHEN 'event' THEN 'event'
                                                ELSE 'form' END,
                channel, NEW.campaign_id, NEW.lead_id, NEW.captured_at, left(coalesce(NEW.payload ->> 'form', NEW.payload ->> 'url'), 1000),
                'crm.lead_captures', NEW.id::text)
        ON CONFLICT ON CONSTRAINT touches_source_key DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.touch_of_capture() IS
'Row trigger of lead_captures: somebody who comes in has met a channel: that of the medium, else of the source, else of the way they came.';
CREATE OR REPLACE TRIGGER lead_captures_after_insert_touch AFTER INSERT ON crm.lead_captures
    FOR EACH ROW EXECUTE FUNCTION crm_internal.touch_of_capture();

CREATE OR REPLACE FUNCTION crm_internal.touch_of_activity()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    v crm.activities;
    at timestamptz;
    channel text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM crm.touches AS h WHERE h.tenant_id = OLD.tenant_id AND h.source_system = 'crm.activities' AND h.source_id = OLD.id::text;
        RETURN NULL;
    END IF;
    v := NEW;
    at := coalesce(v.done_at, CASE WHEN v.kind IN ('mail', 'message') THEN v.created_at END);
    channel := crm_internal.channel_of(v.tenant_id, '{}',
        CASE v.kind WHEN 'call' THEN 'phone' WHEN 'mail' THEN 'email' WHEN 'message' THEN 'chat' ELSE 'meeting' END);
    IF at IS NULL OR channel IS NULL OR v.kind IN ('task', 'note') OR v.direction IS DISTINCT FROM 'in' AND v.related_table IS DISTINCT FROM 'campaigns'
       OR v.account_id IS NULL AND v.contact_id IS NULL AND v.related_table IS DISTINCT FROM 'leads' THEN
        DELETE FROM crm.touches AS h WHERE h.tenant_id = v.tenant_id AND h.source_system = 'crm.activities' AND h.source_id = v.id::text;
        RETURN NULL;
    END IF;
    INSERT INTO crm.touches AS h (tenant_id, kind, channel, campaign_id, lead_id, contact_id, account_id, touched_at, source_system, source_id)
    VALUES (v.tenant_id, CASE WHEN v.kind IN ('mail', 'message') THEN CASE WHEN v.direction = 'in' THEN 'message' ELSE 'sent' END
                              WHEN v.kind = 'call' THEN 'call' ELSE 'meeting' END,
            channel, CASE WHEN v.related_table = 'campaigns' THEN v.related_id END, CASE WHEN v.related_table = 'leads' THEN v.related_id END,
            v.contact_id, v.account_id, at, 'crm.activities', v.id::text)
    ON CONFLICT ON CONSTRAINT touches_source_key DO UPDATE
    SET kind = excluded.kind, channel = excluded.channel, campaign_id = excluded.campaign_id, lead_id = excluded.lead_id, contact_id = excluded.contact_id,
        account_id = excluded.account_id, touched_at = excluded.touched_at;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.touch_of_activity() IS
'Row trigger of activities: what is done and came from the customer, or is about a campaign, is a touch, which follows the activity. What sales does of itself '
'is none.';
CREATE OR REPLACE TRIGGER activities_after_insert_touch AFTER INSERT ON crm.activities FOR EACH ROW
    WHEN (NEW.direction = 'in' OR NEW.related_table = 'campaigns') EXECUTE FUNCTION crm_internal.touch_of_activity();
CREATE OR REPLACE TRIGGER activities_after_update_touch AFTER UPDATE ON crm.activities FOR EACH ROW
    WHEN ((NEW.direction = 'in' OR NEW.related_table = 'campaigns' OR OLD.direction = 'in' OR OLD.related_table = 'campaigns')
          AND (NEW.kind <> OLD.kind OR NEW.direction IS DISTINCT FROM OLD.direction OR NEW.done_at IS DISTINCT FROM OLD.done_at
               OR NEW.account_id IS DISTINCT FROM OLD.account_id OR NEW.contact_id IS DISTINCT FROM OLD.contact_id
               OR NEW.related_table IS DISTINCT FROM OLD.related_table OR NEW.related_id IS DISTINCT FROM OLD.related_id))
    EXECUTE FUNCTION crm_internal.touch_of_activity();
CREATE OR REPLACE TRIGGER activities_after_delete_touch AFTER DELETE ON crm.activities FOR EACH ROW
    WHEN (OLD.direction = 'in' OR OLD.related_table = 'campaigns') EXECUTE FUNCTION crm_internal.touch_of_activity();
