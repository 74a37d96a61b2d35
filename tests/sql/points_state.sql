-- Points that expire: crm.points_state() and crm.points_expiries() against a plain simulation, lot by lot, over thousands of random ledgers; and what they refuse.
\set QUIET 1
SET client_min_messages = warning;
SET TimeZone = 'UTC';

-- every lot by itself, one point after the other in effect: nothing of the method under test
CREATE FUNCTION pg_temp.simulated(entries jsonb, as_of timestamptz)
RETURNS crm.points_state
LANGUAGE plpgsql
AS $$
DECLARE
    e record;
    lot record;
    s crm.points_state := (0, 0, 0, 0, NULL, 0);
    owed bigint := 0;
    rest bigint;
    part bigint;
    instant timestamptz;
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS lots (n integer, expires_at timestamptz, remains bigint, lapsed bigint);
    TRUNCATE lots;
    FOR e IN SELECT x.*, ordinality AS n FROM ROWS FROM (jsonb_to_recordset(entries) AS (points bigint, at timestamptz, expires_at timestamptz)) WITH ORDINALITY AS x (points, at, expires_at)
             WHERE x.at <= as_of AND x.points <> 0
             ORDER BY x.at, CASE WHEN x.points > 0 THEN 0 WHEN x.expires_at IS NOT NULL THEN 1 ELSE 2 END, x.expires_at LOOP
        FOR instant IN SELECT DISTINCT l.expires_at FROM lots AS l WHERE l.expires_at <= e.at AND l.remains > 0 LOOP
            UPDATE lots AS l SET lapsed = l.lapsed + l.remains, remains = 0 WHERE l.expires_at = instant;
        END LOOP;
        rest := abs(e.points);
        IF e.points > 0 THEN
            s.earned := s.earned + rest;
            IF e.expires_at <= e.at THEN
                INSERT INTO lots VALUES (e.n, e.expires_at, 0, rest);
            ELSE
                part := least(owed, rest);
                owed := owed - part;
                INSERT INTO lots VALUES (e.n, coalesce(e.expires_at, 'infinity'), rest - part, 0);
            END IF;
            CONTINUE;
        END IF;
        IF e.expires_at IS NOT NULL THEN
            s.earned := s.earned - rest;
            FOR lot IN SELECT l.* FROM lots AS l WHERE l.expires_at = e.expires_at AND l.remains > 0 ORDER BY l.n LOOP
                part := least(lot.remains, rest);
                UPDATE lots AS l SET remains = l.remains - part WHERE l.n = lot.n;
                rest := rest - part;
            END LOOP;
            FOR lot IN SELECT l.* FROM lots AS l WHERE l.expires_at = e.expires_at AND l.lapsed > 0 ORDER BY l.n LOOP
                part := least(lot.lapsed, rest);
                UPDATE lots AS l SET lapsed = l.lapsed - part WHERE l.n = lot.n;
                rest := rest - part;
            END LOOP;
        ELSE
            s.burned := s.burned + rest;
        END IF;
        FOR lot IN SELECT l.* FROM lots AS l WHERE l.remains > 0 ORDER BY l.expires_at, l.n LOOP
            part := least(lot.remains, rest);
            UPDATE lots AS l SET remains = l.remains - part WHERE l.n = lot.n;
            rest := rest - part;
        END LOOP;
        owed := owed + rest;
    END LOOP;
    UPDATE lots AS l SET lapsed = l.lapsed + l.remains, remains = 0 WHERE l.expires_at <= as_of;
    SELECT coalesce(sum(l.lapsed), 0), coalesce(sum(l.remains), 0) - owed, min(l.expires_at) FILTER (WHERE l.remains > 0 AND l.expires_at < 'infinity')
    INTO s.expired, s.balance, s.next_expires_at FROM lots AS l;
    SELECT coalesce(sum(l.remains), 0) INTO s.expiring FROM lots AS l WHERE l.expires_at = s.next_expires_at;
    RETURN s;
END
$$;

