-- Checks of rows in C (versions, custom fields, tags, trees), tags and names as compared, currencies, days of a tenant.

CREATE FUNCTION crm.check_version() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_version';
COMMENT ON FUNCTION crm.check_version() IS
'BEFORE UPDATE row trigger: an update that carries another version than the row''s present one (or the one after it) fails with CR201; every update counts '
'version on and sets updated_at.';

CREATE FUNCTION crm.check_custom_fields() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_custom_fields';
COMMENT ON FUNCTION crm.check_custom_fields() IS
'BEFORE INSERT OR UPDATE row trigger with the table''s name: column custom must hold what crm.custom_fields declares. CR202 names the fields, DETAIL says '
'what is wrong with each.';

CREATE FUNCTION crm.check_tags() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_tags';
COMMENT ON FUNCTION crm.check_tags() IS 'BEFORE INSERT OR UPDATE row trigger: column tags as crm.normalize_tags() gives it.';

CREATE FUNCTION crm.fill_missing() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_fill_missing';
COMMENT ON FUNCTION crm.fill_missing() IS
'BEFORE INSERT OR UPDATE row trigger with a column, currency or country, and what it is taken from where it is empty: pairs of a column and of the '
'query (crm.source_query) of the record it refers to, the first with an answer; else the tenant. Put on tables by their registration (option missing).';

CREATE FUNCTION crm.check_tree() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_check_tree';
COMMENT ON FUNCTION crm.check_tree() IS
'AFTER INSERT OR UPDATE row trigger with the names of the table and of its parent column: no row may stand below itself. Error CR204; two sessions cannot '
'make half a circle each.';

CREATE FUNCTION crm.normalize_tags(tags text[]) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_tags';
COMMENT ON FUNCTION crm.normalize_tags(text[]) IS
'Tags folded as crm.fold_text() does, sorted, each once, without empty ones. Error 22001 for a tag of more than 100 characters.';

CREATE FUNCTION crm.convert_currency(
    amount numeric,
    from_currency text,
    to_currency text,
    mode text DEFAULT 'at_event_date',
    event_date date DEFAULT NULL,
    close_date date DEFAULT NULL,
    as_of timestamptz DEFAULT now(),
    tenant_id bigint DEFAULT NULL)
RETURNS numeric
LANGUAGE c STABLE PARALLEL SAFE COST 5
AS 'MODULE_PATHNAME', 'crm_convert_currency';
COMMENT ON FUNCTION crm.convert_currency(numeric, text, text, text, date, date, timestamptz, bigint) IS
'An amount in another currency, not rounded, at the rate of crm.exchange_rates that holds on: event_date (mode at_event_date), close_date (at_close_date; '
'today''s where it is NULL, the deal being open) or the tenant''s day at as_of (at_today). The pair''s own rate or its inverse, whichever is later; else '
'through the tenant''s base currency. NULL for a NULL amount or currency. Errors: CR203 where no rate is known, 22004 for at_event_date without a date, 22023 '
'for an unknown mode or code, 22003 for NaN or infinity, CR010 without a tenant. The rates are those of tenant_id, else of the caller''s tenant; 42501 for '
'those of another company, unless the caller owns the CRM.';

CREATE FUNCTION crm.exchange_rate_on(tenant_id bigint, from_currency character, to_currency character, on_date date) RETURNS numeric
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 2
AS 'MODULE_PATHNAME', 'crm_exchange_rate_on';
COMMENT ON FUNCTION crm.exchange_rate_on(bigint, character, character, date) IS
'How many units of a currency one unit of another was worth on a date: the later of the last rate of the pair and the reciprocal of the last one of its '
'inverse, on or before the date; 1 for one and the same. NULL where there is none, or none that the caller may see: for reports, which count what they cannot '
'convert. Reads the rates of a pair once a query.';

CREATE AGGREGATE crm.total(bigint) (SFUNC = pg_catalog.int8pl, STYPE = bigint, COMBINEFUNC = pg_catalog.int8pl, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.total(bigint) IS
'Sum of whole numbers as bigint: as sum, which answers numeric, and several times as fast over many groups. NULL where there is none; error 22003 beyond the '
'range of bigint.';

CREATE FUNCTION crm.local_day(tenant_id bigint, at timestamptz) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_local_day';
COMMENT ON FUNCTION crm.local_day(bigint, timestamptz) IS
'Day of an instant in the time zone of a tenant; NULL where there is no such tenant. Immutable as far as rollups are concerned: a change of the zone rebuilds '
'them.';
