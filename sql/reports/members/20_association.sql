-- Whether two things go together by more than chance.

CREATE FUNCTION crm.association_p(won_with bigint, lost_with bigint, won_without bigint, lost_without bigint) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_association_p';
COMMENT ON FUNCTION crm.association_p(bigint, bigint, bigint, bigint) IS
'Probability of an association at least as strong as that of a two-by-two table of counts, if there were none: Fisher''s exact test, two-sided, where an '
'expected count is below 5, else Pearson''s chi-squared with one degree of freedom, without correction for continuity. NULL where a row or column is empty; '
'error 22023 for negative counts.';
