\echo
\echo '== The log of changes: who did what, a record as it was, a deleted one back, and tampering found'
SELECT table_name, active FROM crm.start_audit();
SELECT min(a.id) AS account FROM crm.accounts AS a WHERE a.tenant_id = 1 \gset
BEGIN;
SET LOCAL crm.cause = 'new price list';
UPDATE crm.accounts SET industry = 'shipping' WHERE tenant_id = 1 AND id = :account;
COMMIT;
INSERT INTO crm.contacts (name) VALUES ('Shirin Ebadi') RETURNING id AS contact \gset
DELETE FROM crm.contacts WHERE tenant_id = 1 AND id = :contact;
SELECT a.table_name, a.action, a.db_role, a.cause, coalesce(a.change -> 'new' ->> 'industry', a.change -> 'old' ->> 'name') AS said
FROM crm.audit_log AS a WHERE a.table_name IN ('accounts', 'contacts') AND a.action <> 'insert' ORDER BY a.id;
SELECT crm.undelete('contacts', :contact) ->> 'name' AS back_again;
-- others of the server may be at work: who seals comes again
DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM crm.seal_audit(); EXIT WHEN NOT EXISTS (SELECT FROM crm.verify_audit() AS v WHERE v.result = 'not sealed'); PERFORM pg_sleep(0.05); END LOOP; END $$;
SELECT v.result, v.detail FROM crm.verify_audit() AS v;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM crm.audit_log WHERE cause = 'new price list';
SELECT v.result, v.detail FROM crm.verify_audit() AS v WHERE v.result <> 'verified';
ROLLBACK;
SELECT table_name, active FROM crm.stop_audit();
