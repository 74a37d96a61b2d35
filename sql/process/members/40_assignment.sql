-- Routing: what people have to do already.

CREATE FUNCTION crm.workload(tenant_id bigint, subject_table text, owner_ids bigint[], weight numeric)
RETURNS TABLE (owner_id bigint, load numeric)
LANGUAGE c STABLE ROWS 20
AS 'MODULE_PATHNAME', 'crm_workload';
COMMENT ON FUNCTION crm.workload(bigint, text, bigint[], numeric) IS
'The open work of people, one row for each who has any: rows of tables registered as workload and of subject_table, which is being given out. '
'Rows in a queue weigh what the queue says, others of subject_table weight, others 1. For the owner of the CRM: it counts all rows, whoever may see them.';
SELECT crm.declare_function('crm.workload', 'owner');
