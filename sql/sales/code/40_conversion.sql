-- Conversion: a lead becomes a contact and, where it has a company, an account; an opportunity is opened on request.
--
-- What is made takes the lead's columns of the same names, and its custom fields where they are declared for the other table
-- too; crm.column_rules has the exceptions. A contact that is there already is filled up. An account that is there is left
-- alone: it is better known than what a lead says of it, and whoever changes an account holds up all its leads.

CREATE OR REPLACE FUNCTION crm_internal.converted_lead(l crm.leads, becomes text)
RETURNS crm.leads
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF l.custom <> '{}' THEN
        l.custom := crm_internal.carried_fields(l.tenant_id, l.custom, 'leads', becomes);
    END IF;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.converted_lead(crm.leads, text) IS 'A lead with those custom fields alone that another table has as well.';

CREATE OR REPLACE FUNCTION crm_internal.conversion_contact(l crm.leads, given bigint)
RETURNS TABLE (contact_id bigint, account_id bigint, matched_by text)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := l.tenant_id;
    known crm.lead_conversions;
BEGIN
    IF given IS NULL THEN
        known := crm_internal.match_contact(t, l.email_key, l.phone_key,
            crm_internal.said_name(l.name, l.company, l.email, l.phone), l.company);
        IF known.contact_id IS NOT NULL THEN
            RETURN QUERY SELECT known.contact_id, known.account_id, known.contact_matched_by;
            RETURN;
        END IF;
    END IF;
    -- the one that is named; nobody of that address: whom somebody linked the lead to
    RETURN QUERY SELECT c.id, c.account_id, 'given' FROM crm.contacts AS c
                 WHERE c.tenant_id = t AND c.id = coalesce(given, l.contact_id);
    IF NOT FOUND AND given IS NOT NULL THEN
        RAISE EXCEPTION 'there is no contact %', given USING ERRCODE = 'no_data_found';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.conversion_contact(crm.leads, bigint) IS
'The contact a lead is already, with its account and how it is known: given, email, phone; none. Error P0002 where the one that is given is not there.';

CREATE OR REPLACE FUNCTION crm_internal.conversion_account(l crm.leads, given bigint, of_contact bigint)
RETURNS TABLE (account_id bigint, matched_by text)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := l.tenant_id;
    called bigint[] := CASE WHEN l.company_key <> '' THEN
        ARRAY(SELECT a.id FROM crm.accounts AS a WHERE a.tenant_id = t AND a.name_key = l.company_key ORDER BY a.id LIMIT 10) END;
    named bigint := CASE WHEN cardinality(called) = 1 THEN called[1] WHEN l.account_id = ANY (called) THEN l.account_id END;
BEGIN
    -- of several companies of one name none is taken by chance
    IF cardinality(called) > 1 AND named IS NULL AND num_nonnulls(given, of_contact, l.account_id) = 0 THEN
        called := ARRAY(SELECT a.id FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = ANY (called) AND a.country = l.country ORDER BY a.id);
        IF cardinality(called) <> 1 THEN
            RAISE EXCEPTION 'several accounts are called "%"', l.company
                USING ERRCODE = 'cardinality_violation', HINT = 'Say which one in account_id, or merge them.',
                      DETAIL = (SELECT 'They are ' || string_agg(a.id || ' "' || a.name || '"', ', ' ORDER BY a.id) || '.'
                                FROM crm.accounts AS a
                                WHERE a.tenant_id = t AND a.name_key = l.company_key
                                  AND crm.can_see(a.owner_id, a.team_id, a.shared_user_ids, a.shared_team_ids));
        END IF;
        named := called[1];
    END IF;
    IF given IS NOT NULL AND NOT EXISTS (SELECT FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = given) THEN
        RAISE EXCEPTION 'there is no account %', given USING ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY SELECT v.id, v.how
        FROM (VALUES (1, given, 'given'), (2, of_contact, 'contact'), (3, named, 'name'), (4, l.account_id, 'given')) AS v (rank, id, how)
        WHERE v.id IS NOT NULL ORDER BY v.rank LIMIT 1;
END
$$;
COMMENT ON FUNCTION crm_internal.conversion_account(crm.leads, bigint, bigint) IS
'The account of a lead that is there already, and how it is known: given, contact, name; none. Of several of one name '
'the one of the lead''s country. Errors: P0002 where the one that is given is not there, '
'21000 where several have the name and nothing tells which.';

CREATE OR REPLACE FUNCTION crm_internal.contact_of_lead(l crm.leads, known bigint, account bigint, given jsonb)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := l.tenant_id;
    old crm.contacts;
    c crm.contacts;
