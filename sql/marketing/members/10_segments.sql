-- Segments: which of them a changed row concerns.
CREATE FUNCTION crm.segment_row() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_row';
COMMENT ON FUNCTION crm.segment_row() IS
'Row trigger, after each change, of tables in schema crm that have segments: keeps the membership of the row. Needs the columns tenant_id and id (bigint).';

CREATE FUNCTION crm.segment_sources() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_sources';
COMMENT ON FUNCTION crm.segment_sources() IS
'Statement trigger of tables that segments look at besides the row, with a transition table "changed": judges anew whom new, changed or deleted rows belong '
'to. Does nothing while no segment looks there.';

CREATE FUNCTION crm.segment_score() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_score';
COMMENT ON FUNCTION crm.segment_score() IS
'Row trigger, after each change, of crm.lead_scores: judges the lead anew for segments that ask for scores. Does nothing while there are none.';
