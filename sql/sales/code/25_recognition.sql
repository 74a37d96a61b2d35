-- Recognition: who is captured or converted is looked for among the leads and contacts there are, one session at a time.

-- two captures or conversions of one person wait for each other, in one order
-- (PL/pgSQL here and below: the plan of a SQL function that cannot be inlined is made anew by every call)
CREATE OR REPLACE FUNCTION crm_internal.lock_lead_keys(tenant bigint, keys text[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(k.h)
    FROM (SELECT DISTINCT hashtextextended('crm.lead.' || tenant || '.' || x, 0) AS h
          FROM unnest(keys) AS x WHERE x IS NOT NULL ORDER BY 1) AS k;
END
$$;
COMMENT ON FUNCTION crm_internal.lock_lead_keys(bigint, text[]) IS
'Until the end of the transaction nobody else captures or converts a lead with one of these keys.';

CREATE OR REPLACE FUNCTION crm_internal.match_contact(tenant bigint, email_key text, phone_key text)
RETURNS TABLE (contact_id bigint, account_id bigint, matched_by text)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.id, c.account_id, m.how
    FROM (SELECT p.contact_id, CASE p.kind WHEN 'email' THEN 'email' ELSE 'phone' END AS how,
                 p.kind <> 'email' AS later, p.is_primary
          FROM crm.contact_points AS p
          WHERE p.tenant_id = match_contact.tenant AND p.contact_id IS NOT NULL
            AND (p.kind = 'email' AND p.value_key = match_contact.email_key
                 OR p.kind IN ('mobile', 'phone') AND p.value_key = match_contact.phone_key)) AS m
    JOIN crm.contacts AS c ON c.tenant_id = match_contact.tenant AND c.id = m.contact_id
    -- a telephone is shared more often than an address: not by people whose addresses differ
    WHERE NOT m.later OR match_contact.email_key IS NULL
       OR NOT EXISTS (SELECT FROM crm.contact_points AS q
                      WHERE q.tenant_id = match_contact.tenant AND q.contact_id = m.contact_id AND q.kind = 'email')
    ORDER BY m.later, m.is_primary DESC, c.id
    LIMIT 1;
END
$$;
COMMENT ON FUNCTION crm_internal.match_contact(bigint, text, text) IS
'The contact with an e-mail address, else with a telephone number and no address that speaks against it; the oldest of several.';

CREATE OR REPLACE FUNCTION crm_internal.lead_trouble(tenant bigint, lead bigint, what text, code text, message text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE WARNING 'lead %: % failed: %', lead, what, message;
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
    VALUES (tenant, 'lead.trouble', 'leads', lead, jsonb_build_object('what', what, 'sqlstate', code, 'message', message));
END
$$;
COMMENT ON FUNCTION crm_internal.lead_trouble(bigint, bigint, text, text, text) IS
'Reports what could not be done for a lead beside storing it: a warning, and an event lead.trouble.';

