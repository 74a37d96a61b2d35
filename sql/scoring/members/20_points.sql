-- Points with decay: the engine on plain values. Tables and commands around it are in the schema.

CREATE TYPE crm.points_result AS (
    state bytea,
    score numeric,
    ceiling double precision,
    rank_key double precision,
    next_crossing timestamptz,
    inside text[],
    crossings jsonb,
    failed text[]
);
COMMENT ON TYPE crm.points_result IS
'State of a lead after something happened. score: at the state''s clock. The score at any later t is at most ceiling + 2^(rank_key - seconds since 2000 at t '
'/ longest half-life). next_crossing: when time alone will cross a threshold, to the second; NULL for never (within a hundred years). inside: thresholds the '
'lead is above. crossings: what was crossed just now, [{"threshold","direction","at","score"}]; NULL for nothing. failed: rules whose condition could not be '
'worked out just now, such as text where a number was expected; they count as not met. NULL for none.';

CREATE TYPE crm.points_parts AS (
    fit numeric,
    engagement numeric,
    score numeric,
    grade text
);
COMMENT ON TYPE crm.points_parts IS
'A score and its two sides, at most 10 decimal digits. score = fit + engagement within the model''s limits. grade: letter of fit and digit of engagement; '
'NULL where the model has no grades.';

CREATE FUNCTION crm.points_check(definition jsonb) RETURNS void
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_check';
COMMENT ON FUNCTION crm.points_check(jsonb) IS
'Refuses a definition of a score model that is not right, with the name of the rule (CR403; a syntax error of a path keeps its own code). Keys: min, max, '
'rules, groups {name: {cap}}, thresholds [{name, enter, leave}], fit_grades and engagement_grades (up to three falling lower bounds), hysteresis. Keys of a '
'rule: name, group, event (none: a fit rule), when (jsonpath), points, cap, decay (none, half_life, linear, step), period, share (lost at each step), repeat '
'(every, once, once_per_object, limited), times, window.';

CREATE FUNCTION crm.decayed_points(points double precision, age double precision, decay text,
                                   period double precision DEFAULT NULL, share double precision DEFAULT NULL)
RETURNS double precision LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_decayed_points';
COMMENT ON FUNCTION crm.decayed_points(double precision, double precision, text, double precision, double precision) IS
'Points of one event at an age, in the unit of the period. half_life: points*2^(-age/period). linear: points*(1-age/period), 0 from period on. step: '
'points*(1-share)^floor(age/period). none: points. An age below 0 counts as 0.';

