-- Rows as conditions see them: the same as to_jsonb(), by a way of its own.
\set ON_ERROR_ROLLBACK on
BEGIN;
CREATE TYPE pg_temp.pair AS (a int, b text);
CREATE TEMP TABLE kinds (
    id bigint, small int2, middle int4, truth boolean, name text, code char(4), short varchar(9), amount numeric(20,4), free numeric,
    float double precision, day date, moment timestamptz, plain timestamp, span interval, tags text[], nums int[], matrix int[],
    doc jsonb, old json, pair pg_temp.pair, bytes bytea, gone text, "Odd ""name" text, nothing text);
ALTER TABLE kinds DROP COLUMN gone;
INSERT INTO kinds VALUES
    (1, -2, 3, true, 'quote " and ü', 'ab', 'x', 12.5000, 1e-20, 0.1, '2026-02-28', '2026-03-29 01:30+00', '2026-03-29 01:30', '3 days',
     '{a,NULL,"b c"}', '{1,2}', '{{1,2},{3,4}}', '{"a": null, "b": {"c": null, "d": [null, {"e": null}]}}', '{"z": 1, "a": null}', (1, NULL), '\x01', 'odd', NULL),
    (9223372036854775807, 0, -2147483648, false, '', '    ', '', 0, 'NaN', 'Infinity', 'infinity', 'infinity', '-infinity', '0',
     '{}', '{}', '{}', '{}', '[]', (NULL, NULL), '', '', 'x'),
    (0, 1, 1, NULL, repeat('long ', 3000), NULL, NULL, NULL, 'Infinity', 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'null', '1', NULL, NULL, NULL, NULL),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '"text"', NULL, NULL, NULL, NULL, NULL),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[1, null, {"a": null}]', NULL, NULL, NULL, NULL, NULL);

-- equal in value, in text and in bytes
SELECT id, f = j AS equal, f::text = j::text AS same_text, pg_column_size(f) = pg_column_size(j) AS same_size
FROM (SELECT k.id, crm.row_facts(k, '{small,tags,unknown}') AS f, jsonb_strip_nulls(to_jsonb(k) - '{small,tags,unknown}'::text[]) AS j FROM kinds AS k) AS x
ORDER BY id;
SELECT crm.row_facts(k, '{}') = jsonb_strip_nulls(to_jsonb(k)) AS all_columns FROM kinds AS k WHERE id = 1;
SELECT crm.row_facts(NULL::kinds, '{}') IS NULL AS null_row, crm.row_facts(r, '{}') FROM (SELECT 1 AS a, NULL AS b, 'x' AS c) AS r;
-- the rows of one call may be of several types, and a type may change
SELECT crm.row_facts(CASE WHEN i % 2 = 0 THEN ROW(i) ELSE ROW(i, 'odd'::text) END, '{}') FROM generate_series(1, 4) AS i;
PREPARE facts AS SELECT crm.row_facts(k, '{id,small,middle,truth,name,code,short,amount,free,float,day,moment,plain,span,tags,nums,matrix,doc,old,pair,bytes}') FROM kinds AS k WHERE id = 1;
EXECUTE facts;
ALTER TABLE kinds ADD COLUMN later int DEFAULT 7;
EXECUTE facts;

-- conditions: each path against its meaning over the whole row
CREATE TEMP TABLE paths (path jsonpath);
INSERT INTO paths VALUES
    ('$'), ('$.middle == 3'), ('$.middle > 0 && $.truth == true'), ('!($.middle > 0)'), ('$.nothing == null'), ('$.unknown == null'),
    ('strict $.unknown == null'), ('strict $.nothing == null'), ('$.tags[*] == "a"'), ('$.tags[0] == "a"'), ('$.tags.size() == 3'), ('$.tags ? (@ == "b c")'),
    ('$ ? (@.middle == 3)'), ('$ ? (@.middle == 3).truth'), ('$ ? (@.doc.b.exists == 1 || @.middle == 3) ? (@.truth == true).name'),
    ('$.doc ? (exists(@.b.c))'), ('$.doc.b ? ($.middle == 3)'), ('$.* == 3'), ('$.keyvalue() ? (@.key == "middle").value == 3'), ('$[*].middle == 3'),
    ('$.** ? (@ == 3)'), ('$.type() == "object"'), ('$.middle + $.small == 1'), ('-$.small == 2'), ('$.name like_regex "^quote"'),
    ('$.name starts with "quote"'), ('exists($.pair.a)'), ('($.middle > 5) is unknown'), ('$.nums[$.small + 2] == 1'), ('$.nums[last] == 2'),
    ('$.amount == 12.5'), ('$.truth'), ('$.later == 7'), ('$."Odd \"name" == "odd"'), ('1 == 1'), ('$.day.datetime() < "2027-01-01".datetime()'),
    ('$.nums ? (@ > $.small)'), ('($.middle ? (@ > 1)) == 3'), ('$.middle.abs() == 3'), ('$.code == "ab  "');
SELECT count(*) AS judged, count(*) FILTER (WHERE crm.condition_holds(to_jsonb(k), path)) AS hold,
       count(*) FILTER (WHERE crm.row_holds(k, path) IS DISTINCT FROM crm.condition_holds(to_jsonb(k), path)) AS differ
FROM paths, kinds AS k;
SELECT path FROM paths, kinds AS k WHERE k.id = 1 AND crm.row_holds(k, path) ORDER BY path::text COLLATE "C";
SELECT crm.row_holds(k, NULL) AS no_condition, crm.row_holds(NULL::kinds, '$') AS no_row FROM kinds AS k WHERE id = 1;
ROLLBACK;
