-- Segments and baskets: quantile scores, k-means, association rules.

CREATE FUNCTION crm.rows_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rows_combine';
COMMENT ON FUNCTION crm.rows_combine(internal,internal) IS
'Part of an aggregate.';

CREATE FUNCTION crm.rows_serialize(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rows_serialize';
COMMENT ON FUNCTION crm.rows_serialize(internal) IS
'Part of an aggregate.';

CREATE FUNCTION crm.rows_deserialize(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_rows_deserialize';
COMMENT ON FUNCTION crm.rows_deserialize(bytea,internal) IS
'Part of an aggregate.';

-- Quantile edges and scores (RFM)

CREATE FUNCTION crm.quantile_edges_accumulate(internal, double precision, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_quantile_edges_accumulate';
COMMENT ON FUNCTION crm.quantile_edges_accumulate(internal,double precision,integer) IS
'Part of crm.quantile_edges.';

CREATE FUNCTION crm.quantile_edges_final(internal) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_quantile_edges_final';
COMMENT ON FUNCTION crm.quantile_edges_final(internal) IS
'Part of crm.quantile_edges.';

CREATE AGGREGATE crm.quantile_edges(value double precision, buckets integer) (
    SFUNC = crm.quantile_edges_accumulate, STYPE = internal, FINALFUNC = crm.quantile_edges_final,
    COMBINEFUNC = crm.rows_combine, SERIALFUNC = crm.rows_serialize, DESERIALFUNC = crm.rows_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.quantile_edges(double precision, integer) IS
'The buckets - 1 edges that part the values into buckets of equal number, by linear interpolation (as percentile_cont). NULL values do not count; NULL over '
'no value. Store the edges, so that a score keeps its meaning until you renew them.';

CREATE FUNCTION crm.edge_score(value double precision, edges double precision[], lower_is_better boolean) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_edge_score';
COMMENT ON FUNCTION crm.edge_score(double precision,double precision[],boolean) IS
'Score of a value by stored edges: 1 + number of edges strictly below it; with lower_is_better (recency) counted from the top. Equal values have equal '
'scores. NULL for NULL: who never bought has no score. Error CR402 for edges that fall.';

-- k-means

CREATE TYPE crm.kmeans_result AS (
    clusters integer,
    centres double precision[],
    sizes bigint[],
    inertia double precision,
    points bigint,
    left_out bigint,
    iterations integer,
    settled boolean
);
COMMENT ON TYPE crm.kmeans_result IS
'clusters: number found, at most that of distinct points; centres: a matrix with a row a centre; sizes: points of each; inertia: sum of squared distances to '
'the nearest centre; left_out: points with a NULL; iterations of the best start; settled: no point changed its cluster any more. With 100,000 points and more '
'a start also ends, unsettled, when the squared moves of its centres are less than 0.0001 of the mean variance.';

CREATE FUNCTION crm.kmeans_accumulate(internal, double precision[], integer, bigint, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_kmeans_accumulate';
COMMENT ON FUNCTION crm.kmeans_accumulate(internal,double precision[],integer,bigint,integer) IS
'Part of crm.kmeans.';

CREATE FUNCTION crm.kmeans_final(internal) RETURNS crm.kmeans_result
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_kmeans_final';
COMMENT ON FUNCTION crm.kmeans_final(internal) IS
'Part of crm.kmeans.';

CREATE AGGREGATE crm.kmeans(point double precision[], clusters integer, seed bigint, starts integer) (
    SFUNC = crm.kmeans_accumulate, STYPE = internal, FINALFUNC = crm.kmeans_final,
    COMBINEFUNC = crm.rows_combine, SERIALFUNC = crm.rows_serialize, DESERIALFUNC = crm.rows_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.kmeans(double precision[], integer, bigint, integer) IS
'k-means by squared Euclidean distance: the best of a number of k-means++ starts (Arthur and Vassilvitskii 2007), each run to rest with the bounds of Hamerly '
'(2010). The same points and seed give the same result whatever the order of rows or the plan. Bring coordinates to one scale first. Points with a NULL are '
'left out; NULL over no point.';

CREATE FUNCTION crm.nearest_centre(point double precision[], centres double precision[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_nearest_centre';
COMMENT ON FUNCTION crm.nearest_centre(double precision[],double precision[]) IS
'Number, from 1, of the row of centres nearest to the point; the lower number of two equally near. NULL where a coordinate is.';

CREATE FUNCTION crm.silhouette_accumulate(internal, double precision[], integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_silhouette_accumulate';
COMMENT ON FUNCTION crm.silhouette_accumulate(internal,double precision[],integer) IS
'Part of crm.silhouette.';

CREATE FUNCTION crm.silhouette_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_silhouette_final';
COMMENT ON FUNCTION crm.silhouette_final(internal) IS
'Part of crm.silhouette.';

CREATE AGGREGATE crm.silhouette(point double precision[], cluster integer) (
    SFUNC = crm.silhouette_accumulate, STYPE = internal, FINALFUNC = crm.silhouette_final,
    COMBINEFUNC = crm.rows_combine, SERIALFUNC = crm.rows_serialize, DESERIALFUNC = crm.rows_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.silhouette(double precision[], integer) IS
'Mean silhouette of a clustering (Rousseeuw 1987), from -1 to 1; a cluster of one point counts 0. Compares all pairs, so at most 50,000 points: take a '
'sample. NULL for fewer than two clusters.';

-- Association rules

CREATE TYPE crm.frequent_itemset AS (
    items text[],
    count bigint,
    support double precision
);
COMMENT ON TYPE crm.frequent_itemset IS 'Items in bytewise order, baskets that hold all of them, and their share of all baskets.';

CREATE TYPE crm.association_rule AS (
    lhs text[],
    rhs text[],
    count bigint,
    lhs_count bigint,
    rhs_count bigint,
    support double precision,
    confidence double precision,
    lift double precision,
    leverage double precision,
    conviction double precision,
    zhang double precision,
    jaccard double precision,
    cosine double precision,
    kulczynski double precision,
    chi_square double precision,
    p_value double precision
);
COMMENT ON TYPE crm.association_rule IS
'Who has lhs also has rhs. count: baskets with both; support: their share; confidence: count / lhs_count; lift: confidence over the share of rhs; leverage: '
'support less what independence gives; conviction: Infinity where the confidence is 1; zhang: leverage over its bound, 0 where that is 0; jaccard, cosine and '
'kulczynski as usual; chi_square and p_value: Pearson test of independence with one degree of freedom, NULL where a side is in every basket (multiply the '
'p-value by the number of rules looked at before you believe it).';

CREATE FUNCTION crm.baskets_accumulate(internal, bigint, text, double precision, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_baskets_accumulate';
COMMENT ON FUNCTION crm.baskets_accumulate(internal,bigint,text,double precision,integer) IS
'Part of crm.frequent_itemsets.';

CREATE FUNCTION crm.rule_baskets_accumulate(internal, bigint, text, double precision, double precision, integer, integer, integer) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_baskets_accumulate';
COMMENT ON FUNCTION crm.rule_baskets_accumulate(internal, bigint, text, double precision, double precision, integer, integer, integer) IS
'Part of crm.association_rules.';

CREATE FUNCTION crm.frequent_itemsets_final(internal) RETURNS crm.frequent_itemset[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_frequent_itemsets_final';
COMMENT ON FUNCTION crm.frequent_itemsets_final(internal) IS
'Part of crm.frequent_itemsets.';

CREATE FUNCTION crm.association_rules_final(internal) RETURNS crm.association_rule[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_association_rules_final';
COMMENT ON FUNCTION crm.association_rules_final(internal) IS
'Part of crm.association_rules.';

CREATE AGGREGATE crm.frequent_itemsets(basket bigint, item text, min_support double precision, max_length integer) (
    SFUNC = crm.baskets_accumulate, STYPE = internal, FINALFUNC = crm.frequent_itemsets_final
);
COMMENT ON AGGREGATE crm.frequent_itemsets(bigint, text, double precision, integer) IS
'Sets of items in at least min_support (a share) of the baskets, from rows of (basket, item); an item twice in a basket counts once, a NULL item makes a '
'basket without one. A set needs count >= min_support * baskets, with nothing rounded down. max_length: NULL for 10. Unnest the result. Vertical bitsets '
'(Eclat, Zaki 2000).';

CREATE AGGREGATE crm.association_rules(basket bigint, item text, min_support double precision, min_confidence double precision,
                                       min_length integer, max_length integer, max_right integer) (
    SFUNC = crm.rule_baskets_accumulate, STYPE = internal, FINALFUNC = crm.association_rules_final
);
COMMENT ON AGGREGATE crm.association_rules(bigint, text, double precision, double precision, integer, integer, integer) IS
'Association rules from rows of (basket, item), with counts and measures of each. min_length and max_length: items of both sides together (NULL for 2 and 10; '
'1 adds rules with nothing on the left); max_right: most items on the right (NULL for 1). Unnest the result.';