BEGIN
    IF known IS NOT NULL THEN
        SELECT x.* INTO old FROM crm.contacts AS x WHERE x.tenant_id = t AND x.id = known FOR NO KEY UPDATE;
    END IF;
    c := crm.given_row(old, given, 'convert');
    c.tenant_id := t;
    c := crm.carry_row(c, crm_internal.converted_lead(l, 'contacts'), CASE WHEN old.id IS NULL THEN 'convert' ELSE 'recognise' END);
    c.account_id := coalesce(c.account_id, account);
    IF l.consent <> '{}' THEN
        c.preferences := coalesce(c.preferences, '{}') || jsonb_build_object('consent', coalesce(c.preferences -> 'consent', '{}') || l.consent);
    END IF;
    -- somebody else's is recognised and left alone
    IF old.id IS NOT NULL AND crm.whole_tenant() IS NULL AND NOT crm.can_change_row('crm.contacts', old.id) THEN
        RETURN old.id;
    END IF;
    c := CASE WHEN old.id IS NULL THEN crm.insert_row(c) ELSE crm.update_row(old, c) END;
    INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value, country, is_primary)
    SELECT t, c.id, v.kind, v.value, l.country,
           v.n = 1 AND NOT EXISTS (SELECT FROM crm.contact_points AS q WHERE q.tenant_id = t AND q.contact_id = c.id AND q.kind = v.kind)
    FROM (SELECT 'email' AS kind, l.email AS value, l.email_key AS value_key, 1 AS n
          UNION ALL
          -- a number that stands alone is written as it was given
          SELECT 'mobile', CASE WHEN cardinality(p.numbers) > 1 THEN u.number ELSE l.phone END, u.number, u.n
          FROM (SELECT crm.phone_numbers(l.phone, coalesce(l.country, '')::text) AS numbers) AS p, unnest(p.numbers) WITH ORDINALITY AS u (number, n)) AS v
    WHERE v.value_key IS NOT NULL
      AND NOT EXISTS (SELECT FROM crm.contact_points AS q
                      WHERE q.tenant_id = t AND q.contact_id = c.id AND q.value_key = v.value_key);
    RETURN c.id;
END
$$;
COMMENT ON FUNCTION crm_internal.contact_of_lead(crm.leads, bigint, bigint, jsonb) IS
'Makes a contact of a lead, or fills up the one that is known, with the addresses it has not yet.';

CREATE OR REPLACE FUNCTION crm_internal.account_of_lead(l crm.leads, given jsonb)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a crm.accounts;
BEGIN
    a := crm.given_row(a, given, 'convert');
    a.tenant_id := l.tenant_id;
    a := crm.insert_row(crm.carry_row(a, crm_internal.converted_lead(l, 'accounts'), 'convert'));
    RETURN a.id;
END
$$;
COMMENT ON FUNCTION crm_internal.account_of_lead(crm.leads, jsonb) IS 'Makes an account of the company of a lead.';

