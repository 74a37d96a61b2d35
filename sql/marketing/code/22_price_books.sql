-- Which accounts a price book of a segment is for.

CREATE OR REPLACE FUNCTION crm_internal.account_in_segment(tenant bigint, account bigint, segment bigint)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM crm.segments AS s
                   JOIN crm.segment_states AS x ON x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.subject_id = account
                   WHERE s.tenant_id = tenant AND s.id = segment AND s.subject_table = 'accounts' AND s.active
                     AND CASE WHEN x.next_at <= now()
                              THEN (SELECT j.member FROM crm_internal.judge_segment(s, account,
                                        crm_internal.segment_row_of('accounts', tenant, account), now()) AS j)
                              ELSE x.member END)
$$;
COMMENT ON FUNCTION crm_internal.account_in_segment(bigint, bigint, bigint) IS 'Whether an account is a member of a segment now.';
SELECT crm.declare_hook('account_segment', 'crm_internal.account_in_segment(bigint, bigint, bigint)');
