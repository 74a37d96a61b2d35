-- Values from the edge of every type, for the tests of tests/attack; after attack.sql.
CREATE TABLE attack.edges (type text NOT NULL, literal text NOT NULL);
INSERT INTO attack.edges
SELECT t.type, l.literal FROM (VALUES
    ('{smallint}'::text[], '{0,-1,32767,-32768}'::text[]), ('{integer}', '{0,-1,2147483647,-2147483648}'), ('{bigint}', '{0,-1,9223372036854775807,-9223372036854775808}'),
    ('{double precision}', '{0,-1,NaN,Infinity,-Infinity,1e308,-1e308,1e155,1e15,5e-324}'), ('{real}', '{0,NaN,Infinity,3e38}'), ('{numeric}', '{0,-1,NaN,Infinity,1e300,1e-300}'),
    ('{boolean}', '{false}'), ('{timestamp with time zone}', '{infinity,-infinity,"294276-12-31 23:59:59+00","4713-01-01 00:00+00 BC","1970-01-01 00:00+00"}'),
    ('{date}', '{infinity,-infinity,5874897-12-31,"4713-01-01 BC"}'), ('{interval}', '{0,-1 day,"178000000 years","-178000000 years"}'), ('{daterange}', '{empty,"(,)","[2026-01-01,)"}'),
    ('{text,name,character}', '{""," ",0,-1e999,a.b,"''\";--"}'), ('{name}', '{postgres}'),
    ('{regclass}', '{4294967295,pg_catalog.pg_class,crm_analytics.time_in_stage,crm.leads_pkey,attack.edges}'), ('{jsonpath}', '{$,$.*,"strict $.a.b.c","$.a ? (@ > 1e400)","$[last]","$.a like_regex \"(a*)*b\""}'),
    ('{bytea}', '{"\\x","\\x00","\\xffffffffffffffffffffffffffffffffffffffffffffffff","\\x01000000ffffff7f0100000000000000000000000000f07f"}'),
    ('{jsonb}', '{[],"null",0,"\"x\"","{}","{\"a\": null}","[[[]]]","{\"\": {\"\": []}}","[1e400]"}'), ('{record}', '{(1)}'), ('{oid}', '{0,4294967295}')) AS v (types, literals),
    unnest(v.types) AS t (type), unnest(v.literals) AS l (literal);
INSERT INTO attack.edges VALUES ('text', repeat('x', 10000)), ('text', repeat('ы', 3000)), ('text', U&'\200F\202E\+01F600\0301'), ('text', U&'\+10FFFF'),
    ('jsonb', repeat('[', 2000) || repeat(']', 2000)), ('jsonb', '{"min": 0, "max": 1e308, "rules": [{"name": "r", "points": 1e308, "half_life_days": 5e-324}]}'),
    ('bytea', '\x' || repeat('ff', 1000)), ('bytea', '\x' || repeat('00', 1000));
-- arrays: none, missing ones, one, many
INSERT INTO attack.edges SELECT e.type || '[]', format('{%s}', x.elements)
FROM (SELECT DISTINCT type FROM attack.edges WHERE type NOT IN ('record', 'jsonpath')) AS e,
     LATERAL (VALUES (''), ('NULL'), ('NULL,NULL,NULL')) AS x (elements);
INSERT INTO attack.edges SELECT e.type || '[]', format('{%s,%1$s}', quote_ident(e.literal)) FROM attack.edges AS e
WHERE e.type IN ('double precision', 'bigint', 'integer', 'numeric', 'timestamp with time zone', 'date') AND e.literal !~ '^[{]';
INSERT INTO attack.edges VALUES ('double precision[]', (SELECT array_agg(i / 7.0)::text FROM generate_series(1, 3000) AS i)), ('double precision[]', '{{1,2},{3,4}}'), ('bigint[]', '{{1,2},{3,4}}'),
    ('double precision[]', '{1e155,-1e155,1e308,-1e308}'), ('double precision[]', '{1e308,1,1,1}'), ('double precision[]', '{-1,0,1e-308,5e-324}'),
    ('double precision[]', '{1,1,1,1,1,1,1,1,1,1,1,1}'), ('double precision[]', '[5:6]={1,2}'), ('bigint[]', (SELECT array_agg(i)::text FROM generate_series(1, 3000) AS i)), ('text[]', '{"",a,a}');
