-- Segments: which of them a changed row concerns.
CREATE FUNCTION crm.segment_row() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_row';
COMMENT ON FUNCTION crm.segment_row() IS
'Row trigger, after each change, of tables that have segments, with the name the table goes by: keeps the membership of the row. Needs the columns '
'tenant_id and id (bigint). Put on by crm.attach_segments().';

CREATE FUNCTION crm.segment_sources() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_sources';
COMMENT ON FUNCTION crm.segment_sources() IS
'Statement trigger of tables that segments look at besides the row, with the name the table goes by and a transition table "changed": judges anew whom new, '
'changed or deleted rows belong to. Does nothing while no segment looks there.';

CREATE FUNCTION crm.segment_score() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_segment_score';
COMMENT ON FUNCTION crm.segment_score() IS
'Row trigger, after each change, of crm.lead_scores: judges the lead anew for segments that ask for scores. Does nothing while there are none.';

CREATE FUNCTION crm.segment_query(what text, subject_table text, source text) RETURNS text
LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'crm_segment_query_kept';
COMMENT ON FUNCTION crm.segment_query(text, text, text) IS
'Query by which segments of one table count what another one tells (crm_internal.segment_query_text), kept by the backend; NULL where it tells nothing.';
SELECT crm.declare_function('crm.segment_query', 'owner');

CREATE FUNCTION crm.segment_told(
    what text, subject_table text, source text, tenant bigint, subject bigint, since timestamptz, till timestamptz, kind text, path text, most bigint)
RETURNS timestamptz[]
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'crm_segment_told';
COMMENT ON FUNCTION crm.segment_told(text, text, text, bigint, bigint, timestamptz, timestamptz, text, text, bigint) IS
'What a query of crm.segment_query() finds: the instants, after since and up to till, the latest first and at most most of them, at which rows of table '
'source tell of a subject, and are of that kind and answer the path where these are given. NULL: none.';
SELECT crm.declare_function('crm.segment_told', 'owner');
