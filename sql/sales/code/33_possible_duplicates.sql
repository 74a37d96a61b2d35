-- Possible duplicates: noticed where two records share an address or a telephone and contradict each other, decided by people.

CREATE OR REPLACE FUNCTION crm_internal.note_possible_duplicates(l crm.leads)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF l.email_key IS NULL AND l.phone_key IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO crm.possible_duplicates (tenant_id, subject_table, first_id, second_id, matched_by)
    SELECT l.tenant_id, 'leads', x.id, l.id, CASE WHEN x.email_key = l.email_key THEN 'email' ELSE 'phone' END
    FROM crm.leads AS x
    WHERE x.tenant_id = l.tenant_id AND x.id <> l.id AND x.merged_into_id IS NULL AND x.converted_at IS NULL
      AND x.id IN (SELECT y.id FROM crm.leads AS y WHERE y.tenant_id = l.tenant_id AND y.email_key = l.email_key
                   UNION SELECT y.id FROM crm.leads AS y WHERE y.tenant_id = l.tenant_id AND y.phone_key = l.phone_key)
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION crm_internal.note_possible_duplicates(crm.leads) IS
'Open leads that share an address or telephone with a new one that was not taken for them.';

CREATE OR REPLACE FUNCTION crm_internal.note_possible_contacts(t bigint, contact bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm.possible_duplicates (tenant_id, subject_table, first_id, second_id, matched_by)
    SELECT DISTINCT ON (o.contact_id) t, 'contacts', o.contact_id, contact, CASE o.kind WHEN 'email' THEN 'email' ELSE 'phone' END
    FROM crm.contact_points AS p
    JOIN crm.contact_points AS o ON o.tenant_id = t AND o.value_key = p.value_key AND o.contact_id <> contact
         AND (o.kind = 'email') = (p.kind = 'email') AND o.kind IN ('email', 'phone', 'mobile')
    WHERE p.tenant_id = t AND p.contact_id = contact AND p.kind IN ('email', 'phone', 'mobile')
    ORDER BY o.contact_id, o.kind <> 'email'
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION crm_internal.note_possible_contacts(bigint, bigint) IS
'Contacts that share an address or telephone with one that a conversion made, as name and company contradict.';

-- security definer: the pair is written by nobody directly
CREATE OR REPLACE FUNCTION crm.decide_duplicate(duplicate_id bigint, same boolean)
RETURNS crm.possible_duplicates
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    d crm.possible_duplicates;
BEGIN
    IF same IS NULL THEN
        RAISE EXCEPTION 'say whether they are the same' USING ERRCODE = 'null_value_not_allowed', HINT = 'true makes one of them, false keeps them apart.';
    END IF;
    SELECT x.* INTO d FROM crm.possible_duplicates AS x WHERE x.tenant_id = t AND x.id = duplicate_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no possible duplicate %', duplicate_id USING ERRCODE = 'no_data_found', HINT = 'crm.possible_duplicates lists them.';
    END IF;
    IF d.state <> 'open' THEN
        RAISE EXCEPTION 'possible duplicate % has been decided: %', duplicate_id, d.state USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Merge the two records by crm.merge_leads() or crm.merge_contacts() where it was decided wrongly.';
    END IF;
    IF d.subject_table = 'leads' THEN
        -- the rights of whoever decides, also where nothing is merged
        PERFORM crm_internal.lead_for_change(t, d.first_id);
        PERFORM crm_internal.lead_for_change(t, d.second_id);
        IF same THEN
            PERFORM crm.merge_leads(d.second_id, d.first_id);
        END IF;
    ELSIF same THEN
        PERFORM crm.merge_contacts(d.second_id, d.first_id);
    ELSIF EXISTS (SELECT FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id IN (d.first_id, d.second_id)
                  AND NOT (crm.can_see(c.owner_id, c.team_id, c.shared_user_ids, c.shared_team_ids) AND crm.can_change(c.owner_id, c.team_id))) THEN
        RAISE EXCEPTION 'possible duplicate % is not yours to decide', duplicate_id USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE crm.possible_duplicates AS x
    SET state = CASE WHEN same THEN 'same' ELSE 'different' END, decided_by = crm.user_id(), decided_at = now()
    WHERE x.tenant_id = t AND x.id = d.id
    RETURNING x.* INTO d;
    RETURN d;
END
$$;
COMMENT ON FUNCTION crm.decide_duplicate(bigint, boolean) IS
'Decides a possible duplicate (crm.possible_duplicates): same merges the record that came into the one that was there, otherwise they stay apart and are not '
'asked about again. Returns the pair. Errors: P0002, 42501, 55000 where it has been decided, those of crm.merge_leads and crm.merge_contacts.';
SELECT crm.declare_function('crm.decide_duplicate', 'agent');
