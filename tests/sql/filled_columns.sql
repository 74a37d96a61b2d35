-- What a trigger fills has a default, so that the types that client generators make of a table do not ask for it. Found over the catalogue: a copy of a row with
-- nothing in a column that has no default is refused for that column, or a trigger has filled it.
-- long: 15 s
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT count(*) > 0 AS made FROM crm.generate_demo(1, 42, '2026-06-30');
CREATE TEMP TABLE asked (subject text, column_name text, answer text);
CREATE FUNCTION pg_temp.ask(relation regclass, subject text, name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns CONSTANT text := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '' AND a.attname <> name);
    n bigint;
    was text;
BEGIN
    BEGIN
        EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %1$s AS x LIMIT 1', relation, columns);
        GET DIAGNOSTICS n = ROW_COUNT;
        RAISE EXCEPTION USING ERRCODE = CASE n WHEN 0 THEN 'CR998' ELSE 'CR999' END;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS was = RETURNED_SQLSTATE;
    END;
    INSERT INTO asked VALUES (subject, name, CASE WHEN was = '23502' THEN 'demanded' WHEN was IN ('23505', '23503', '23514', '23P01', 'CR999') THEN 'filled'
                                                  WHEN was = 'CR998' THEN 'no row' ELSE was END);
END
$$;
SELECT count(pg_temp.ask(r.relation, r.subject, a.attname))  > 100 AS asked
FROM crm.registry AS r JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '';
SELECT subject, column_name, answer FROM asked WHERE answer = 'filled' ORDER BY subject COLLATE "C", column_name COLLATE "C";
ROLLBACK;
