-- Attribution: weights of touches, credits of channels, chains; bad input.
\set ON_ERROR_ROLLBACK on
BEGIN;

-- one journey by every rule
SELECT m.model, crm.touch_weights(m.model, '{search,email,direct}') AS weights
FROM unnest('{first,last,last_non_direct,linear,position,w_shaped,shapley}'::text[]) WITH ORDINALITY AS m (model, place) ORDER BY m.place;
SELECT crm.touch_weights('time_decay', '{a,b,c}', NULL, NULL, '{"half_life": 1}') AS steps;
SELECT crm.touch_weights('time_decay', '{a,b}', '{2026-01-01,2026-01-08}', '2026-01-08', '{"half_life": 7}') AS a_week_apart;
SELECT crm.touch_weights('position', '{a}') AS one, crm.touch_weights('position', '{a,b}') AS two, crm.touch_weights('position', '{a,b,c,d}') AS four;
SELECT crm.touch_weights('position', '{a,b,c}', NULL, NULL, '{"first_share": 0.2, "last_share": 0.5}') AS shares;
SELECT crm.touch_weights('w_shaped', '{a,b,c,d,e}', NULL, NULL, '{"key_touch": 3}') AS lead_made_at_the_third;
SELECT crm.touch_weights('last_non_direct', '{a,direct,direct}') AS passed_over, crm.touch_weights('last_non_direct', '{direct,direct}') AS nothing_else,
       crm.touch_weights('last_non_direct', '{a,web}', NULL, NULL, '{"direct": "web"}') AS named;
SELECT crm.touch_weights('shapley', '{a,b,a,a}') AS a_channel_counts_once;
-- the window, touches after the end, and touches of one instant
SELECT crm.touch_weights('linear', '{a,b,c}', '{2026-01-01,2026-03-01,2026-03-05}', '2026-03-04', '{"window": 30}') AS only_b;
SELECT crm.touch_weights('first', '{a,b}', '{2025-01-01,2025-01-02}', '2026-03-04', '{"window": 30}') AS none;
SELECT crm.touch_weights('first', '{a,b,c}', '{2026-01-01,2026-01-01,2026-01-02}', NULL, '{"same_instant": "share"}') AS tied,
       crm.touch_weights('first', '{a,b,c}', '{2026-01-01,2026-01-01,2026-01-02}', NULL, '{"same_instant": "order"}') AS as_given;
SELECT crm.touch_weights('linear', '{}') AS empty, crm.touch_weights('linear', NULL) AS none, crm.touch_weights('linear', '{a,NULL,b}') AS a_touch_without_channel;
SELECT bool_and((SELECT sum(w) FROM unnest(crm.touch_weights(m, p)) AS w) = 1) AS weights_sum_to_one
FROM unnest('{first,last,last_non_direct,linear,position,w_shaped,time_decay,shapley}'::text[]) AS m,
     (SELECT array_agg(chr(97 + (i * k) % 7)) AS p FROM generate_series(1, 40) AS k, LATERAL generate_series(1, k) AS i GROUP BY k) AS paths;

-- money adds up to the cent
SELECT crm.split_amount(100, '{0.333333,0.333333,0.333334}') AS thirds, crm.split_amount(0.05, '{1,1,1}') AS few_cents, crm.split_amount(-9.99, '{0.5,0.5}') AS returned,
       crm.split_amount(10, '{0,0}') AS nothing, crm.split_amount(1000, '{1,2}', 0) AS rials;
SELECT bool_and((SELECT sum(x) FROM unnest(crm.split_amount(a, crm.touch_weights('linear', p))) AS x) = a) AS exact
FROM (SELECT (n * 7919 % 100000)::numeric / 100 AS a, array_agg(i::text) AS p FROM generate_series(1, 200) AS n, LATERAL generate_series(1, n % 13 + 1) AS i GROUP BY n) AS s;

-- credits of a table of journeys
CREATE TEMP TABLE journeys (id int, channels text[], won float8, amount float8, lost float8);
INSERT INTO journeys VALUES (1, '{C1,C2,C3}', 1, 300, 0), (2, '{C1}', 0, NULL, 1), (3, '{C2,C3}', 0, NULL, 1), (4, '{}', 1, 50, 0), (5, NULL, 1, 10, 0);
SELECT a.* FROM (SELECT (crm.attribution('linear', channels, NULL, NULL, won, amount, NULL)).* FROM journeys) AS a;
SELECT u.* FROM (SELECT (crm.markov_attribution(channels, won, amount, lost, 1)).* FROM journeys) AS a,
       unnest(a.channels, a.conversions, a.amounts, a.removal_effects) AS u (channel, conversions, amount, removal_effect);
