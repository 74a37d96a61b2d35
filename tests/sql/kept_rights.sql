-- A function called by another within one transaction shows each role what it may see. A SQL function that PL/pgSQL calls in an expression keeps its plan,
-- and with it the row security of whoever called it first, until the transaction ends: what reads rows with row security is PL/pgSQL.
-- Functions of the owner's tasks, and what the worker does in parts (items), aside: the owner sees every row.
WITH guarded AS (
    SELECT format('(FROM|JOIN|UPDATE|INTO|USING)\s+(ONLY\s+)?%s\.%s\M(?!\s*\()', n.nspname, c.relname) AS read
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('crm', 'crm_internal', 'crm_analytics') AND (c.relrowsecurity OR c.relkind = 'v')
), said AS (
    -- without comments and quoted text, which is SQL put together for others
    SELECT p.oid, regexp_replace(regexp_replace(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '\$(q|f)\$.*?\$(q|f)\$', '', 'g'), '''[^'']*''', '', 'g') AS body
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
    WHERE n.nspname IN ('crm', 'crm_internal', 'crm_analytics') AND l.lanname = 'sql' AND NOT p.prosecdef AND NOT p.proretset AND p.prokind = 'f'
      AND p.prorettype <> 'void'::regtype AND p.proargnames[2] IS DISTINCT FROM 'items'
      AND NOT EXISTS (SELECT FROM crm_internal.function_levels AS f WHERE f.function_name = n.nspname || '.' || p.proname AND f.level = 'owner')
)
SELECT s.oid::regprocedure AS keeps_the_rights_of_its_first_caller
FROM said AS s
WHERE EXISTS (SELECT FROM guarded AS g WHERE s.body ~* g.read)
ORDER BY 1;

-- seen at work: the owner first, an agent in the same transaction
BEGIN;
SET LOCAL client_min_messages = error;
CREATE ROLE regress_kept_agent;
SELECT count(*) FROM crm.tenants;
INSERT INTO crm.users (id, name) VALUES (9851, 'Sara'), (9852, 'Reza');
SELECT count(crm.grant_access('regress_kept_agent', 'agent', 9852));
INSERT INTO crm.quotas (user_id, period, amount, currency) VALUES (9851, '[2026-01-01,2026-02-01)', 100, 'USD'), (9852, '[2026-01-01,2026-02-01)', 10, 'USD');
CREATE FUNCTION pg_temp.quota() RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN crm_analytics.quota_between(1, '2026-01-01', '2026-02-01'); END $$;
GRANT EXECUTE ON FUNCTION pg_temp.quota() TO PUBLIC;
SELECT round(pg_temp.quota()) AS owner;
SET ROLE regress_kept_agent;
SELECT round(pg_temp.quota()) AS agent;
RESET ROLE;
ROLLBACK;
