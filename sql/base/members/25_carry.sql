-- Rows made of other rows, and rows written whole, whatever columns their tables have.
CREATE FUNCTION crm.carry_row(target anyelement, source record, purpose text) RETURNS anyelement
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'crm_carry_row';
COMMENT ON FUNCTION crm.carry_row(anyelement, record, text) IS
'A row of a table (NULL::crm.accounts: an empty one) with what it lacks taken from the columns of the same names in another row: plain values fill '
'empty ones, lists and JSON objects are joined with the target''s keys first, keys and generated columns stay. The exceptions of a purpose (merge, '
'convert, capture ...) are rows of crm.column_rules. Nothing is written.';

CREATE FUNCTION crm.given_row(base anyelement, given jsonb, purpose text) RETURNS anyelement
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'crm_given_row';
COMMENT ON FUNCTION crm.given_row(anyelement, jsonb, text) IS
'A row of a table (NULL::crm.leads: an empty one) with the columns that a JSON object names. Errors: 42703 for what is no column, or none that may be '
'given for the purpose (crm.column_rules), with the known ones named; 22023 for a list or object where a plain value belongs; 22xxx, with the column '
'named, for a value that is none of its type.';

CREATE FUNCTION crm.given_columns(like_row anyelement, purpose text) RETURNS text[]
LANGUAGE c STABLE
AS 'MODULE_PATHNAME', 'crm_given_columns';
COMMENT ON FUNCTION crm.given_columns(anyelement, text) IS
'Names of the columns of a table that crm.given_row() takes for a purpose. The first argument says which table: NULL::crm.leads.';

CREATE FUNCTION crm.insert_row(new_row anyelement) RETURNS anyelement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_insert_row';
COMMENT ON FUNCTION crm.insert_row(anyelement) IS
'Stores a row of a table, with the caller''s rights, and returns it as it was stored. NULL in a column with a default means the default; generated '
'columns are computed. NULL where a trigger put the row aside.';

CREATE FUNCTION crm.update_row(before_row anyelement, after_row anyelement) RETURNS anyelement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_update_row';
COMMENT ON FUNCTION crm.update_row(anyelement, anyelement) IS
'Sets the columns in which two rows of a table differ, of the row with the primary key of the first, with the caller''s rights; returns the row as it '
'is then. Nothing is written where they do not differ. NULL where the row is gone or not the caller''s to change. Lock the row before reading it: what '
'others wrote meanwhile is not looked at.';

-- ---- exceptions of single columns ----

CREATE FUNCTION crm.check_column_rule(table_name text, column_name text, rule text, other text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := to_regclass(CASE WHEN table_name LIKE '%.%' THEN table_name ELSE 'crm.' || table_name END);
    wrong text;
BEGIN
    IF table_name = '*' THEN
        RETURN;
    END IF;
    IF relation IS NULL THEN
        RAISE EXCEPTION 'there is no table "%"', table_name
            USING ERRCODE = 'undefined_table', HINT = 'Tables of schema crm are named alone, others with their schema.';
    END IF;
    SELECT string_agg(c.name, ', ') INTO wrong
    FROM (SELECT column_name UNION SELECT other WHERE rule = 'with') AS c (name)
    WHERE NOT crm.column_exists(relation, c.name);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'table "%" has no column %', table_name, wrong
            USING ERRCODE = 'undefined_column', HINT = 'A rule that is for every table with the column has * for its table.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_column_rule(text, text, text, text) IS
'Error where a rule of crm.column_rules is of a table (42P01) or a column (42703) that is not there.';

CREATE FUNCTION crm.declare_column(table_name text, column_name text, purposes text[], rule text, reason text, other text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM crm.check_column_rule(declare_column.table_name, declare_column.column_name, declare_column.rule, declare_column.other);
    INSERT INTO crm.column_rules AS r (table_name, column_name, purposes, rule, other, reason, declared_at)
    VALUES (declare_column.table_name, declare_column.column_name, declare_column.purposes, declare_column.rule,
            declare_column.other, declare_column.reason, now())
    ON CONFLICT (table_name, column_name, purposes, (declared_at IS NULL)) DO UPDATE
    SET rule = excluded.rule, other = excluded.other, reason = excluded.reason, declared_at = excluded.declared_at;
END
$$;
COMMENT ON FUNCTION crm.declare_column(text, text, text[], text, text, text) IS
'Says what becomes of a column where a row is made of another, with the reason; stands beside the CREATE TABLE, for the few columns that '
'are not carried like all others. The arguments are the columns of crm.column_rules. Owners write there themselves. '
'Errors: 42P01, 42703, and the checks of that table.';
SELECT crm.declare_function('crm.check_column_rule', 'owner');
SELECT crm.declare_function('crm.declare_column', 'owner');