-- ledgers of up to 16 rows within 12 instants, so that most of them meet; a fifth of the rows spend, some take back what was earned, some never expire
CREATE TEMPORARY TABLE entries AS
SELECT g.ledger, g.place, timestamptz '2025-01-01 00:00Z' + d.at * interval '1 day' AS at,
       CASE WHEN d.kind < 0.6 THEN d.points ELSE -d.points END AS points,
       CASE WHEN d.kind >= 0.8 OR d.kind < 0.08 THEN NULL
            ELSE timestamptz '2025-01-01 00:00Z' + CASE WHEN g.ledger % 2 = 0 THEN d.at / 2 * 2 + 4 ELSE d.lasts END * interval '1 day' END AS expires_at
FROM (SELECT l AS ledger, p AS place FROM generate_series(1, 4000) AS l CROSS JOIN LATERAL generate_series(1, 1 + l % 16) AS p) AS g
CROSS JOIN LATERAL (SELECT (abs(hashint8extended(g.ledger * 100 + g.place, 1)) % 12)::integer AS at, (abs(hashint8extended(g.ledger * 100 + g.place, 2)) % 1000) / 1000.0 AS kind,
                           (1 + abs(hashint8extended(g.ledger * 100 + g.place, 3)) % 9)::bigint AS points,
                           (abs(hashint8extended(g.ledger * 100 + g.place, 4)) % 14)::integer AS lasts) AS d;
CREATE TEMPORARY TABLE compared AS
WITH asked AS (
    SELECT e.ledger, i.as_of, jsonb_agg(to_jsonb(e) ORDER BY e.place) AS entries,
           crm.points_state(e.points, e.at, e.expires_at, i.as_of ORDER BY hashint8extended(e.place, 7)) AS found,
           crm.points_expiries(e.points, e.at, e.expires_at, i.as_of) AS expiries
    FROM entries AS e CROSS JOIN LATERAL (SELECT timestamptz '2025-01-01 00:00Z' + (abs(hashint8extended(e.ledger, 5)) % 15)::integer * interval '1 day') AS i (as_of)
    GROUP BY e.ledger, i.as_of
)
SELECT a.*, pg_temp.simulated(a.entries, a.as_of) AS wanted FROM asked AS a;
\pset footer off
SELECT count(*) AS ledgers, count(*) FILTER (WHERE found IS DISTINCT FROM wanted) AS otherwise,
       count(*) FILTER (WHERE (found).balance <> (found).earned - (found).burned - (found).expired) AS unbalanced,
       count(*) FILTER (WHERE (found).expired <> (SELECT coalesce(sum(x.points), 0) FROM unnest(expiries) AS x)) AS expiries_otherwise,
       count(*) FILTER (WHERE (found).balance < 0) > 100 AS some_owe, count(*) FILTER (WHERE (found).expired > 0) > 500 AS some_expire
FROM compared;
\qecho the closed form, where points expire in the order in which they are earned and none is taken back: balance = earned - burned - expired, with
\qecho expired the running maximum of what was earned with an expiry passed less what was spent before it, on ledgers that never owe
CREATE TEMPORARY TABLE plain AS
SELECT e.ledger, e.at, e.points, CASE WHEN e.points > 0 THEN e.at + interval '4 days' END AS expires_at FROM entries AS e WHERE e.ledger <= 2000
UNION ALL SELECT DISTINCT e.ledger, timestamptz '2024-12-31 00:00Z', 40, timestamptz '2025-01-03 12:00Z' FROM entries AS e WHERE e.ledger <= 2000;
CREATE INDEX ON plain (ledger);
ANALYZE plain;
WITH asked AS (
    SELECT p.ledger, crm.points_state(p.points, p.at, p.expires_at, '2025-01-13Z') AS found,
           sum(p.points) FILTER (WHERE p.points > 0) AS earned, coalesce(-sum(p.points) FILTER (WHERE p.points < 0), 0) AS burned FROM plain AS p GROUP BY p.ledger
), gone AS (
    SELECT x.ledger, max(x.lapsed) AS expired
    FROM (SELECT j.ledger, j.expires_at, (SELECT sum(p.points) FROM plain AS p WHERE p.ledger = j.ledger AND p.points > 0 AND p.expires_at <= j.expires_at)
                 + coalesce((SELECT sum(p.points) FROM plain AS p WHERE p.ledger = j.ledger AND p.points < 0 AND p.at < j.expires_at), 0) AS lapsed
          FROM (SELECT DISTINCT p.ledger, p.expires_at FROM plain AS p WHERE p.expires_at <= '2025-01-13Z') AS j) AS x GROUP BY x.ledger
), lowest AS (
    SELECT o.ledger, min((o.s).balance) AS balance
    FROM (SELECT p.ledger, crm.points_state(p.points, p.at, p.expires_at, p.at) OVER (PARTITION BY p.ledger ORDER BY p.at) AS s FROM plain AS p) AS o GROUP BY o.ledger
)
SELECT count(*) > 500 AS many, count(*) FILTER (WHERE (a.found).balance <> a.earned - a.burned - greatest(g.expired, 0)) AS otherwise
FROM asked AS a JOIN gone AS g USING (ledger) JOIN lowest AS l USING (ledger) WHERE l.balance >= 0;
\qecho over a window: the balance after each row
SELECT v.at::date, v.points, (crm.points_state(v.points, v.at, v.expires_at, v.at) OVER (ORDER BY v.at)).*
FROM (VALUES (timestamptz '2025-01-01Z', 100, timestamptz '2025-07-01Z'), ('2025-02-01Z', -30, NULL), ('2025-03-01Z', 50, '2025-09-01Z'),
             ('2025-08-01Z', -40, NULL), ('2025-10-01Z', 5, NULL)) AS v (at, points, expires_at);
