-- What becomes of leads: assignment, conversion, disqualification and return, reports.

-- ---- assignment ----

CREATE OR REPLACE FUNCTION crm.assign_lead(lead_id bigint, reassign boolean DEFAULT false, as_of timestamptz DEFAULT now())
RETURNS crm.assignments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN crm.route_record('leads', lead_id, reassign, as_of);
END
$$;
COMMENT ON FUNCTION crm.assign_lead(bigint, boolean, timestamptz) IS 'crm.route_record() for a lead.';

CREATE OR REPLACE FUNCTION crm.assign_waiting_leads(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('crm.assign_waiting_leads', 0)) THEN
        RETURN 0;
    END IF;
    SELECT count(*) FILTER (WHERE (crm_internal.route_record(w.tenant_id, 'leads', w.id, false, as_of)).user_id IS NOT NULL) INTO n
    FROM (SELECT l.tenant_id, l.id FROM crm.leads AS l
          WHERE l.closed_at IS NULL AND l.owner_id IS NULL
            AND EXISTS (SELECT FROM crm.assignment_rules AS r
                        WHERE r.tenant_id = l.tenant_id AND r.subject_table = 'leads' AND r.active)
          ORDER BY l.created_at DESC, l.id DESC
          LIMIT batch) AS w;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.assign_waiting_leads(timestamptz, integer) IS
'Tries again to give out open leads nobody owns, the newest first: an answer is worth most while the interest is fresh. For all tenants with an assignment rule for leads. Returns how many found an owner. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.assign_waiting_leads', 'owner');

-- ---- conversion ----

CREATE OR REPLACE FUNCTION crm_internal.lead_stage(tenant bigint, pipeline bigint, types text[])
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT s.id INTO found_id FROM crm.stages AS s
    WHERE s.tenant_id = tenant AND s.pipeline_id = pipeline AND s.active AND s.type = ANY (types)
    ORDER BY s.is_initial DESC, s.position LIMIT 1;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'the pipeline of the lead has no stage of type %', array_to_string(types, ' or ') USING ERRCODE = 'CR107';
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_stage(bigint, bigint, text[]) IS 'First active stage of some types.';

CREATE OR REPLACE FUNCTION crm_internal.lead_for_change(tenant bigint, lead bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    l crm.leads;
BEGIN
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = tenant AND x.id = lead FOR UPDATE;
    IF l.id IS NULL OR NOT crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids) THEN
        RAISE EXCEPTION 'lead % does not exist, or is not visible to you', lead USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT crm.can_change(l.owner_id, l.team_id) THEN
        RAISE EXCEPTION 'lead % may not be changed by you', lead USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_for_change(bigint, bigint) IS 'A lead, locked, if the current user may change it.';

-- security definer: a contact is recognised even where it is somebody else's
CREATE OR REPLACE FUNCTION crm.convert_lead(
    lead_id bigint, open_opportunity boolean DEFAULT false, opportunity jsonb DEFAULT '{}',
    account_id bigint DEFAULT NULL, contact_id bigint DEFAULT NULL)
RETURNS crm.lead_conversions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads;
    made crm.lead_conversions;
    deal crm.opportunities;
    wrong text;
    known record;
