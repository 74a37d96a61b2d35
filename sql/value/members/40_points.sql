-- Points that expire: what is left of them, over any table of points earned and spent.

CREATE TYPE crm.points_state AS (
    earned bigint,
    burned bigint,
    expired bigint,
    balance bigint,
    next_expires_at timestamptz,
    expiring bigint
);
COMMENT ON TYPE crm.points_state IS
'Points of one ledger at an instant. earned: less what was taken back; burned: spent; expired: unspent when their time came; balance: earned less burned less '
'expired, below 0 where points were spent that were taken back later; next_expires_at and expiring: when points of the balance expire next, and how many (NULL '
'and 0: none will).';

CREATE TYPE crm.points_expiry AS (
    at timestamptz,
    points bigint
);
COMMENT ON TYPE crm.points_expiry IS
'Points that expired unspent, and when; below 0: some of them were taken back later, as with a return of goods, and so were never there to expire.';

CREATE FUNCTION crm.points_accumulate(internal, bigint, timestamptz, timestamptz, timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_accumulate';
COMMENT ON FUNCTION crm.points_accumulate(internal, bigint, timestamptz, timestamptz, timestamptz) IS 'Part of crm.points_state and crm.points_expiries.';

CREATE FUNCTION crm.points_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_combine';
COMMENT ON FUNCTION crm.points_combine(internal, internal) IS 'Part of crm.points_state and crm.points_expiries.';

CREATE FUNCTION crm.points_serialize(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_serialize';
COMMENT ON FUNCTION crm.points_serialize(internal) IS 'Part of crm.points_state and crm.points_expiries.';

CREATE FUNCTION crm.points_deserialize(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_deserialize';
COMMENT ON FUNCTION crm.points_deserialize(bytea, internal) IS 'Part of crm.points_state and crm.points_expiries.';

CREATE FUNCTION crm.points_state_final(internal) RETURNS crm.points_state
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_state_final';
COMMENT ON FUNCTION crm.points_state_final(internal) IS 'Part of crm.points_state.';

CREATE FUNCTION crm.points_expiries_final(internal) RETURNS crm.points_expiry[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_points_expiries_final';
COMMENT ON FUNCTION crm.points_expiries_final(internal) IS 'Part of crm.points_expiries.';

CREATE AGGREGATE crm.points_state(points bigint, at timestamptz, expires_at timestamptz, as_of timestamptz) (
    SFUNC = crm.points_accumulate, STYPE = internal, FINALFUNC = crm.points_state_final,
    COMBINEFUNC = crm.points_combine, SERIALFUNC = crm.points_serialize, DESERIALFUNC = crm.points_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.points_state(bigint, timestamptz, timestamptz, timestamptz) IS
'What a ledger of points comes to at an instant (as_of; of several the latest), over any table with a row for each time points were earned (points above 0, '
'good until expires_at; NULL: for ever), spent (below 0, expires_at NULL) or taken back (below 0, with the expires_at they were earned with). What is spent '
'is taken from the points that expire first; what is taken back from those it was earned with. At one instant points expire, are earned, taken back and '
'spent, in this order, so rows may come in any. Rows after as_of and NULL points do not count; NULL where as_of is. Also over a window: OVER (PARTITION BY '
'customer ORDER BY at), with at for as_of, is the balance after each row. Errors: 22004 points without an instant, 22003 more than a bigint holds.';

CREATE AGGREGATE crm.points_expiries(points bigint, at timestamptz, expires_at timestamptz, as_of timestamptz) (
    SFUNC = crm.points_accumulate, STYPE = internal, FINALFUNC = crm.points_expiries_final,
    COMBINEFUNC = crm.points_combine, SERIALFUNC = crm.points_serialize, DESERIALFUNC = crm.points_deserialize, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.points_expiries(bigint, timestamptz, timestamptz, timestamptz) IS
'Which points of a ledger expired unspent up to an instant, in order of time; arguments and errors are those of crm.points_state. Their sum is its expired.';
