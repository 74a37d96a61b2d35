-- From a log of purchases to the statistics that the models read.

CREATE TYPE crm.purchase_statistics AS (
    x bigint,
    t_x double precision,
    age double precision,
    mean_spend double precision,
    total_spend double precision,
    first_purchase date,
    last_purchase date
);
COMMENT ON TYPE crm.purchase_statistics IS
'x: days with a purchase after the first one; t_x: from the first to the last of them; age: from the first purchase to as_of, both in the unit asked for; '
'mean_spend: mean of the day totals after the first day, 0 where x = 0; total_spend: all of it, first day included; dates of the first and last purchase.';

CREATE FUNCTION crm.purchase_summary_accumulate(internal, date, double precision, date, text) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_purchase_summary_accumulate';
COMMENT ON FUNCTION crm.purchase_summary_accumulate(internal, date, double precision, date, text) IS 'Part of crm.purchase_summary.';
CREATE FUNCTION crm.purchase_summary_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_purchase_summary_combine';
COMMENT ON FUNCTION crm.purchase_summary_combine(internal, internal) IS 'Part of crm.purchase_summary.';
CREATE FUNCTION crm.purchase_summary_serialize(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_purchase_summary_serialize';
COMMENT ON FUNCTION crm.purchase_summary_serialize(internal) IS 'Part of crm.purchase_summary.';
CREATE FUNCTION crm.purchase_summary_deserialize(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_purchase_summary_deserialize';
COMMENT ON FUNCTION crm.purchase_summary_deserialize(bytea, internal) IS 'Part of crm.purchase_summary.';
CREATE FUNCTION crm.purchase_summary_final(internal) RETURNS crm.purchase_statistics
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_purchase_summary_final';
COMMENT ON FUNCTION crm.purchase_summary_final(internal) IS 'Part of crm.purchase_summary.';

CREATE AGGREGATE crm.purchase_summary(day date, amount double precision, as_of date, unit text) (
    SFUNC = crm.purchase_summary_accumulate, STYPE = internal, SSPACE = 80,
    FINALFUNC = crm.purchase_summary_final, COMBINEFUNC = crm.purchase_summary_combine,
    SERIALFUNC = crm.purchase_summary_serialize, DESERIALFUNC = crm.purchase_summary_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.purchase_summary(date, double precision, date, text) IS
'Statistics of one customer from a log of purchases, as known at the end of day as_of; later rows do not count. Purchases of one day are one, their amounts '
'added. A day is a date in the zone you choose: cast a timestamptz AT TIME ZONE first. unit: day, week, month (365.25 / 12 days) or year. A NULL amount adds '
'nothing; NULL where no row counts. as_of and unit must be the same in every row of a group.';

-- Value of a customer without history: what earlier cohorts were worth.

CREATE TYPE crm.cohort_value AS (
    clv double precision,
    periods integer,
    customers_first double precision,
    customers_last double precision
);
COMMENT ON TYPE crm.cohort_value IS
'clv: discounted margin of an average customer over the periods observed without a gap; periods: their number; customers the first and the last of them rest '
'on.';
CREATE FUNCTION crm.cohort_clv_accumulate(internal, integer, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_cohort_clv_accumulate';
COMMENT ON FUNCTION crm.cohort_clv_accumulate(internal, integer, double precision, double precision, double precision) IS 'Part of crm.cohort_clv.';
CREATE FUNCTION crm.cohort_clv_final(internal) RETURNS crm.cohort_value
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_cohort_clv_final';
COMMENT ON FUNCTION crm.cohort_clv_final(internal) IS 'Part of crm.cohort_clv.';
CREATE AGGREGATE crm.cohort_clv(period integer, margin double precision, customers double precision, rate double precision) (
    SFUNC = crm.cohort_clv_accumulate, STYPE = internal, FINALFUNC = crm.cohort_clv_final
);
COMMENT ON AGGREGATE crm.cohort_clv(integer, double precision, double precision, double precision) IS
'Value of a new customer from what cohorts were seen to earn, a row a cohort and period: period 0 is that of the first purchase, margin what the cohort '
'earned in it, customers all who were in the cohort (also those who bought nothing), rate the discount per period. Leave out the last, incomplete period of '
'each cohort. Nothing beyond the observed periods is counted.';
