#!/usr/bin/env bash
# Attribution of a million journeys and a mix model of five years of weeks. The baseline is plain SQL for the same work in the
# same run (window functions for the rules, a count of neighbours for the chain), and numpy for the mix model where it is there.
set -u
. "$REPO/tests/helpers/cluster.sh"

sql <<'SQL'
CREATE TABLE touches (journey int, place int, channel text, at timestamptz);
DO $$ BEGIN PERFORM setseed(0.7); END $$;
INSERT INTO touches
SELECT j, p, 'channel ' || floor(50 * random() ^ 2)::int, timestamptz '2026-01-01' + (j % 300 + p) * interval '1 day'
FROM generate_series(1, 1000000) AS j, generate_series(1, 1 + (j::bigint * 7919 % 7)::int) AS p;
CREATE TABLE journeys AS
SELECT journey, array_agg(channel ORDER BY place) AS channels, array_agg(at ORDER BY place) AS at, max(at) AS converted_at,
       (journey % 9 = 0)::int::float8 AS won, (journey % 9 <> 0)::int::float8 AS lost, CASE WHEN journey % 9 = 0 THEN 100.0::float8 END AS amount
FROM touches GROUP BY journey;
CREATE TABLE weeks AS
SELECT '2020-01-06'::date + 7 * w AS week, 1000 + 50 * random() + 40 * sin(w / 8.3) AS revenue, s.spend
FROM generate_series(0, 259) AS w, LATERAL (SELECT jsonb_object_agg('c' || c, round((100 * random() ^ 2 + c * w % 7)::numeric, 2)) AS spend FROM generate_series(1, 12) AS c) AS s;
VACUUM ANALYZE touches, journeys, weeks;
SQL

