-- Campaigns: what may be changed of them and when, what they cost in the company's own money, and which campaign a name means.

CREATE OR REPLACE FUNCTION crm.seed_channels(tenant_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.channels (tenant_id, code, name, words, direct)
    SELECT seed_channels.tenant_id, c.key, c.value, ARRAY(SELECT jsonb_array_elements_text(t.words #> ARRAY['channel_words', c.key, 'words'])), c.key = 'direct'
    FROM crm_internal.texts_of(seed_channels.tenant_id, 'seeds') AS t (words), jsonb_each_text(t.words -> 'channels') AS c
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION crm.seed_channels(bigint) IS 'Gives a new company the usual channels, in its language.';
SELECT crm.declare_function('crm.seed_channels', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_channels(bigint)');

-- ---- what may be changed, and when ----

CREATE OR REPLACE FUNCTION crm_internal.check_campaign_channels(tenant bigint, channels text[])
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(coalesce('"' || c || '"', 'NULL'), ', ') INTO wrong FROM unnest(channels) AS c
    WHERE NOT EXISTS (SELECT FROM crm.channels AS x WHERE x.tenant_id = tenant AND x.code = c AND x.active);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'there is no channel %', wrong USING ERRCODE = 'foreign_key_violation', COLUMN = 'channels',
            HINT = (SELECT coalesce('Known are ' || string_agg(x.code, ', ' ORDER BY x.code) || '.', 'Make a row of crm.channels first.')
                    FROM crm.channels AS x WHERE x.tenant_id = tenant AND x.active);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_campaign_channels(bigint, text[]) IS 'Error 23503 where a list names a channel that is not there or no longer used.';

CREATE OR REPLACE FUNCTION crm_internal.check_campaign_change(was crm.campaigns, now_is crm.campaigns)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF now_is.seed IS DISTINCT FROM was.seed THEN
        RAISE EXCEPTION 'the seed of campaign "%" cannot be changed', was.name USING ERRCODE = 'object_not_in_prerequisite_state', COLUMN = 'seed',
            HINT = 'Its draws could no longer be checked. A new campaign has a new seed.';
    END IF;
    IF now_is.hold_out_share <> was.hold_out_share AND EXISTS (
        SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = was.tenant_id AND m.campaign_id = was.id) THEN
        RAISE EXCEPTION 'the hold-out share of campaign "%" cannot be changed: it has members', was.name
            USING ERRCODE = 'object_not_in_prerequisite_state', COLUMN = 'hold_out_share', HINT = 'Their hold-out has been drawn. Make a new campaign.';
    END IF;
    IF now_is.status <> was.status AND NOT (CASE was.status
            WHEN 'planned' THEN now_is.status IN ('running', 'cancelled')
            WHEN 'running' THEN now_is.status IN ('paused', 'finished', 'cancelled')
            WHEN 'paused' THEN now_is.status IN ('running', 'finished', 'cancelled')
            ELSE false END) THEN
        RAISE EXCEPTION 'campaign "%" is %, and cannot become %', was.name, was.status, now_is.status
            USING ERRCODE = 'object_not_in_prerequisite_state', COLUMN = 'status',
                  HINT = CASE was.status WHEN 'planned' THEN 'From planned it becomes running or cancelled.'
                                         WHEN 'running' THEN 'From running it becomes paused, finished or cancelled.'
                                         WHEN 'paused' THEN 'From paused it becomes running, finished or cancelled.'
                                         ELSE 'Its figures are final. Make a new campaign.' END;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_campaign_change(crm.campaigns, crm.campaigns) IS
'Errors 55000 of changes that would make what was measured say something else: of the seed, of the hold-out share once there are members, of a status that '
'does not follow.';

CREATE OR REPLACE FUNCTION crm_internal.check_campaign()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: whether there are members does not depend on whom the writer sees
    IF TG_OP = 'INSERT' THEN
        NEW.seed := coalesce(NEW.seed, ('x' || left(md5(gen_random_uuid()::text), 15))::bit(60)::bigint);
        NEW.begins_on := coalesce(NEW.begins_on, crm.local_day(NEW.tenant_id, now()));
        PERFORM crm_internal.check_campaign_channels(NEW.tenant_id, NEW.channels);
        -- one that is brought along from elsewhere, and ran there
        IF NEW.status NOT IN ('planned', 'cancelled') THEN
            NEW.started_at := coalesce(NEW.started_at, least(now(), NEW.begins_on::timestamp AT TIME ZONE
                (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id)));
        END IF;
    ELSE
        PERFORM crm_internal.check_campaign_change(OLD, NEW);
        IF NEW.channels <> OLD.channels THEN
            PERFORM crm_internal.check_campaign_channels(NEW.tenant_id, NEW.channels);
        END IF;
        IF NEW.status = 'running' THEN
            NEW.started_at := coalesce(NEW.started_at, now());
        END IF;
    END IF;
    IF NEW.status IN ('finished', 'cancelled') THEN
        NEW.finished_at := coalesce(NEW.finished_at, greatest(now(), NEW.started_at));
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_campaign() IS
'Row trigger of campaigns: draws the seed, keeps the first day and the instants of status, and refuses unknown channels and what '
'crm_internal.check_campaign_change() names.';
CREATE OR REPLACE TRIGGER campaigns_before_check BEFORE INSERT OR UPDATE ON crm.campaigns
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_campaign();

CREATE OR REPLACE FUNCTION crm_internal.check_campaign_variant()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = OLD.tenant_id AND m.campaign_id = OLD.campaign_id) THEN
        RAISE EXCEPTION 'variant "%" cannot be changed so: its campaign has members', OLD.code
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Weights and control are fixed with the first member, since the test of significance rests on them. '
                         'Set active to false, or make a new campaign.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_campaign_variant() IS
'Row trigger of campaign_variants: campaign, weight and control are fixed once somebody may have drawn a variant. Error 55000.';
CREATE OR REPLACE TRIGGER campaign_variants_before_check BEFORE UPDATE ON crm.campaign_variants FOR EACH ROW
    WHEN (NEW.weight <> OLD.weight OR NEW.is_control <> OLD.is_control OR NEW.campaign_id <> OLD.campaign_id OR NEW.tenant_id <> OLD.tenant_id)
    EXECUTE FUNCTION crm_internal.check_campaign_variant();

CREATE OR REPLACE FUNCTION crm_internal.check_campaign_audience()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments;
BEGIN
    SELECT x.* INTO s FROM crm.segments AS x WHERE x.tenant_id = NEW.tenant_id AND x.id = NEW.segment_id;
    IF s.subject_table <> ALL ('{leads,contacts,accounts}'::text[]) THEN
        RAISE EXCEPTION 'segment "%" is one of %, who cannot be the audience of a campaign', s.name, s.subject_table
            USING ERRCODE = 'invalid_parameter_value', COLUMN = 'segment_id', HINT = 'Take a segment of leads, contacts or accounts.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_campaign_audience() IS 'Row trigger of campaign_audiences: the segment is one of people or accounts. Error 22023.';
CREATE OR REPLACE TRIGGER campaign_audiences_before_check BEFORE INSERT OR UPDATE ON crm.campaign_audiences
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_campaign_audience();

-- ---- money ----

CREATE OR REPLACE FUNCTION crm_internal.fill_campaign_cost()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    base CONSTANT char(3) := (SELECT t.base_currency FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id);
BEGIN
    NEW.base_amount := crm_internal.base_worth(NEW.tenant_id, NEW.amount, NEW.currency, base, NEW.spent_on,
        CASE WHEN TG_OP = 'UPDATE' AND NOT (NEW.currency IS DISTINCT FROM OLD.currency OR NEW.amount IS DISTINCT FROM OLD.amount
                                            OR NEW.spent_on IS DISTINCT FROM OLD.spent_on) THEN OLD.base_amount END,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.base_currency END);
    NEW.base_currency := base;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_campaign_cost() IS
'Row trigger of campaign_costs: the amount in the tenant''s base currency at the rate of the day. Error CR203.';

-- As orders do (crm_internal.fill_order): what is stored goes by way of the old base currency where the pair itself has no rate.
CREATE OR REPLACE FUNCTION crm_internal.base_worth(tenant bigint, amount numeric, currency char(3), base char(3), on_day date, was numeric, was_in char(3))
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF amount IS NULL OR currency = base THEN
        RETURN amount;
    END IF;
    IF was IS NOT NULL AND was_in <> base AND crm.exchange_rate_on(tenant, currency, base, on_day) IS NULL THEN
        RETURN was * crm.exchange_rate_on(tenant, was_in, base, on_day);
    END IF;
    RETURN crm.convert_currency(amount, currency, base, 'at_event_date', on_day, tenant_id => tenant);
END
$$;
COMMENT ON FUNCTION crm_internal.base_worth(bigint, numeric, char, char, date, numeric, char) IS
'An amount in the base currency of a tenant at the rate of a day; where the base currency was changed and the pair has no rate, what it was worth before goes '
'over. Error CR203 where there is no rate.';
CREATE OR REPLACE TRIGGER campaign_costs_before_fill
    BEFORE INSERT OR UPDATE OF spent_on, currency, amount, base_amount, base_currency ON crm.campaign_costs
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_campaign_cost();

CREATE OR REPLACE FUNCTION crm_internal.resettle_campaigns(was crm.tenants, now_is crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF was.base_currency = now_is.base_currency THEN
        RETURN;
    END IF;
    -- whoever is writing costs with the old currency ends first
    LOCK TABLE crm.campaign_costs, crm.touches IN SHARE ROW EXCLUSIVE MODE;
    PERFORM crm_internal.require_rates(now_is.tenant_id, now_is.base_currency,
        (SELECT jsonb_object_agg(x.currency, x.since) FROM (
            SELECT c.currency, min(c.on_day) AS since
            FROM (SELECT k.currency, k.spent_on FROM crm.campaign_costs AS k WHERE k.tenant_id = now_is.tenant_id
                  UNION SELECT h.currency, crm.local_day(h.tenant_id, h.touched_at) FROM crm.touches AS h
                  WHERE h.tenant_id = now_is.tenant_id AND h.cost IS NOT NULL) AS c (currency, on_day)
            WHERE c.currency <> now_is.base_currency
              AND crm.exchange_rate_on(now_is.tenant_id, c.currency, now_is.base_currency, c.on_day) IS NULL
              AND crm.exchange_rate_on(now_is.tenant_id, was.base_currency, now_is.base_currency, c.on_day) IS NULL
            GROUP BY c.currency) AS x));
    UPDATE crm.campaign_costs AS k SET base_currency = now_is.base_currency WHERE k.tenant_id = now_is.tenant_id;
    UPDATE crm.touches AS h SET base_currency = now_is.base_currency WHERE h.tenant_id = now_is.tenant_id AND h.cost IS NOT NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.resettle_campaigns(crm.tenants, crm.tenants) IS
'What campaigns and touches cost when a tenant changes its base currency: the worth follows. Error CR203 where rates are missing.';
SELECT crm.declare_hook('tenant_resettled', 'crm_internal.resettle_campaigns(crm.tenants, crm.tenants)');

-- ---- which campaign a name means ----

CREATE OR REPLACE FUNCTION crm_internal.campaign_named(tenant bigint, said text)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found bigint;
BEGIN
    SELECT c.id INTO found FROM crm.campaigns AS c WHERE c.tenant_id = tenant AND lower(c.code) = lower(btrim(said));
    IF found IS NULL THEN
        SELECT min(c.id) INTO found FROM crm.campaigns AS c
        WHERE c.tenant_id = tenant AND c.name_key = crm.name_key(said) AND c.name_key <> ''
        -- two that are called alike but for their letters: nobody knows which is meant
        HAVING count(*) = 1;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.campaign_named(bigint, text) IS
'The campaign that a link or a form names: by its code, whatever the case of the letters, else by its folded name where only one has it; NULL: none.';

-- for every writer: a form, an import, an ORM
CREATE OR REPLACE FUNCTION crm_internal.link_campaign()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.campaign_id IS NOT DISTINCT FROM OLD.campaign_id AND NEW.campaign IS DISTINCT FROM OLD.campaign THEN
        NEW.campaign_id := NULL;
    END IF;
    IF NEW.campaign_id IS NULL THEN
        NEW.campaign_id := crm_internal.campaign_named(NEW.tenant_id, NEW.campaign);
    ELSIF NEW.campaign IS NULL OR TG_OP = 'UPDATE' AND NEW.campaign_id IS DISTINCT FROM OLD.campaign_id
                                  AND NEW.campaign IS NOT DISTINCT FROM OLD.campaign THEN
        NEW.campaign := (SELECT c.name FROM crm.campaigns AS c WHERE c.tenant_id = NEW.tenant_id AND c.id = NEW.campaign_id);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.link_campaign() IS
'Row trigger of leads and captures: campaign_id is that of the campaign that is named, and the name that of the campaign where only the id is given.';
CREATE OR REPLACE TRIGGER leads_before_insert_campaign BEFORE INSERT ON crm.leads
    FOR EACH ROW WHEN (NEW.campaign IS NOT NULL OR NEW.campaign_id IS NOT NULL) EXECUTE FUNCTION crm_internal.link_campaign();
CREATE OR REPLACE TRIGGER leads_before_update_campaign BEFORE UPDATE ON crm.leads
    FOR EACH ROW WHEN (NEW.campaign IS DISTINCT FROM OLD.campaign OR NEW.campaign_id IS DISTINCT FROM OLD.campaign_id)
    EXECUTE FUNCTION crm_internal.link_campaign();
CREATE OR REPLACE TRIGGER lead_captures_before_campaign BEFORE INSERT ON crm.lead_captures
    FOR EACH ROW WHEN (NEW.campaign IS NOT NULL OR NEW.campaign_id IS NOT NULL) EXECUTE FUNCTION crm_internal.link_campaign();

CREATE OR REPLACE FUNCTION crm.link_leads(campaign_id bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    n bigint;
BEGIN
    PERFORM crm_internal.require_campaign(link_leads.campaign_id);
    UPDATE crm.lead_captures AS k SET campaign_id = link_leads.campaign_id
    WHERE k.tenant_id = t AND k.campaign_id IS NULL AND k.campaign IS NOT NULL AND crm_internal.campaign_named(t, k.campaign) = link_leads.campaign_id;
    UPDATE crm.touches AS h SET campaign_id = k.campaign_id FROM crm.lead_captures AS k
    WHERE h.tenant_id = t AND h.source_system = 'crm.lead_captures' AND h.source_id = k.id::text AND h.campaign_id IS NULL
      AND k.tenant_id = t AND k.campaign_id = link_leads.campaign_id;
    UPDATE crm.leads AS l SET campaign_id = link_leads.campaign_id
    WHERE l.tenant_id = t AND l.campaign_id IS NULL AND l.campaign IS NOT NULL AND crm_internal.campaign_named(t, l.campaign) = link_leads.campaign_id;
    GET DIAGNOSTICS n = ROW_COUNT;
    UPDATE crm.opportunities AS o SET campaign_id = link_leads.campaign_id
    FROM crm.leads AS l
    WHERE o.tenant_id = t AND o.campaign_id IS NULL AND l.tenant_id = t AND l.opportunity_id = o.id AND l.campaign_id = link_leads.campaign_id;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.link_leads(bigint) IS
'For a campaign that was made after its first leads had come: links the leads, captures, touches and deals that name it and have no campaign yet. Returns how '
'many leads. Error P0002.';
SELECT crm.declare_function('crm.link_leads', 'manager');

CREATE OR REPLACE FUNCTION crm_internal.require_campaign(campaign_id bigint)
RETURNS crm.campaigns
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.campaigns;
BEGIN
    SELECT x.* INTO c FROM crm.campaigns AS x WHERE x.tenant_id = crm.tenant_id() AND x.id = require_campaign.campaign_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no campaign %', coalesce(campaign_id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = 'crm.campaigns lists them by code and name.';
    END IF;
    RETURN c;
END
$$;
COMMENT ON FUNCTION crm_internal.require_campaign(bigint) IS 'A campaign of the tenant. Error P0002.';

CREATE OR REPLACE FUNCTION crm.campaign_tree(campaign_id bigint DEFAULT NULL)
RETURNS TABLE (campaign_id bigint, root_id bigint, depth integer, path text)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE below AS (
        SELECT c.id, c.id AS root, 0 AS depth, c.name AS path FROM crm.campaigns AS c
        WHERE c.tenant_id = crm.tenant_id() AND (c.id = campaign_tree.campaign_id OR campaign_tree.campaign_id IS NULL)
        UNION ALL
        SELECT c.id, b.root, b.depth + 1, b.path || ' > ' || c.name
        FROM below AS b JOIN crm.campaigns AS c ON c.tenant_id = crm.tenant_id() AND c.parent_id = b.id
    )
    SELECT b.id, b.root, b.depth, b.path FROM below AS b
$$;
COMMENT ON FUNCTION crm.campaign_tree(bigint) IS
'A campaign and all that is below it, with depth and path from it; NULL: so for every campaign (root_id says from which one).';
