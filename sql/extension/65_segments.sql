-- Segments: which of them a changed row concerns.
CREATE FUNCTION crm.segment_row() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_row';
COMMENT ON FUNCTION crm.segment_row() IS
'Row trigger, after each change, of tables in schema crm that have segments: keeps the membership of the row. Needs the columns tenant_id and id (bigint).';