. "$REPO/tests/bench/timed.inc"
linear=$(best "SELECT channel, sum(won / n) FROM (SELECT u.channel, j.won, cardinality(j.channels) AS n FROM journeys AS j, unnest(j.channels) AS u (channel)) AS s GROUP BY 1")
decay=$(best "SELECT channel, sum(won * w / total)
              FROM (SELECT u.channel, j.won, j.journey, exp(-0.1 * extract(epoch FROM j.converted_at - u.at) / 86400) AS w,
                           sum(exp(-0.1 * extract(epoch FROM j.converted_at - u.at) / 86400)) OVER (PARTITION BY j.journey) AS total
                    FROM journeys AS j, unnest(j.channels, j.at) AS u (channel, at)) AS s GROUP BY 1")
steps=$(best "SELECT f, t, sum(w) FROM (SELECT lag(u.channel) OVER (PARTITION BY j.journey ORDER BY u.place) AS f, u.channel AS t, j.won + j.lost AS w
                                       FROM journeys AS j, unnest(j.channels) WITH ORDINALITY AS u (channel, place)) AS s GROUP BY 1, 2")
for m in first linear position shapley; do
    row "$m, 1M journeys" "SELECT crm.attribution('$m', channels, NULL, NULL, won, amount, NULL) FROM journeys" "$linear" "SQL-linear" 3
done
row "time decay, 1M journeys with instants" "SELECT crm.attribution('time_decay', channels, at, converted_at, won, amount, NULL) FROM journeys" "$decay" SQL 3
row "Markov of order 1, 50 channels, 1M journeys" "SELECT crm.markov_attribution(channels, won, amount, lost, 1) FROM journeys" "$steps" SQL-counts-alone 3
row "Markov of order 2, 50 channels, 1M journeys" "SELECT crm.markov_attribution(channels, won, amount, lost, 2) FROM journeys" "$steps" SQL-counts-alone 10
row "logistic, 50 channels, 1M journeys" "SELECT crm.logistic_attribution(channels, won, amount, lost, 1) FROM journeys" "$steps" SQL-counts-alone 10

numpy=0
if python3 -c 'import numpy' 2>/dev/null; then
    psql -X -At -F, -c "SELECT revenue, $(for c in 1 2 3 4 5 6 7 8 9 10 11 12; do printf "%s spend->>'c%s'" "$([ $c -gt 1 ] && echo ,)" $c; done) FROM weeks ORDER BY week" >"$WORK/weeks.csv"
    numpy=$(python3 - "$WORK/weeks.csv" <<'PY'
import sys, time, numpy as np
d = np.loadtxt(sys.argv[1], delimiter=',')
y, x = d[:, 0], d[:, 1:]
begun = time.time()
def shape(x, theta, alpha, gamma):
    a = np.empty(len(x)); c = 0.0
    for t in range(len(x)):
        c = x[t] + theta * c; a[t] = c
    return a ** alpha / (a ** alpha + (gamma * a.max()) ** alpha)
p = [(0.3, 1, 0.5)] * 12
z = np.column_stack([shape(x[:, c], *p[c]) for c in range(12)])
def left(z):
    q = (z - z.mean(0)) / z.std(0); r = y - y.mean()
    w = np.linalg.solve(q.T @ q + np.eye(12), q.T @ r)
    return ((r - q @ w) ** 2).sum()
for turn in range(2):       # the same grid as ours, two rounds, without validation
    for c in range(12):
        tries = [(0.05 * i, p[c][1], p[c][2]) for i in range(20)] + [(p[c][0], a, 0.1 * g) for a in (0.5, 0.75, 1, 1.5, 2, 3) for g in range(1, 11)]
        def at(q):
            z[:, c] = shape(x[:, c], *q); return left(z)
        p[c] = min(tries, key=at); at(p[c])
print(f'{time.time() - begun:.3f}')
PY
)
fi
row "mix model, 260 weeks x 12 channels, searched and validated" \
    "SELECT crm.mix_model_fit(week, revenue, spend, NULL, '{\"holdout\": 26, \"season\": 52.18, \"trend\": true}') FROM weeks" "$numpy" "numpy-grid-alone" 2
row "the same with 200 draws for intervals" \
    "SELECT crm.mix_model_fit(week, revenue, spend, NULL, '{\"holdout\": 26, \"season\": 52.18, \"trend\": true, \"bootstrap\": 200}') FROM weeks" "$numpy" "numpy-grid-alone" 2.5

# journeys: a hundred thousand members go one step, in passes of twenty thousand as the worker does them; the figure is for a million
people=${JOURNEY_MEMBERS:-100000}
sql >/dev/null <<SQL || status=1
INSERT INTO crm.contacts (tenant_id, id, name) SELECT 1, i, 'Person ' || i FROM generate_series(1, $people) AS i;
SELECT crm.define_journey('{"name": "bench", "steps": [{"do": "wait", "for": "1 day"}, {"do": "branch", "where": "$.department == \"x\""}, {"do": "wait", "for": "1 day"}]}');
SELECT crm.publish_journey('bench');
SELECT cardinality(crm_internal.enter_journey(j, a.ids, array_fill(now(), ARRAY[$people]), 'hand', now()))
FROM crm.journeys AS j, (SELECT array_agg(i::bigint ORDER BY i) AS ids FROM generate_series(1, $people) AS i) AS a;
CREATE SCHEMA bench;
CREATE FUNCTION bench.cpu() RETURNS numeric LANGUAGE sql AS 'SELECT split_part(pg_read_file(''/proc/self/schedstat''), '' '', 1)::numeric / 1e9';
CREATE PROCEDURE bench.one_step(as_of timestamptz) LANGUAGE plpgsql AS 'BEGIN FOR i IN 1 .. $people / 20000 LOOP PERFORM crm.run_journeys(as_of, 20000); COMMIT; END LOOP; END';
VACUUM ANALYZE;
SQL
for step in wait branch; do     # both in the same order for every member, so a pass is one step
    took=$(q <<SQL | tail -1
SELECT bench.cpu() AS begun \gset
CALL bench.one_step(now() + interval '1 day 1 minute');
SELECT round((bench.cpu() - :begun) * 1000000 / $people, 1);
SQL
)
    plain=$(q <<SQL | tail -1
SELECT bench.cpu() AS begun \gset
UPDATE crm.journey_members SET arrived_at = now(), due_at = due_at + interval '1 second';
SELECT round((bench.cpu() - :begun) * 1000000 / $people, 1);
SQL
)
    line "1M journey members, one step ($step), of $people" "${took}s" "${plain}s SQL-update-alone" "$(ratio "$took" "$plain")x" "< 30s" "$(verdict "$took" '<=' 30)"
done
exit $status