BEGIN
    -- a second call waits here, and then finds what the first one made
    l := crm_internal.lead_for_change(t, lead_id);
    SELECT c.* INTO made FROM crm.lead_conversions AS c WHERE c.tenant_id = t AND c.lead_id = lead_id;
    IF FOUND THEN
        RETURN made;
    END IF;
    IF l.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was merged', lead_id USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('Convert lead %s, which goes on in its place.', l.merged_into_id);
    END IF;
    IF l.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % is closed', lead_id USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Open it again with crm.recycle_lead() first.';
    END IF;
    SELECT string_agg(k.key, ', ' ORDER BY k.key) INTO wrong
    FROM jsonb_object_keys(coalesce(opportunity, '{}')) AS k (key)
    WHERE k.key NOT IN ('name', 'amount', 'currency', 'expected_close_date', 'product_id', 'pipeline_id', 'territory_id', 'tags', 'custom', 'owner_id', 'team_id');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'these cannot be said of the opportunity of a converted lead: %', wrong USING ERRCODE = 'undefined_column',
            HINT = 'Known are name, amount, currency, expected_close_date, product_id, pipeline_id, territory_id, tags, custom, owner_id and team_id.';
    END IF;
    -- two leads of one person or company make one contact and one account
    PERFORM crm_internal.lock_lead_keys(t, ARRAY['e' || l.email_key, 'p' || l.phone_key, 'c' || nullif(l.company_key, '')]);

    made.lead_id := l.id;
    IF contact_id IS NOT NULL THEN
        made.contact_id := contact_id;
        made.contact_matched_by := 'given';
        SELECT c.account_id INTO made.account_id FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = contact_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no contact %', contact_id USING ERRCODE = 'no_data_found';
        END IF;
    ELSE
        SELECT m.* INTO known FROM crm_internal.match_contact(t, l.email_key, l.phone_key) AS m;
        made.contact_id := known.contact_id;
        made.account_id := known.account_id;
        made.contact_matched_by := known.matched_by;
        -- nobody of that address: whom somebody linked the lead to
        IF made.contact_id IS NULL AND l.contact_id IS NOT NULL THEN
            made.contact_id := l.contact_id;
            made.contact_matched_by := 'given';
            SELECT c.account_id INTO made.account_id FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = l.contact_id;
        END IF;
    END IF;
    IF account_id IS NOT NULL THEN
        PERFORM FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = account_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no account %', account_id USING ERRCODE = 'no_data_found';
        END IF;
        made.account_id := account_id;
        made.account_matched_by := 'given';
    ELSIF made.account_id IS NOT NULL THEN
        made.account_matched_by := 'contact';
    ELSIF l.account_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM crm.accounts AS a WHERE a.tenant_id = t AND a.name_key = l.company_key AND l.company_key <> '')
    THEN
        made.account_id := l.account_id;
        made.account_matched_by := 'given';
    ELSIF l.company_key <> '' THEN
        SELECT a.id INTO made.account_id FROM crm.accounts AS a
        WHERE a.tenant_id = t AND a.name_key = l.company_key ORDER BY a.id LIMIT 1;
        IF FOUND THEN
            made.account_matched_by := 'name';
        ELSE
            INSERT INTO crm.accounts AS a (tenant_id, name, industry, website, country, city, employees, owner_id, team_id)
            VALUES (t, l.company, l.industry, l.website, l.country, l.city, l.employees, l.owner_id, l.team_id)
            RETURNING a.id INTO made.account_id;
        END IF;
    END IF;
    IF made.contact_id IS NULL THEN
        INSERT INTO crm.contacts AS c (tenant_id, name, account_id, title, language, preferences, tags, owner_id, team_id)
        VALUES (t, l.name, made.account_id, l.title, l.language,
                CASE WHEN l.consent = '{}' THEN '{}' ELSE jsonb_build_object('consent', l.consent) END, l.tags, l.owner_id, l.team_id)
        RETURNING c.id INTO made.contact_id;
    ELSE
        UPDATE crm.contacts AS c
        SET account_id = coalesce(c.account_id, made.account_id), title = coalesce(c.title, l.title), language = coalesce(c.language, l.language),
            tags = ARRAY(SELECT DISTINCT x FROM unnest(c.tags || l.tags) AS x ORDER BY x),
            preferences = CASE WHEN l.consent = '{}' THEN c.preferences
                               ELSE c.preferences || jsonb_build_object('consent', coalesce(c.preferences -> 'consent', '{}') || l.consent) END
        WHERE c.tenant_id = t AND c.id = made.contact_id;
    END IF;
    INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value, country, is_primary)
    SELECT t, made.contact_id, v.kind, v.value, l.country,
           NOT EXISTS (SELECT FROM crm.contact_points AS q WHERE q.tenant_id = t AND q.contact_id = made.contact_id AND q.kind = v.kind)
    FROM (VALUES ('email', l.email, l.email_key), ('mobile', l.phone, l.phone_key)) AS v (kind, value, value_key)
    WHERE v.value_key IS NOT NULL
      AND NOT EXISTS (SELECT FROM crm.contact_points AS q
                      WHERE q.tenant_id = t AND q.contact_id = made.contact_id AND q.value_key = v.value_key);

    IF open_opportunity THEN
        deal := jsonb_populate_record(NULL::crm.opportunities, opportunity);
        INSERT INTO crm.opportunities AS o (tenant_id, name, account_id, contact_id, product_id, pipeline_id, amount, currency,
            expected_close_date, lead_source, territory_id, tags, owner_id, team_id, custom)
        VALUES (t, coalesce(deal.name, nullif(concat_ws(': ', l.company, (SELECT r.name FROM crm.products AS r WHERE r.tenant_id = t AND r.id = l.product_id)), ''), l.name),
            made.account_id, made.contact_id, coalesce(deal.product_id, l.product_id), deal.pipeline_id, coalesce(deal.amount, l.amount),
            coalesce(deal.currency, l.currency, (SELECT x.base_currency FROM crm.tenants AS x WHERE x.tenant_id = t)),
            deal.expected_close_date, l.source, deal.territory_id, coalesce(deal.tags, l.tags), coalesce(deal.owner_id, l.owner_id, crm.user_id()),
            coalesce(deal.team_id, l.team_id), coalesce(deal.custom, '{}'))
        RETURNING o.id INTO made.opportunity_id;
    END IF;

    UPDATE crm.activities AS v
    SET contact_id = coalesce(v.contact_id, made.contact_id), account_id = coalesce(v.account_id, made.account_id)
    WHERE v.tenant_id = t AND v.related_table = 'leads' AND v.related_id = l.id
      AND (v.contact_id IS NULL OR v.account_id IS NULL AND made.account_id IS NOT NULL);
    GET DIAGNOSTICS made.activities_carried = ROW_COUNT;
    BEGIN
        IF EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = t AND m.active) THEN
            made.score := crm.lead_score(l.id);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        PERFORM crm_internal.lead_trouble(t, l.id, 'scoring', SQLSTATE, SQLERRM);
    END;

    UPDATE crm.leads AS x
    SET stage_id = crm_internal.lead_stage(t, l.pipeline_id, '{done,won}'), converted_at = now(),
        account_id = made.account_id, contact_id = made.contact_id, opportunity_id = made.opportunity_id
    WHERE x.tenant_id = t AND x.id = l.id;
    INSERT INTO crm.lead_conversions AS c (tenant_id, lead_id, contact_id, account_id, opportunity_id, contact_matched_by,
                                           account_matched_by, activities_carried, score)
    VALUES (t, l.id, made.contact_id, made.account_id, made.opportunity_id, made.contact_matched_by, made.account_matched_by,
            made.activities_carried, made.score)
    RETURNING c.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.convert_lead(bigint, boolean, jsonb, bigint, bigint) IS
