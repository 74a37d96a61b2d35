-- Recognition: who is captured or converted is looked for among the leads and contacts there are, one session at a time.

-- two captures or conversions of one person wait for each other, in one order
-- (PL/pgSQL here and below: the plan of a SQL function that cannot be inlined is made anew by every call)
CREATE OR REPLACE FUNCTION crm_internal.lock_lead_keys(tenant bigint, keys text[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.hold_key('lead', tenant, k.x) FROM (SELECT DISTINCT x COLLATE "C" AS x FROM unnest(keys) AS x WHERE x IS NOT NULL ORDER BY 1) AS k;
END
$$;
COMMENT ON FUNCTION crm_internal.lock_lead_keys(bigint, text[]) IS
'Until the end of the transaction nobody else captures or converts a lead with one of these keys.';

-- an address or telephone that several people use is no proof against what they say of themselves
CREATE OR REPLACE FUNCTION crm_internal.contradict(name text, company text, other_name text, other_company text)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    companies_differ CONSTANT boolean := crm.name_key(company) <> crm.name_key(other_company);
BEGIN
    -- one word of both is enough to be one person: Ada King, A. King, King
    IF name IS NULL OR other_name IS NULL OR crm.name_words(name) && crm.name_words(other_name) THEN
        RETURN false;
    END IF;
    RETURN coalesce(companies_differ, false);
END
$$;
COMMENT ON FUNCTION crm_internal.contradict(text, text, text, text) IS
'Whether two records with one address or telephone speak of two people: no word of their names is the same, and their companies are two.';

-- the name a record says, or NULL where it stands for the company or the address
CREATE OR REPLACE FUNCTION crm_internal.said_name(name text, company text, email text, phone text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE WHEN name IS DISTINCT FROM company AND name IS DISTINCT FROM email AND name IS DISTINCT FROM phone AND position('@' IN name) = 0 THEN name END;
END
$$;
COMMENT ON FUNCTION crm_internal.said_name(text, text, text, text) IS 'Name of a person in a lead; NULL where none was said.';

-- (a row, not a set: a set is put into a tuplestore, which costs more than to find it)
CREATE OR REPLACE FUNCTION crm_internal.match_contact(tenant bigint, email_key text, phone_key text, said_name text, company text)
RETURNS crm.lead_conversions
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.lead_conversions;
BEGIN
    SELECT x.id, x.account_id, m.how INTO c.contact_id, c.account_id, c.contact_matched_by
    FROM (SELECT p.contact_id, CASE p.kind WHEN 'email' THEN 'email' ELSE 'phone' END AS how,
                 p.kind <> 'email' AS later, p.is_primary
          FROM crm.contact_points AS p
          WHERE p.tenant_id = match_contact.tenant AND p.contact_id IS NOT NULL
            AND p.value_key IN (match_contact.email_key, match_contact.phone_key)
            AND (p.kind = 'email' AND p.value_key = match_contact.email_key
                 OR p.kind IN ('mobile', 'phone') AND p.value_key = match_contact.phone_key)) AS m
    JOIN crm.contacts AS x ON x.tenant_id = match_contact.tenant AND x.id = m.contact_id
    LEFT JOIN crm.accounts AS a ON a.tenant_id = match_contact.tenant AND a.id = x.account_id
    -- a telephone is shared more often than an address: not by people whose addresses differ
    WHERE (NOT m.later OR match_contact.email_key IS NULL
           OR NOT EXISTS (SELECT FROM crm.contact_points AS q
                          WHERE q.tenant_id = match_contact.tenant AND q.contact_id = m.contact_id AND q.kind = 'email'))
      AND NOT crm_internal.contradict(match_contact.said_name, match_contact.company, x.name, a.name)
    ORDER BY m.later, m.is_primary DESC, x.id
    LIMIT 1;
    RETURN c;
END
$$;
COMMENT ON FUNCTION crm_internal.match_contact(bigint, text, text, text, text) IS
'The contact with an e-mail address, else with a telephone number and no address that speaks against it, of whom name and company do not '
'contradict, the oldest of several: contact_id, account_id '
'and contact_matched_by of a conversion, empty where there is none.';

CREATE OR REPLACE FUNCTION crm_internal.lead_trouble(tenant bigint, lead bigint, what text, code text, message text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE WARNING 'lead %: % failed: %', lead, what, message;
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
    VALUES (tenant, 'lead.trouble', 'leads', lead, jsonb_build_object('what', what, 'sqlstate', code, 'message', message));
END
$$;
COMMENT ON FUNCTION crm_internal.lead_trouble(bigint, bigint, text, text, text) IS
'Reports what could not be done for a lead beside storing it: a warning, and an event lead.trouble.';

SELECT crm.declare_event('lead.trouble', 'Something that was to be done for a lead failed; the lead is there all the same.',
    '{"what": {"type": "string"}, "sqlstate": {"type": ["string", "null"]}, "message": {"type": ["string", "null"]}}');
