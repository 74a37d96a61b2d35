-- Scoring where leads come in and go out: what hangs into capture and conversion.

CREATE OR REPLACE FUNCTION crm_internal.score_capture(l crm.leads, p jsonb, way text, utm jsonb, at timestamptz)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.score_events (tenant_id, lead_id, kind, object, occurred_at, attributes)
    VALUES (l.tenant_id, l.id, way, coalesce(p ->> 'form', p ->> 'url'), at,
            jsonb_strip_nulls(jsonb_build_object('channel', way, 'form', p -> 'form', 'url', p -> 'url') || utm))
$$;
COMMENT ON FUNCTION crm_internal.score_capture(crm.leads, jsonb, text, jsonb, timestamptz) IS
'That somebody came in is an event rules may score: its kind is the channel, its object the form, else the address of the page.';
SELECT crm.declare_hook('lead_captured', 'crm_internal.score_capture(crm.leads, jsonb, text, jsonb, timestamptz)');

CREATE OR REPLACE FUNCTION crm_internal.score_at_conversion(tenant bigint, lead bigint)
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT CASE WHEN EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = tenant AND m.active) THEN crm.lead_score_at(lead) END);
END
$$;
COMMENT ON FUNCTION crm_internal.score_at_conversion(bigint, bigint) IS 'Score by points of a lead that is being converted; NULL where no model is in use.';
SELECT crm.declare_hook('lead_score', 'crm_internal.score_at_conversion(bigint, bigint)');