'Makes a lead a contact and, where it has a company, an account, in one transaction; returns what it became. The contact is the one given, else one with the lead''s e-mail address, else one with its telephone number and no address, else the one the lead is linked to; the account the one given, else the contact''s, else one whose folded name is the company''s, else the one the lead is linked to. open_opportunity: opens an opportunity too, with what opportunity says ({name, amount, currency, expected_close_date, product_id, pipeline_id, territory_id, tags, custom, owner_id, team_id}) and else the lead''s product, amount, source and owner. Activities, consent, tags, addresses and score are carried; the lead stays, closed, with links. A second call, at the same time or later, returns what the first made. Errors: P0002 a lead, contact or account that is not there; 42501 a lead that may not be changed; 55000 a lead that is disqualified or merged; CR107 a pipeline without a stage done or won; errors of the guard of stages.';
SELECT crm.declare_function('crm.convert_lead', 'agent');

CREATE OR REPLACE FUNCTION crm.move_lead(lead_id bigint, stage text)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved crm.leads;
BEGIN
    UPDATE crm.leads AS l SET stage_id = s.id
    FROM crm.stages AS s
    WHERE l.tenant_id = crm.tenant_id() AND l.id = move_lead.lead_id
      AND s.tenant_id = l.tenant_id AND s.pipeline_id = l.pipeline_id AND s.code = move_lead.stage
    RETURNING l.* INTO moved;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM crm.leads AS l WHERE l.tenant_id = crm.tenant_id() AND l.id = move_lead.lead_id) THEN
            IF EXISTS (SELECT FROM crm.leads AS l JOIN crm.stages AS s ON s.tenant_id = l.tenant_id AND s.pipeline_id = l.pipeline_id
                       WHERE l.tenant_id = crm.tenant_id() AND l.id = move_lead.lead_id AND s.code = move_lead.stage) THEN
                RAISE EXCEPTION 'lead % may not be changed by you', lead_id USING ERRCODE = 'insufficient_privilege';
            END IF;
            RAISE EXCEPTION 'the pipeline of lead % has no stage "%"', lead_id, stage USING ERRCODE = 'CR107';
        END IF;
        RAISE EXCEPTION 'lead % does not exist, or is not visible to you', lead_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION crm.move_lead(bigint, text) IS
