-- Overdue work of a tenant: days gone by come from a rollup, the running day from this index.
CREATE INDEX activities_due_at_idx ON crm.activities (tenant_id, due_at) WHERE done_at IS NULL;