SELECT a.journeys, a.left_out, a.unattributed_conversions, a.unattributed_amount, round(a.conversion_probability::numeric, 6) AS p
FROM (SELECT (crm.markov_attribution(channels, won, amount, lost, 1)).* FROM journeys) AS a;
SELECT u.* FROM (SELECT (crm.markov_steps(channels, won, lost, 2)).* FROM journeys) AS s, unnest(s.from_state, s.to_state, s.weight, s.probability) AS u (f, t, w, p)
ORDER BY u.f COLLATE "C", u.t COLLATE "C";
SELECT u.channel, round(u.c::numeric, 6) AS conversions FROM (SELECT (crm.logistic_attribution(channels, won, amount, lost, 1)).* FROM journeys) AS a,
       unnest(a.channels, a.conversions) AS u (channel, c);
-- an order that is longer than any journey knows each journey by heart: the effect is the share of conversions that met the channel
SELECT u.channel, round(u.r::numeric, 9) AS removal_effect
FROM (SELECT (crm.markov_attribution(channels, won, 0, lost, 8)).*
      FROM (VALUES ('{a,b}'::text[], 2, 1), ('{b,c}', 1, 3), ('{a,c}', 1, 1)) AS j (channels, won, lost)) AS m, unnest(m.channels, m.removal_effects) AS u (channel, r);
-- repeats change nothing at order 1, and no channel is credited twice
SELECT (crm.markov_attribution(c, 1, 0, n, 1)).removal_effects AS plain FROM (VALUES ('{a,b}'::text[], 1), ('{b}', 2)) AS j (c, n);
SELECT (crm.markov_attribution(c, 1, 0, n, 1)).removal_effects AS repeated FROM (VALUES ('{a,a,a,b,b}'::text[], 1), ('{b,b}', 2)) AS j (c, n);
-- a channel that never converts, no conversion at all, no row
SELECT (crm.markov_attribution(c, w, 0, l, 1)).* FROM (VALUES ('{a}'::text[], 1, 0), ('{b}', 0, 5)) AS j (c, w, l);
SELECT (crm.markov_attribution('{a}'::text[], 0, 0, 3, 1)).conversions AS none_converted;
SELECT (crm.attribution('first', NULL::text[], NULL, NULL, 1, 1, NULL)).* FROM generate_series(1, 2);
SELECT crm.attribution('first', '{a}'::text[], NULL, NULL, 1, 1, NULL) FROM generate_series(1, 0);
-- the order of rows does not count
SELECT count(DISTINCT x) AS answers
FROM (SELECT crm.markov_attribution(channels, won, amount, lost, 2 ORDER BY CASE WHEN o > 0 THEN id ELSE -id END)::text AS x
      FROM journeys, unnest('{-1,1}'::int[]) AS o GROUP BY o) AS s;

-- what is refused
SELECT crm.touch_weights('middle', '{a}');
SELECT crm.touch_weights('linear', '{a}', NULL, NULL, '{"windows": 3}');
SELECT crm.touch_weights('linear', '{a}', NULL, NULL, '{"window": "a month"}');
SELECT crm.touch_weights('linear', '{a}', NULL, NULL, '[1]');
SELECT crm.touch_weights('position', '{a}', NULL, NULL, '{"first_share": 0.7}');
SELECT crm.touch_weights('linear', '{a,b}', '{2026-01-01}');
SELECT crm.touch_weights('linear', '{a,b}', '{2026-01-02,2026-01-01}');
SELECT crm.touch_weights('linear', '{a}', '{infinity}');
SELECT crm.touch_weights('linear', '{{a},{b}}');
SELECT crm.attribution('linear', '{a}'::text[], NULL, NULL, -1, 0, NULL);
SELECT crm.attribution('linear', '{a}'::text[], NULL, NULL, 1, 'NaN', NULL);
SELECT crm.attribution(m, '{a}'::text[], NULL, NULL, 1, 1, NULL) FROM unnest('{first,last}'::text[]) AS m;
SELECT crm.markov_attribution('{a}'::text[], 1, 0, 0, 9);
SELECT crm.markov_attribution('{a}'::text[], 'infinity', 0, 0, 1);
SELECT crm.markov_attribution('{a}'::text[], 1, 0, 0, o) FROM unnest('{1,2}'::int[]) AS o;
SELECT crm.logistic_attribution('{a}'::text[], 1, 0, 0, 1);
SELECT crm.logistic_attribution('{a}'::text[], 1, 0, 1, -1);
ROLLBACK;