'Moves a lead to another stage of its pipeline and returns it. Errors: those of the guard of stages; P0002, 42501, CR107.';

CREATE OR REPLACE FUNCTION crm.disqualify_lead(lead_id bigint, reason text, note text DEFAULT NULL, recycle_at timestamptz DEFAULT NULL)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads := crm_internal.lead_for_change(t, lead_id);
BEGIN
    IF NOT EXISTS (SELECT FROM crm.disqualification_reasons AS r WHERE r.tenant_id = t AND r.code = reason) THEN
        RAISE EXCEPTION 'there is no reason "%" for disqualifying a lead', reason USING ERRCODE = 'foreign_key_violation',
            HINT = 'crm.disqualification_reasons lists them.';
    END IF;
    IF l.converted_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was converted', lead_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE crm.leads AS x
    SET stage_id = crm_internal.lead_stage(t, l.pipeline_id, '{cancelled,lost}'), disqualification_reason = reason,
        disqualification_note = note, recycle_at = disqualify_lead.recycle_at
    WHERE x.tenant_id = t AND x.id = l.id
    RETURNING x.* INTO l;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm.disqualify_lead(bigint, text, text, timestamptz) IS
'Closes a lead for a reason of crm.disqualification_reasons and returns it. recycle_at: when it comes back by itself; without it, after the time its reason says, if any. Errors: 23503 an unknown reason, CR102 a reason that asks for a note, 55000 a converted lead, P0002, 42501, CR107.';
SELECT crm.declare_function('crm.disqualify_lead', 'agent');

CREATE OR REPLACE FUNCTION crm.recycle_lead(lead_id bigint, stage text DEFAULT NULL)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads := crm_internal.lead_for_change(t, lead_id);
    target bigint;
BEGIN
    IF l.closed_at IS NULL OR l.converted_at IS NOT NULL OR l.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'lead % is not disqualified', lead_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF stage IS NULL THEN
        target := crm_internal.lead_stage(t, l.pipeline_id, '{open,on_hold}');
    ELSE
        SELECT s.id INTO target FROM crm.stages AS s
        WHERE s.tenant_id = t AND s.pipeline_id = l.pipeline_id AND s.code = stage AND s.type IN ('open', 'on_hold');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the pipeline of lead % has no open stage "%"', lead_id, stage USING ERRCODE = 'CR107';
        END IF;
    END IF;
    UPDATE crm.leads AS x SET stage_id = target WHERE x.tenant_id = t AND x.id = l.id RETURNING x.* INTO l;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm.recycle_lead(bigint, text) IS
'Takes a disqualified lead back to the beginning of its pipeline, or to the open stage given, and returns it; reason and note are cleared and the return is counted. Errors: 55000 a lead that is not disqualified, CR107 an unknown stage, P0002, 42501.';
SELECT crm.declare_function('crm.recycle_lead', 'agent');

CREATE OR REPLACE FUNCTION crm.recycle_due_leads(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT l.tenant_id, l.id, l.pipeline_id FROM crm.leads AS l
        WHERE l.recycle_at <= as_of AND l.merged_into_id IS NULL
        ORDER BY l.recycle_at LIMIT batch FOR UPDATE SKIP LOCKED)
    UPDATE crm.leads AS l SET stage_id = crm_internal.lead_stage(d.tenant_id, d.pipeline_id, '{open,on_hold}')
    FROM due AS d WHERE l.tenant_id = d.tenant_id AND l.id = d.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.recycle_due_leads(timestamptz, integer) IS
'Takes disqualified leads back whose time has come, for all tenants. Returns how many. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.recycle_due_leads', 'owner');

CREATE OR REPLACE FUNCTION crm.next_recycle_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT min(l.recycle_at) FROM crm.leads AS l WHERE l.recycle_at IS NOT NULL AND l.merged_into_id IS NULL $$;
COMMENT ON FUNCTION crm.next_recycle_at() IS 'When the next disqualified lead comes back by itself; NULL: none in sight.';
SELECT crm.declare_function('crm.next_recycle_at', 'owner');
