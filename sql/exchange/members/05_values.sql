-- Reading the cells of an import.  What cannot be read without guessing is NULL, and the _fault function says why.

CREATE FUNCTION crm.import_cell(data jsonb, columns text[], joined text, nothing text[], replaced jsonb, number boolean) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_cell';
COMMENT ON FUNCTION crm.import_cell(jsonb, text[], text, text[], jsonb, boolean) IS
'Text of the columns of a source row without blanks at its ends, several joined. Empty cells and the texts of nothing count as none; replaced says what '
'takes the place of a text (null: nothing); number: it is read as a number afterwards. NULL where nothing is left.';

CREATE FUNCTION crm.import_number(value text, "decimal" text, "grouping" text) RETURNS numeric
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_number';
COMMENT ON FUNCTION crm.import_number(text, text, text) IS
'A number as exports write it: Latin, Persian or Arabic digits, a sign or name of a currency, percent (12 % is 12), a minus before or behind or brackets '
'for negatives. decimal is ., a comma or /; grouping is ., a comma, an apostrophe, a blank, or empty for none; NULL where not declared. NULL for what cannot '
'be read, and for what could be read in two ways, such as 1,200 without a declaration.';

CREATE FUNCTION crm.import_number_fault(value text, "decimal" text, "grouping" text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_number_fault';
COMMENT ON FUNCTION crm.import_number_fault(text, text, text) IS 'Why crm.import_number() cannot read a number; NULL: it can.';

CREATE FUNCTION crm.import_currencies(value text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_currencies';
COMMENT ON FUNCTION crm.import_currencies(text) IS
'Codes of the currencies that an amount says it may be in, by signs ($ is one of many dollars, € the euro), names and codes; NULL where it says none, empty '
'where it says two that contradict each other.';

CREATE FUNCTION crm.import_instant(value text, date_order text, zone text) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_instant';
COMMENT ON FUNCTION crm.import_instant(text, text, text) IS
'An instant as exports write it; one without a zone of its own is in the given one, a date alone is its midnight. date_order: any, ymd, dmy, mdy, jalali, '
'epoch, epoch_ms or excel (days since 1899-12-30). Names of months may be English or Persian; years of 1200 to 1599 are Jalali. NULL for what cannot be read '
'and, with any, for a day that could be a month.';

CREATE FUNCTION crm.import_date(value text, date_order text, zone text) RETURNS date
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_date';
COMMENT ON FUNCTION crm.import_date(text, text, text) IS
'A day as exports write it, see crm.import_instant(): the day that is written, or that of an instant with a zone of its own in the given zone.';

CREATE FUNCTION crm.import_date_fault(value text, date_order text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_import_date_fault';
COMMENT ON FUNCTION crm.import_date_fault(text, text) IS 'Why crm.import_instant() cannot read a date; NULL: it can.';

CREATE FUNCTION crm.read_csv(content text, separator text DEFAULT NULL)
RETURNS TABLE (line bigint, cells text[])
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 1000
AS 'MODULE_PATHNAME', 'crm_read_csv';
COMMENT ON FUNCTION crm.read_csv(text, text) IS
'The lines of a file with separated values (RFC 4180), each with its cells. separator: one character; without it the one of comma, semicolon, tab and bar '
'that the first line has most of. Empty lines are left out. Error 22P04 for quotes that do not end.';