CREATE FUNCTION crm.points_accum(internal, jsonb, bytea, text, text, timestamptz, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_accum';
COMMENT ON FUNCTION crm.points_accum(internal, jsonb, bytea, text, text, timestamptz, jsonb) IS
'Transition function of crm.points_fold.';
CREATE FUNCTION crm.points_fold_final(internal) RETURNS crm.points_result
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_fold_final';
COMMENT ON FUNCTION crm.points_fold_final(internal) IS 'Final function of crm.points_fold.';
CREATE AGGREGATE crm.points_fold(definition jsonb, base bytea, kind text, object text, occurred_at timestamptz, attributes jsonb) (
    SFUNC = crm.points_accum, STYPE = internal, FINALFUNC = crm.points_fold_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.points_fold(jsonb, bytea, text, text, timestamptz, jsonb) IS
'Takes events into the state of a lead, in the order given (ORDER BY), noting thresholds crossed by them and by the time between them. base: the state so '
'far, NULL for none; the same in every row. A row with a null kind is no event. CR403: wrong definition, or a state of another one.';

CREATE FUNCTION crm.points_replay_accum(internal, jsonb, text, text, timestamptz, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_replay_accum';
COMMENT ON FUNCTION crm.points_replay_accum(internal, jsonb, text, text, timestamptz, jsonb) IS
'Transition function of crm.points_replay.';
CREATE FUNCTION crm.points_replay_final(internal) RETURNS bytea
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_replay_final';
COMMENT ON FUNCTION crm.points_replay_final(internal) IS 'Final function of crm.points_replay.';
CREATE AGGREGATE crm.points_replay(definition jsonb, kind text, object text, occurred_at timestamptz, attributes jsonb) (
    SFUNC = crm.points_replay_accum, STYPE = internal, FINALFUNC = crm.points_replay_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.points_replay(jsonb, text, text, timestamptz, jsonb) IS
'State of a lead from all its events in the order given (ORDER BY), without noting crossings. Fit rules are not evaluated: pass the state to crm.points_fit.';

CREATE FUNCTION crm.points_fit(definition jsonb, state bytea, attributes jsonb, at timestamptz, inside text[] DEFAULT NULL,
                               previous bytea DEFAULT NULL)
RETURNS crm.points_result LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_fit';
COMMENT ON FUNCTION crm.points_fit(jsonb, bytea, jsonb, timestamptz, text[], bytea) IS
'Evaluates the fit rules on what the lead is (attributes) as of an instant, noting thresholds crossed. inside: for a replayed state, the thresholds the lead '
'was above before, by name; previous: the state before, whose grade of fit it goes on from. An error inside a jsonpath counts as not met.';

CREATE FUNCTION crm.points_advance(definition jsonb, state bytea, until timestamptz)
RETURNS crm.points_result LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_advance';
COMMENT ON FUNCTION crm.points_advance(jsonb, bytea, timestamptz) IS
'Moves the clock of a state on, noting the thresholds that time alone crosses, each at its instant.';

CREATE FUNCTION crm.points_score(definition jsonb, state bytea, as_of timestamptz)
RETURNS crm.points_parts LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_score';
COMMENT ON FUNCTION crm.points_score(jsonb, bytea, timestamptz) IS
'Score of a state at an instant from its last event on: each event decays by its own age, then sums per rule within the rule''s cap, per group within the '
'group''s, in total within the limits. A NULL state is a lead without events. Exact before the last event only by replaying the events until then.';

CREATE FUNCTION crm.points_explain(definition jsonb, state bytea, as_of timestamptz)
RETURNS TABLE (kind text, item text, group_name text, events bigint, last_event timestamptz,
               decayed numeric, cap_loss numeric, points numeric)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 20
AS 'MODULE_PATHNAME', 'crm_points_explain';
COMMENT ON FUNCTION crm.points_explain(jsonb, bytea, timestamptz) IS
'Why a score is what it is: one row per rule with points or events, per cap of a group in force, and for the limit of the total. points sum to the score to '
'the last digit: each is rounded down to 10 decimals and the largest remainders get the rest. decayed: sum before the rule''s cap; cap_loss: what the rule''s '
'cap takes.';

CREATE FUNCTION crm.points_leaves(definition jsonb, state bytea, as_of timestamptz, low double precision, high double precision)
RETURNS timestamptz LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_leaves';
COMMENT ON FUNCTION crm.points_leaves(jsonb, bytea, timestamptz, double precision, double precision) IS
'The first instant after as_of, to the second, at which time alone takes the score across a bound: to low or below it, above high or back. NULL bounds are '
'none; NULL: never (within a hundred years).';

CREATE FUNCTION crm.points_rules(state bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_rules';
COMMENT ON FUNCTION crm.points_rules(bytea) IS
'The part of a state that events and attributes alone make, without clock, thresholds and grades: equal for a stored state and its replay.';

CREATE FUNCTION crm.points_same(state bytea, other bytea) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_points_same';
COMMENT ON FUNCTION crm.points_same(bytea, bytea) IS
'Whether two states differ in nothing but their clock: scores, grades and crossings to come are the same.';

CREATE FUNCTION crm.points_replay_range(tenant_id bigint, model_id bigint, version integer, definition jsonb,
                                        low bigint, high bigint, at timestamptz)
RETURNS integer LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
-- each table from one end of the range to the other, in the order of its key
SET enable_seqscan = off SET enable_sort = off SET enable_bitmapscan = off SET enable_nestloop = off SET jit = off SET plan_cache_mode = force_generic_plan
AS 'MODULE_PATHNAME', 'crm_points_replay_range';
COMMENT ON FUNCTION crm.points_replay_range(bigint, bigint, integer, jsonb, bigint, bigint, timestamptz) IS
'Makes the states of all leads between two numbers, both included, anew under a definition, from what they are and from the ledger of events, noting '
'thresholds crossed. crm.replay_scores calls it, range by range, while nobody else writes states. Returns how many leads there were.';

CREATE FUNCTION crm.scores_lock(tenant_id bigint) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_scores_lock';
COMMENT ON FUNCTION crm.scores_lock(bigint) IS
'Number for which crm.lock(''scores'', ...) is taken. A writer of states of scores of a tenant holds it shared, from before it reads the models until its '
'transaction ends. A holder of the exclusive lock knows that no state of older rules is on its way. Tenants with the same remainder by 256 share one.';

CREATE FUNCTION crm.points_replay_leads(tenant_id bigint, model_id bigint, leads bigint[], at timestamptz)
RETURNS integer LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_points_replay_leads';
COMMENT ON FUNCTION crm.points_replay_leads(bigint, bigint, bigint[], timestamptz) IS
'States of some leads in an active model anew from their events, as of an instant; what they were inside of before stays, so that only a change is announced. '
'The caller has locked their rows of crm.score_subjects. Returns how many leads there were.';

CREATE FUNCTION crm.score_changed_leads() RETURNS trigger
LANGUAGE c
SET search_path = pg_catalog, pg_temp
-- a plan for a list of one would be made anew for each statement
SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan
AS 'MODULE_PATHNAME', 'crm_score_changed_leads';
COMMENT ON FUNCTION crm.score_changed_leads() IS
'Statement trigger of leads, accounts and contacts, with a transition table new_rows: computes scores again where a column that rules see has changed. '
'An error is reported by a warning and an event score.trouble, and does not undo the statement.';

CREATE FUNCTION crm.take_score_events() RETURNS trigger
LANGUAGE c
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off
AS 'MODULE_PATHNAME', 'crm_take_score_events';
COMMENT ON FUNCTION crm.take_score_events() IS
'Statement trigger of crm.score_events, with a transition table new_events: takes new events of leads into their scores.';

CREATE FUNCTION crm.points_top(tenant_id bigint, model_id bigint, definition jsonb, n integer, as_of timestamptz)
RETURNS TABLE (lead_id bigint, fit numeric, engagement numeric, score numeric, grade text)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 10
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'crm_points_top';
COMMENT ON FUNCTION crm.points_top(bigint, bigint, jsonb, integer, timestamptz) IS
'The n best rows of crm.lead_scores at an instant, from its rank index; crm.top_leads calls it.';