\qecho goods returned: while the points are there; after they were spent; after they expired
SELECT w.what, s.* FROM (VALUES ('there', timestamptz '2025-02-01Z', 0), ('spent', '2025-03-01Z', -80), ('expired', '2025-08-01Z', 0)) AS w (what, returned, burned)
CROSS JOIN LATERAL (SELECT (crm.points_state(e.points, e.at, e.expires_at, '2025-12-01Z')).*
                    FROM (VALUES (100::bigint, timestamptz '2025-01-01Z', timestamptz '2025-07-01Z'), (10, '2025-01-05Z', 'infinity'), (-100, w.returned, '2025-07-01Z'),
                                 (w.burned, '2025-02-10Z', NULL)) AS e (points, at, expires_at)) AS s;
\qecho no rows, no instant, none that counts
SELECT crm.points_state(e.p, now(), NULL, now()) AS none, crm.points_expiries(e.p, now(), NULL, now()) AS expiries FROM (SELECT 1::bigint WHERE false) AS e (p);
SELECT crm.points_state(1, '2025-01-01', NULL, NULL) AS no_instant, crm.points_state(NULL, NULL, NULL, '2025-01-01Z') AS no_points,
       crm.points_state(0, NULL, NULL, '2025-01-01Z') AS zero, crm.points_state(5, 'infinity', NULL, '2025-01-01Z') AS not_yet,
       crm.points_state(5, '-infinity', NULL, 'infinity') AS for_ever;
\qecho what is refused
\set VERBOSITY default
\set ON_ERROR_STOP 0
SELECT crm.points_state(1, NULL, NULL, now());
SELECT crm.points_state(p, now(), NULL, now()) FROM unnest('{9223372036854775807,1}'::bigint[]) AS p;
SELECT crm.points_state((-9223372036854775808)::bigint, now(), NULL, now());
\set ON_ERROR_STOP 1
\qecho many workers give the same answer
CREATE TABLE public.many_points AS
SELECT g % 1000 AS customer, CASE WHEN g % 5 = 0 THEN -7 ELSE 3 + g % 11 END::bigint AS points, timestamptz '2024-01-01Z' + g % 700 * interval '1 day' AS at,
       CASE WHEN g % 5 <> 0 THEN timestamptz '2024-07-01Z' + g % 700 * interval '1 day' END AS expires_at FROM generate_series(1, 200000) AS g;
ANALYZE public.many_points;
SET max_parallel_workers_per_gather = 0;
CREATE TEMPORARY TABLE alone AS SELECT m.customer, crm.points_state(m.points, m.at, m.expires_at, '2025-06-01Z') AS s FROM public.many_points AS m GROUP BY m.customer;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) AS customers, count(*) FILTER (WHERE a.s IS DISTINCT FROM t.s) AS otherwise, sum((t.s).balance) AS balance
FROM (SELECT m.customer, crm.points_state(m.points, m.at, m.expires_at, '2025-06-01Z') AS s FROM public.many_points AS m GROUP BY m.customer) AS t JOIN alone AS a USING (customer);
DROP TABLE public.many_points;
DROP FUNCTION pg_temp.simulated(jsonb, timestamptz);
