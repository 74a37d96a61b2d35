-- What columns said before they were changed, for whoever judges by what was known then.

CREATE TABLE crm.past_values (
    tenant_id bigint NOT NULL DEFAULT crm.tenant_id(),
    table_name text COLLATE "C" NOT NULL,
    record_id bigint NOT NULL,
    column_name text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL DEFAULT now(),
    value jsonb NOT NULL,
    CONSTRAINT past_values_pkey PRIMARY KEY (tenant_id, table_name, record_id, column_name, until)
);
COMMENT ON TABLE crm.past_values IS
'Earlier values of the columns that a table is registered with as dated: what a record said at an instant is the first of them that was left later, else '
'what it says now. Of tables with closed_at only what was changed after closing. Written by trigger.';
SELECT crm.declare_table('crm.past_values', '{"class": "log", "parent": {"record_id": {"table_in": "table_name"}}}');
COMMENT ON COLUMN crm.past_values.tenant_id IS 'Company the row belongs to.';
COMMENT ON COLUMN crm.past_values.table_name IS 'Table of the record.';
COMMENT ON COLUMN crm.past_values.record_id IS 'Id of the record.';
COMMENT ON COLUMN crm.past_values.column_name IS 'Column that was changed.';
COMMENT ON COLUMN crm.past_values.until IS 'When it was changed: the value stood until then.';
COMMENT ON COLUMN crm.past_values.value IS 'What it said, null included; of a column declared personal only whether there was something.';
