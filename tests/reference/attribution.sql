-- Published and independently computed figures of attribution: every row of reference.csv that belongs to it
-- must be met within its tolerance.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;

CREATE TEMP TABLE reference (algorithm text, dataset text, quantity text, args text, value text, tolerance float8, source text);
\copy reference FROM PROGRAM 'cat "$CRM_DATA/scoring/reference.csv"' WITH (FORMAT csv, HEADER)
ALTER TABLE reference ADD id int GENERATED ALWAYS AS IDENTITY, ADD j jsonb;
UPDATE reference SET j = coalesce(nullif(args, ''), '{}')::jsonb;
DELETE FROM reference WHERE algorithm <> 'attribution';

CREATE TEMP TABLE paths (path_id int, path text, conversions float8, amount float8, nulls float8);
CREATE TEMP TABLE paths_small (example text, path_id int, path text, conversions float8, nulls float8);
\copy paths FROM PROGRAM 'cat "$CRM_DATA/scoring/paths.csv"' WITH (FORMAT csv, HEADER)
\copy paths_small FROM PROGRAM 'cat "$CRM_DATA/scoring/paths_small.csv"' WITH (FORMAT csv, HEADER)
CREATE TEMP TABLE journeys AS
SELECT 'paths' AS dataset, NULL AS example, string_to_array(path, ' > ') AS channels, conversions, amount, nulls FROM paths
UNION ALL
SELECT 'paths_small', example, string_to_array(path, ' > '), conversions, NULL, nulls FROM paths_small;

CREATE TEMP TABLE got AS
WITH models (quantity, model, options) AS (
    VALUES ('first', 'first', NULL::jsonb), ('last', 'last', NULL), ('linear', 'linear', NULL), ('linear_unique', 'shapley', NULL),
           ('position_40_20_40', 'position', NULL), ('time_decay_half1', 'time_decay', '{"half_life": 1}')
), rules AS (
    SELECT j.dataset, j.example, m.quantity, crm.attribution(m.model, j.channels, NULL, NULL, j.conversions, j.amount, m.options) AS a
    FROM journeys AS j, models AS m GROUP BY 1, 2, 3
    UNION ALL
    SELECT j.dataset, j.example, 'shapley_set', crm.shapley_attribution(j.channels, j.conversions, j.amount) FROM journeys AS j GROUP BY 1, 2
), chains AS (
    SELECT j.dataset, j.example, crm.markov_attribution(j.channels, j.conversions, j.amount, j.nulls, 1) AS a FROM journeys AS j GROUP BY 1, 2
)
SELECT r.dataset, r.example, r.quantity, u.channel, NULL AS other, u.value
FROM rules AS r, unnest((r.a).channels, (r.a).conversions) AS u (channel, value)
UNION ALL
SELECT c.dataset, c.example, v.quantity, u.channel, NULL, CASE v.quantity WHEN 'markov' THEN u.value ELSE u.removed END
FROM chains AS c, unnest((c.a).channels, (c.a).conversions, (c.a).removal_effects) AS u (channel, value, removed),
     (VALUES ('markov'), ('markov_removal_effect')) AS v (quantity)
UNION ALL
SELECT c.dataset, c.example, 'markov_conversion_probability', NULL, NULL, (c.a).conversion_probability FROM chains AS c
UNION ALL
SELECT s.dataset, s.example, 'markov_transition', u.f, u.t, u.p
FROM (SELECT j.dataset, j.example, crm.markov_steps(j.channels, j.conversions, j.nulls, 1) AS m FROM journeys AS j GROUP BY 1, 2) AS s,
     unnest((s.m).from_state, (s.m).to_state, (s.m).probability) AS u (f, t, p)
UNION ALL
SELECT 'paths', 'nulls ignored', 'markov_conversion_probability', NULL, NULL, (crm.markov_attribution(channels, conversions, amount, 0, 1)).conversion_probability
FROM journeys WHERE dataset = 'paths';

DO $$
DECLARE
    bad text;
    n integer;
BEGIN
    SELECT count(*), string_agg(format('%s %s %s: %s, not %s', r.dataset, r.quantity, r.args, g.value, r.value), E'\n')
               FILTER (WHERE g.value IS NULL OR NOT abs(g.value - r.value::float8) <= r.tolerance * greatest(1, abs(r.value::float8)))
    INTO n, bad
    FROM reference AS r
    LEFT JOIN got AS g
        ON g.dataset = r.dataset AND g.quantity = r.quantity
        AND g.example IS NOT DISTINCT FROM CASE WHEN r.j ? 'nulls' THEN 'nulls ignored' ELSE r.j ->> 'example' END
        AND g.channel IS NOT DISTINCT FROM coalesce(r.j ->> 'channel', r.j ->> 'from') AND g.other IS NOT DISTINCT FROM r.j ->> 'to';
    IF bad IS NOT NULL OR n < 200 THEN
        RAISE EXCEPTION E'% figures compared; these are off:\n%', n, bad;
    END IF;
    RAISE WARNING '% figures of attribution are met', n;
END
$$;

-- credits add up, whatever the model
DO $$
DECLARE
    off float8;
BEGIN
    SELECT max(abs((SELECT sum(x) FROM unnest((a).conversions) AS x) - total)) INTO off
    FROM (SELECT crm.attribution(m, j.channels, NULL, NULL, j.conversions, j.amount, NULL) AS a, sum(j.conversions) AS total
          FROM journeys AS j, unnest('{first,last,last_non_direct,linear,position,w_shaped,time_decay,shapley}'::text[]) AS m
          WHERE j.dataset = 'paths' GROUP BY m
          UNION ALL
          SELECT CAST(ROW((x).channels, (x).conversions, (x).amounts, 0, 0, 0, 0) AS crm.attribution_credit), total
          FROM (SELECT crm.markov_attribution(channels, conversions, amount, nulls, o) AS x, sum(conversions) AS total
                FROM journeys, unnest('{1,2,3}'::int[]) AS o WHERE dataset = 'paths' GROUP BY o) AS k
          UNION ALL
          SELECT CAST(ROW((x).channels, (x).conversions, (x).amounts, 0, 0, 0, 0) AS crm.attribution_credit), total
          FROM (SELECT crm.logistic_attribution(channels, conversions, amount, nulls, 1) AS x, sum(conversions) AS total
                FROM journeys WHERE dataset = 'paths') AS k) AS s;
    IF off > 1e-9 * 20000 THEN
        RAISE EXCEPTION 'credits are % away from the conversions', off;
    END IF;
END
$$;