CREATE OR REPLACE FUNCTION crm_internal.deal_of_lead(l crm.leads, deal crm.opportunities, account bigint, contact bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := l.tenant_id;
BEGIN
    deal.tenant_id := t;
    deal.account_id := account;
    deal.contact_id := contact;
    deal.name := coalesce(deal.name, nullif(concat_ws(': ', l.company, (SELECT r.name FROM crm.products AS r
                                                                        WHERE r.tenant_id = t AND r.id = l.product_id)), ''), l.name);
    -- another currency for the deal than for what the lead may spend: the amount is converted, never called something else
    IF deal.amount IS NULL AND deal.currency <> l.currency THEN
        deal.amount := crm.convert_currency(l.amount, l.currency::text, deal.currency::text, 'at_today', tenant_id => t);
    END IF;
    deal := crm.carry_row(deal, crm_internal.converted_lead(l, 'opportunities'), 'convert');
    deal.amount_source := CASE WHEN deal.amount IS NULL THEN 'lines' ELSE 'hand' END;
    deal := crm.insert_row(deal);
    RETURN deal.id;
END
$$;
COMMENT ON FUNCTION crm_internal.deal_of_lead(crm.leads, crm.opportunities, bigint, bigint) IS
'Opens an opportunity of a lead, with what is said of it and else what the lead has.';

CREATE OR REPLACE FUNCTION crm_internal.lead_for_conversion(t bigint, lead bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    l crm.leads;
BEGIN
    -- the keys first and the lead then, as captures do; two leads of one person or company make one contact and one account
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = t AND x.id = lead;
    PERFORM crm_internal.lock_lead_keys(t, ARRAY['e' || l.email_key, 'p' || l.phone_key, 'c' || nullif(l.company_key, '')]);
    l := crm_internal.lead_for_change(t, lead);
    -- again, for what was changed before we had it
    PERFORM crm_internal.lock_lead_keys(t, ARRAY['e' || l.email_key, 'p' || l.phone_key, 'c' || nullif(l.company_key, '')]);
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_for_conversion(bigint, bigint) IS 'A lead the current user may change, locked with its keys.';

-- as a later room keeps it; what fails there does not stop the conversion
CREATE OR REPLACE FUNCTION crm_internal.score_of_lead(l crm.leads)
RETURNS numeric
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
    score numeric;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('lead_score') AS h LOOP
        EXECUTE format('SELECT %s($1, $2)', hook::regproc) INTO score USING l.tenant_id, l.id;
    END LOOP;
    RETURN score;
EXCEPTION WHEN OTHERS THEN
    PERFORM crm_internal.lead_trouble(l.tenant_id, l.id, 'scoring', SQLSTATE, SQLERRM);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.score_of_lead(crm.leads) IS 'Score of a lead at this moment; NULL: none is kept.';

-- security definer: a contact is recognised even where it is somebody else's
CREATE OR REPLACE FUNCTION crm.convert_lead(
    lead_id bigint, open_opportunity boolean DEFAULT false, opportunity jsonb DEFAULT '{}',
    account_id bigint DEFAULT NULL, contact_id bigint DEFAULT NULL, account jsonb DEFAULT '{}', contact jsonb DEFAULT '{}')
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
BEGIN
    PERFORM crm.because('convert_lead');
    -- a second call waits here, and then finds what the first one made
    l := crm_internal.lead_for_conversion(t, lead_id);
    PERFORM crm_internal.require('contacts', contact_id, 'change');
    PERFORM crm_internal.require('accounts', account_id, 'see');
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
    -- what nobody gives is required of people later; the lead is not held up by it
    PERFORM crm.keep_incomplete();
    deal := crm.given_row(deal, opportunity, 'deal');
    -- nothing goes to somebody who has left: whoever converts takes it
    IF crm_internal.left_us(t, l.owner_id) THEN
        l.owner_id := crm.user_id();
    END IF;
    IF crm_internal.left_us(t, deal.owner_id) THEN
        RAISE EXCEPTION 'user % is not active and cannot own the opportunity', deal.owner_id
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give owner_id an active user, or leave it out.';
    END IF;

    SELECT c.contact_id, c.account_id, c.matched_by INTO made.contact_id, made.account_id, made.contact_matched_by
    FROM crm_internal.conversion_contact(l, contact_id) AS c;
    SELECT a.account_id, a.matched_by INTO made.account_id, made.account_matched_by
    FROM crm_internal.conversion_account(l, account_id, made.account_id) AS a;
    IF made.account_id IS NULL AND l.company_key <> '' THEN
        made.account_id := crm_internal.account_of_lead(l, account);
    END IF;
    made.contact_id := crm_internal.contact_of_lead(l, made.contact_id, made.account_id, contact);
    IF made.contact_matched_by IS NULL THEN
        PERFORM crm_internal.note_possible_contacts(t, made.contact_id);
    END IF;
    IF open_opportunity THEN
        made.opportunity_id := crm_internal.deal_of_lead(l, deal, made.account_id, made.contact_id);
    END IF;

    UPDATE crm.activities AS v
    SET contact_id = coalesce(v.contact_id, made.contact_id), account_id = coalesce(v.account_id, made.account_id)
    WHERE v.tenant_id = t AND v.related_table = 'leads' AND v.related_id = l.id
      AND (v.contact_id IS NULL OR v.account_id IS NULL AND made.account_id IS NOT NULL);
    GET DIAGNOSTICS made.activities_carried = ROW_COUNT;
    made.score := crm_internal.score_of_lead(l);
    PERFORM crm.move_row(l, l.id, (crm.first_stage(t, l.pipeline_id, '{done,won}')).code, jsonb_build_object('converted_at', now(),
        'account_id', made.account_id, 'contact_id', made.contact_id, 'opportunity_id', made.opportunity_id));
    INSERT INTO crm.lead_conversions AS c (tenant_id, lead_id, contact_id, account_id, opportunity_id, contact_matched_by,
                                           account_matched_by, activities_carried, score)
    VALUES (t, l.id, made.contact_id, made.account_id, made.opportunity_id, made.contact_matched_by, made.account_matched_by,
            made.activities_carried, made.score)
    RETURNING c.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.convert_lead(bigint, boolean, jsonb, bigint, bigint, jsonb, jsonb) IS
'Makes a lead a contact and, where it has a company, an account, in one transaction; returns what it became. The contact is the one given, else one '
'with the lead''s e-mail address, else one with its telephone number and no address, else the one the lead is linked to; the account the one given, '
'else the contact''s, else one whose folded name is the company''s, else the one the lead is linked to. open_opportunity: opens an opportunity too, '
'with what opportunity says ({column: value}; all columns but those that crm.column_rules keeps) and else what the lead has. What is made takes the '
'lead''s columns of the same names and the custom fields that are declared for it as well; a contact that is there is filled up '
'where the caller may change it, an account that is there is left alone. account and contact say columns of what is made, '
'{column: value}, custom fields under custom; what is required and neither '
'given nor known leaves it incomplete (crm_analytics.incomplete_records). Activities, consent, tags, addresses and '
'score are carried; the lead stays, closed, with links. A second call, at the same time '
'or later, returns what the first made. Errors: P0002 a lead, contact or account that is not there; 42501 a lead that may not be changed; 42703 a '
'column that cannot be given for the opportunity, with the others named; 55000 a lead that is disqualified or merged; 21000 several accounts of '
'the company''s name and nothing that tells which; CR107 a pipeline without a stage '
'done or won; errors of the guard of stages.';
SELECT crm.declare_api('crm.convert_lead', '{"lead_id": 1, "open_opportunity": true, "opportunity": {"amount": 5000}}');
SELECT crm.declare_function('crm.convert_lead', 'agent');
