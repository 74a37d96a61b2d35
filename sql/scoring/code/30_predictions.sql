-- Predictive models of leads: training that refuses what would deceive, probability with reasons, watch over drift.

-- Fields that are written when or after a lead closes, that name it, or that say whose it is: predictions never use them.
CREATE OR REPLACE FUNCTION crm_internal.lead_leaks()
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{tenant_id,id,name,email,phone,website,message,name_key,company,company_key,email_key,phone_key,utm,consent,pipeline_id,stage_id,stage_entered_at,closed_at,first_response_at,last_capture_at,capture_count,disqualification_reason,disqualification_note,recycle_at,recycle_count,account_id,contact_id,opportunity_id,converted_at,merged_into_id,tags,owner_id,team_id,shared_user_ids,shared_team_ids,source_system,source_id,custom,version,created_at,updated_at,priority}'::text[];
COMMENT ON FUNCTION crm_internal.lead_leaks() IS 'Columns of leads that no model may look at.';

CREATE OR REPLACE FUNCTION crm_internal.lead_features(doc jsonb, fields text[], zone text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(f.name, f.value) FILTER (WHERE jsonb_typeof(f.value) IN ('string', 'number', 'boolean')), '{}')
    FROM (SELECT n AS name, CASE n
              WHEN 'has_phone' THEN to_jsonb(doc ->> 'phone_key' IS NOT NULL)
              WHEN 'has_email' THEN to_jsonb(doc ->> 'email_key' IS NOT NULL)
              WHEN 'has_company' THEN to_jsonb(doc ->> 'company' IS NOT NULL)
              WHEN 'free_mail' THEN CASE WHEN doc ->> 'email_key' IS NOT NULL THEN
                   to_jsonb(split_part(doc ->> 'email_key', '@', 2) ~ '^(gmail|googlemail|yahoo|hotmail|outlook|live|icloud|aol|gmx|mail|proton|protonmail|chmail)[.]') END
              WHEN 'weekday' THEN to_jsonb(to_char((doc ->> 'created_at')::timestamptz AT TIME ZONE zone, 'Dy'))
              WHEN 'part_of_day' THEN to_jsonb((ARRAY['night', 'morning', 'afternoon', 'evening'])[1 + extract(hour FROM (doc ->> 'created_at')::timestamptz AT TIME ZONE zone)::integer / 6])
              WHEN 'log_employees' THEN to_jsonb(ln(1 + (doc ->> 'employees')::double precision))
              WHEN 'log_amount' THEN CASE WHEN (doc ->> 'amount')::numeric >= 0 THEN to_jsonb(ln(1 + (doc ->> 'amount')::double precision)) END
              WHEN 'product_id' THEN to_jsonb(doc ->> 'product_id')
              ELSE CASE WHEN n LIKE 'custom.%' THEN doc #> ARRAY['custom', substr(n, 8)] ELSE doc -> n END
          END AS value
          FROM unnest(fields) AS n) AS f
$$;
COMMENT ON FUNCTION crm_internal.lead_features(jsonb, text[], text) IS 'A lead as a model sees it: a flat object of its fields.';

CREATE OR REPLACE FUNCTION crm_internal.active_model(tenant bigint, model_name text)
RETURNS crm.predictive_models
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.predictive_models;
BEGIN
    SELECT x.* INTO m FROM crm.predictive_models AS x
    WHERE x.tenant_id = tenant AND x.name = model_name AND x.activated_at IS NOT NULL
    ORDER BY x.activated_at DESC, x.version DESC LIMIT 1;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm_internal.active_model(bigint, text) IS 'The model in use; a row of nulls where there is none.';

-- value of a field as a bin of a profile
CREATE OR REPLACE FUNCTION crm.drift_bin(spec jsonb, value jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN value IS NULL OR value = 'null' THEN '(missing)'
                WHEN jsonb_typeof(spec -> 'edges') = 'array' AND jsonb_typeof(value) = 'number'
                THEN 'bin ' || (SELECT count(*) FROM jsonb_array_elements(spec -> 'edges') AS e (edge) WHERE e.edge < drift_bin.value)
                WHEN spec -> 'counts' IS NULL OR spec -> 'counts' ? (value #>> '{}') THEN value #>> '{}'
                ELSE '(unseen)' END
$$;
COMMENT ON FUNCTION crm.drift_bin(jsonb, jsonb) IS
'Bin of a value by the profile of a field in crm.predictive_models: bin 0 to bin 9 for numbers, the level, (missing), or (unseen) where training knew no such '
'level.';

-- Few data say more about each field alone than about all together. On features that are 0 or 1 per level, and on
-- numbers of equal spread, naive Bayes is linear as the logistic model is: the two are blended weight by weight, on the
-- scale of log-odds, and the blend is explained like either.
CREATE OR REPLACE FUNCTION crm_internal.bayes_coefficients(encoding jsonb, place double precision)
RETURNS double precision[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    last_place CONSTANT double precision := place;
    wins double precision;
    losses double precision;
    trust double precision;
    weights double precision[];
BEGIN
    SELECT count(*) FILTER (WHERE r.y = 1), count(*) FILTER (WHERE r.y = 0) INTO wins, losses FROM lead_training AS r WHERE r.place <= last_place;
    -- fields are not independent, and few leads prove little
    trust := least(wins, losses) / (least(wins, losses) + 10);
    WITH sums AS (
        SELECT u.i, coalesce(sum(u.v) FILTER (WHERE r.y = 1), 0) AS won, coalesce(sum(u.v) FILTER (WHERE r.y = 0), 0) AS lost, sum(u.v * u.v) AS squares
        FROM lead_training AS r, unnest(r.x) WITH ORDINALITY AS u (v, i) WHERE r.place <= last_place GROUP BY u.i
    ), columns AS (
        SELECT s.*, t.term = t.field AS is_number, t.field || CASE WHEN f.spec ? 'mean' THEN ' (missing)' ELSE '' END AS levels_of
        FROM sums AS s
        JOIN unnest(crm.encoding_terms(encoding), crm.encoding_fields(encoding)) WITH ORDINALITY AS t (term, field, i) ON t.i = s.i
        JOIN jsonb_array_elements(encoding -> 'fields') AS f (spec) ON f.spec ->> 'field' = t.field
    ), bases AS (
        SELECT c.levels_of, count(*) + 1 AS levels,
               ln((wins - sum(c.won) + 1) / (wins + count(*) + 1)) - ln((losses - sum(c.lost) + 1) / (losses + count(*) + 1)) AS evidence
        FROM columns AS c WHERE NOT c.is_number GROUP BY c.levels_of
    ), spreads AS (
        SELECT c.i, c.won / wins AS mean_won, c.lost / losses AS mean_lost,
               (c.squares - c.won * c.won / wins - c.lost * c.lost / losses) / (wins + losses) AS variance
        FROM columns AS c WHERE c.is_number
    ), parts AS (
        SELECT c.i, ln((c.won + 1) / (wins + b.levels)) - ln((c.lost + 1) / (losses + b.levels)) - b.evidence AS weight
        FROM columns AS c JOIN bases AS b USING (levels_of) WHERE NOT c.is_number
        UNION ALL
        SELECT s.i, CASE WHEN s.variance > 1e-9 THEN (s.mean_won - s.mean_lost) / s.variance ELSE 0 END FROM spreads AS s
    )
    SELECT ARRAY[ln(wins / losses) + trust * (coalesce((SELECT sum(b.evidence) FROM bases AS b), 0)
                 - coalesce((SELECT sum((s.mean_won * s.mean_won - s.mean_lost * s.mean_lost) / (2 * s.variance)) FROM spreads AS s WHERE s.variance > 1e-9), 0))]
           || coalesce((SELECT array_agg(trust * p.weight ORDER BY p.i) FROM parts AS p), '{}')
    INTO weights;
    RETURN weights;
END
$$;
COMMENT ON FUNCTION crm_internal.bayes_coefficients(jsonb, double precision) IS
'Naive Bayes as weights of encoded features, from the rows of lead_training up to a place: levels smoothed by one lead each, numbers with one spread for both '
'outcomes, evidence scaled by n/(n+10) of the rarer outcome.';

CREATE OR REPLACE FUNCTION crm_internal.blend(a double precision[], b double precision[], share double precision)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT array_agg(share * x.a + (1 - share) * x.b ORDER BY x.i) FROM unnest(blend.a, blend.b) WITH ORDINALITY AS x (a, b, i) $$;
COMMENT ON FUNCTION crm_internal.blend(double precision[], double precision[], double precision) IS 'share of the first weights and the rest of the second.';

CREATE OR REPLACE FUNCTION crm.train_lead_model(
    fields text[] DEFAULT NULL, banned text[] DEFAULT '{}', name text DEFAULT 'leads', until timestamptz DEFAULT now(),
    activate boolean DEFAULT true, min_class integer DEFAULT 20)
RETURNS crm.predictive_models
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    zone CONSTANT text := (SELECT x.time_zone FROM crm.tenants AS x WHERE x.tenant_id = t);
    seen text[] := coalesce(fields, '{channel,source,medium,campaign,country,industry,language,product_id,log_employees,log_amount,has_phone,has_email,has_company,free_mail,weekday,part_of_day}');
    derived CONSTANT text[] := '{has_phone,has_email,has_company,free_mail,weekday,part_of_day,log_employees,log_amount}';
    m crm.predictive_models;
    champion crm.predictive_models;
    fit crm.logistic_model;
    platt double precision[];
    wrong text;
    n record;
    quality jsonb;
    best double precision;
    found double precision;
    l double precision;
    f text;
    a double precision;
    spec jsonb;
    open_share double precision;
    bayes double precision[];
    share double precision := 1;
    kept double precision := 1;
    tried double precision[];
    turn double precision;
BEGIN
    IF min_class IS NULL OR min_class < 10 THEN
        RAISE EXCEPTION 'a model needs at least ten leads of each outcome' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF name IS NULL OR name = '' THEN
        RAISE EXCEPTION 'a model needs a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(x, ', ' ORDER BY x) INTO wrong FROM unnest(seen) AS x
    WHERE x = ANY (crm_internal.lead_leaks());
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'these say what became of a lead, who it is or whose it is, and cannot predict it: %', wrong
            USING ERRCODE = 'CR403', HINT = 'Use what is known of a lead when it comes in.';
    END IF;
    SELECT string_agg(x, ', ' ORDER BY x) INTO wrong FROM unnest(seen) AS x
    WHERE x <> ALL (derived) AND NOT EXISTS (
        SELECT FROM pg_attribute AS c WHERE c.attrelid = 'crm.leads'::regclass AND c.attname = x AND c.attnum > 0 AND NOT c.attisdropped)
      AND NOT EXISTS (SELECT FROM crm.custom_fields AS c WHERE c.tenant_id = t AND c.table_name = 'leads' AND 'custom.' || c.name = x);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leads have no such fields: %', wrong USING ERRCODE = 'undefined_column';
    END IF;
    seen := ARRAY(SELECT DISTINCT x FROM unnest(seen) AS x
                  WHERE x <> ALL (coalesce(banned, '{}'))
                    -- what is derived from a banned column is banned with it
                    AND NOT (x = 'log_employees' AND 'employees' = ANY (banned) OR x = 'log_amount' AND 'amount' = ANY (banned)) ORDER BY x);
    IF seen = '{}' THEN
        RAISE EXCEPTION 'no fields are left to train on' USING ERRCODE = 'CR401', HINT = 'Name other fields, or ban fewer.';
    END IF;

    -- closed leads in the order in which they came; what was known of them then, where that was written down
    CREATE TEMPORARY TABLE lead_training ON COMMIT DROP AS
    SELECT x.id, x.created_at, x.email_key, CASE WHEN x.converted_at IS NOT NULL THEN 1 ELSE 0 END::double precision AS y,
           crm_internal.lead_features(coalesce(to_jsonb(x.*) || p.features, to_jsonb(x.*)), seen, zone) AS features,
           percent_rank() OVER (ORDER BY x.created_at, x.id) AS place, NULL::double precision[] AS x
    FROM crm.leads AS x
    LEFT JOIN LATERAL (
        -- only columns as such: derived fields are computed anew from the row
        SELECT jsonb_object_agg(e.key, e.value) AS features
        FROM (SELECT q.features FROM crm.lead_predictions AS q WHERE q.tenant_id = t AND q.lead_id = x.id ORDER BY q.id LIMIT 1) AS q,
             jsonb_each(q.features) AS e
        WHERE e.key <> ALL (derived) AND e.key NOT LIKE 'custom.%') AS p ON true
    WHERE x.tenant_id = t AND x.closed_at <= until AND x.created_at <= until AND x.merged_into_id IS NULL AND NOT crm_internal.is_restricted(t, 'leads', x.id)
      AND (x.converted_at IS NOT NULL OR x.disqualification_reason NOT IN ('spam', 'duplicate'));
    -- one request entered twice must not stand on both sides of the split
    DELETE FROM lead_training AS a USING lead_training AS b
    WHERE a.place > 0.8 AND b.place <= 0.8 AND a.email_key = b.email_key AND a.created_at < b.created_at + interval '30 days';

    SELECT count(*) AS rows, count(*) FILTER (WHERE r.y = 1) AS wins, count(*) FILTER (WHERE r.y = 0) AS losses,
           max(r.created_at) AS until, min(r.created_at) AS since
    INTO n FROM lead_training AS r WHERE r.place <= 0.8;
    IF n.wins < min_class OR n.losses < min_class THEN
        DROP TABLE lead_training;
        RAISE EXCEPTION 'too few closed leads to learn from' USING ERRCODE = 'CR401',
            DETAIL = format('Of %s leads to train on %s were converted and %s disqualified; at least %s of each are needed.', n.rows, n.wins, n.losses, min_class),
            HINT = 'Score leads by points until more have closed.';
    END IF;

    m.tenant_id := t;
    m.name := name;
    m.fields := seen;
    m.banned := coalesce(banned, '{}');
    m.warnings := '{}';
    m.profile := '{}';
    m.trained_rows := n.rows;
    m.trained_wins := n.wins;
    m.trained_until := n.until;
    SELECT count(*) FILTER (WHERE x.closed_at IS NULL OR x.closed_at > until)::double precision / nullif(count(*), 0) INTO open_share
    FROM crm.leads AS x WHERE x.tenant_id = t AND x.created_at BETWEEN n.since AND n.until;
    IF open_share > 0.2 THEN
        m.warnings := m.warnings || format('%s %% of the leads of that time are still open: those that close quickly weigh too much', round(100 * open_share));
    END IF;

    SELECT crm.encoding_fit(r.features, 10) INTO m.encoding FROM lead_training AS r WHERE r.place <= 0.8;
    UPDATE lead_training AS r SET x = crm.encode(m.encoding, r.features);

    -- a field that predicts the outcome by itself has been reported
    FOREACH f IN ARRAY seen LOOP
        -- of all leads, and of those that have the field: it may be filled of late only
        SELECT greatest(crm.auc(v.y, v.rate), 1 - crm.auc(v.y, v.rate),
                        CASE WHEN count(*) FILTER (WHERE v.known) >= 50 THEN
                             greatest(crm.auc(v.y, v.rate) FILTER (WHERE v.known), 1 - crm.auc(v.y, v.rate) FILTER (WHERE v.known)) END)
        INTO a
        FROM (SELECT r.y, CASE WHEN jsonb_typeof(r.features -> f) = 'number' THEN (r.features ->> f)::double precision
                               ELSE avg(r.y) OVER (PARTITION BY r.features ->> f) END AS rate,
                     jsonb_typeof(r.features -> f) = 'number' OR count(*) OVER (PARTITION BY r.features ->> f) >= 10 AS enough,
                     r.features ? f AS known
              FROM lead_training AS r WHERE r.place <= 0.8) AS v WHERE v.enough;
        IF a > 0.95 THEN
            m.warnings := m.warnings || format('leakage: field "%s" alone orders the outcomes with an AUC of %s; is it written when a lead closes?', f, round(a::numeric, 3));
        END IF;
    END LOOP;

    -- with few leads for each feature naive Bayes has a say: n / (n + features), n being the rarer outcome, is the logistic model's
    share := least(n.wins, n.losses)::double precision / (least(n.wins, n.losses) + coalesce(cardinality(crm.encoding_terms(m.encoding)), 0));
    IF share > 0.98 THEN
        share := 1;
    ELSE
        bayes := crm_internal.bayes_coefficients(m.encoding, 0.6);
    END IF;
    -- the penalty, and whether blended or not, that predicts the last quarter of the training best
    FOREACH l IN ARRAY '{0.1,1,10,100}'::double precision[] LOOP
        BEGIN
            SELECT (crm.logistic_fit(r.y, r.x, l)).* INTO fit FROM lead_training AS r WHERE r.place <= 0.6;
        EXCEPTION WHEN SQLSTATE 'CR401' OR SQLSTATE 'CR402' THEN
            CONTINUE;
        END;
        FOREACH turn IN ARRAY CASE WHEN share < 1 THEN ARRAY[1, share] ELSE ARRAY[1::double precision] END LOOP
            tried := CASE WHEN turn < 1 THEN crm_internal.blend(fit.coefficients, bayes, turn) ELSE fit.coefficients END;
            SELECT crm.log_loss(r.y, crm.logistic_predict(tried, r.x)) INTO found
            FROM lead_training AS r WHERE r.place > 0.6 AND r.place <= 0.8;
            IF best IS NULL OR found < best THEN
                best := found;
                m.lambda := l;
                kept := turn;
                -- calibration from rows the weights have not seen; from few rows it would only add noise
                platt := NULL;
                IF (SELECT count(*) >= 200 AND least(sum(r.y), sum(1 - r.y)) >= min_class AND min(crm.log_odds(tried, r.x)) < max(crm.log_odds(tried, r.x))
                    FROM lead_training AS r WHERE r.place > 0.6 AND r.place <= 0.8) THEN
                    SELECT crm.platt_fit(r.y, crm.log_odds(tried, r.x)) INTO platt FROM lead_training AS r WHERE r.place > 0.6 AND r.place <= 0.8;
                END IF;
            END IF;
        END LOOP;
    END LOOP;
    m.lambda := coalesce(m.lambda, 10);
    SELECT (crm.logistic_fit(r.y, r.x, m.lambda)).* INTO fit FROM lead_training AS r WHERE r.place <= 0.8;
    m.means := fit.means;
    m.coefficients := CASE WHEN kept < 1 THEN crm_internal.blend(fit.coefficients, crm_internal.bayes_coefficients(m.encoding, 0.8), kept)
                           ELSE fit.coefficients END;
    IF platt[2] > 0 THEN
        m.coefficients := ARRAY(SELECT CASE WHEN c.i = 1 THEN platt[1] ELSE 0 END + platt[2] * c.v FROM unnest(m.coefficients) WITH ORDINALITY AS c (v, i) ORDER BY c.i);
    END IF;
    IF fit.separated THEN
        m.warnings := m.warnings || format('some features separate the outcomes without exception: %s',
            (SELECT string_agg((crm.encoding_terms(m.encoding))[i], ', ') FROM unnest(fit.separating_columns) AS i));
    END IF;

    SELECT jsonb_build_object('rows', count(*), 'wins', count(*) FILTER (WHERE r.y = 1),
               'log_loss', crm.log_loss(r.y, r.p), 'baseline_log_loss', crm.log_loss(r.y, n.wins::double precision / n.rows),
               'auc', crm.auc(r.y, r.p), 'brier', crm.brier(r.y, r.p), 'ece', crm.ece(r.y, r.p), 'lift10', crm.lift(r.y, r.p, 0.1),
               'unseen', count(*) FILTER (WHERE cardinality(crm.encoding_unseen(m.encoding, r.features)) > 0),
               'bayes_share', 1 - kept)
    INTO quality
    FROM (SELECT r.y, r.features, crm.logistic_predict(m.coefficients, r.x) AS p FROM lead_training AS r WHERE r.place > 0.8) AS r;

    -- how fields were distributed
    FOREACH f IN ARRAY seen LOOP
        SELECT CASE WHEN bool_or(jsonb_typeof(r.features -> f) = 'number')
                    THEN jsonb_build_object('edges', (SELECT jsonb_agg(DISTINCT e) FROM unnest(percentile_disc(ARRAY[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
                             WITHIN GROUP (ORDER BY (CASE WHEN jsonb_typeof(r.features -> f) = 'number' THEN r.features ->> f END)::double precision)) AS e))
                    ELSE '{}' END
        INTO spec FROM lead_training AS r WHERE r.place <= 0.8;
        SELECT m.profile || jsonb_build_object(f, spec || jsonb_build_object('counts', jsonb_object_agg(b.bin, b.n))) INTO spec
        FROM (SELECT crm.drift_bin(spec, r.features -> f) AS bin, count(*) AS n FROM lead_training AS r WHERE r.place <= 0.8 GROUP BY 1) AS b;
        m.profile := coalesce(spec, m.profile);
    END LOOP;

    -- in use only if it predicts no worse than the model in use, on leads neither has seen
    champion := crm_internal.active_model(t, name);
    IF champion.id IS NOT NULL THEN
        SELECT quality || jsonb_build_object('compared_rows', count(*), 'champion_log_loss', crm.log_loss(r.y, r.old), 'challenger_log_loss', crm.log_loss(r.y, r.new))
        INTO quality
        FROM (SELECT r.y, crm.logistic_predict(m.coefficients, r.x) AS new,
                     coalesce((SELECT q.probability FROM crm.lead_predictions AS q
                               WHERE q.tenant_id = t AND q.lead_id = r.id AND q.model_id = champion.id ORDER BY q.id LIMIT 1),
                              crm.logistic_predict(champion.coefficients,
                                  crm.encode(champion.encoding, crm_internal.lead_features(to_jsonb(x.*), champion.fields, zone)))) AS old
              FROM lead_training AS r JOIN crm.leads AS x ON x.tenant_id = t AND x.id = r.id
              WHERE r.place > 0.8 AND r.created_at > champion.trained_until) AS r;
    END IF;
    IF activate THEN
        wrong := CASE
            WHEN EXISTS (SELECT FROM unnest(m.warnings) AS w WHERE w LIKE 'leakage:%') THEN 'not activated: a field may leak the outcome'
            WHEN (quality ->> 'rows')::bigint < 10 OR quality ->> 'wins' = '0' OR quality ->> 'wins' = quality ->> 'rows' THEN 'not activated: too few later leads to try it on'
            WHEN (quality ->> 'log_loss')::double precision > (quality ->> 'baseline_log_loss')::double precision THEN 'not activated: it predicts worse than the mean rate of conversion'
            WHEN (quality ->> 'compared_rows')::bigint >= 10 AND (quality ->> 'challenger_log_loss')::double precision > (quality ->> 'champion_log_loss')::double precision + 1e-9
                THEN format('not activated: version %s, in use, predicts better', champion.version) END;
        IF wrong IS NULL THEN
            m.activated_at := clock_timestamp();
        ELSE
            m.warnings := m.warnings || wrong;
        END IF;
    END IF;
    DROP TABLE lead_training;
    INSERT INTO crm.predictive_models AS p (tenant_id, name, version, fields, banned, encoding, coefficients, means, lambda, profile, quality, warnings,
                                            trained_rows, trained_wins, trained_until, activated_at)
    VALUES (t, name, 1 + coalesce((SELECT max(x.version) FROM crm.predictive_models AS x WHERE x.tenant_id = t AND x.name = name), 0),
            m.fields, m.banned, m.encoding, m.coefficients, m.means, m.lambda, m.profile, quality, m.warnings, m.trained_rows, m.trained_wins,
            m.trained_until, m.activated_at)
    RETURNING p.* INTO m;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.train_lead_model(text[], text[], text, timestamptz, boolean, integer) IS
'Trains a model of the outcome of leads on those that are closed, and returns it. Leads are taken in the order in which they came: the first four fifths '
'train (of these the last quarter chooses the penalty, and whether naive Bayes is blended in while leads are few for each feature, and calibrates where it '
'has 200 rows), the last fifth tries. fields: columns of leads, custom.name, or log_employees, log_amount, has_phone, has_email, has_company, free_mail, '
'weekday, part_of_day; NULL: all that is known when a lead comes in. banned: what may not be looked at. Spam, duplicates and merged leads are left out, and '
'open leads are not lost ones. activate: the model is taken into use if on later leads it predicts no worse (log-loss) than the mean rate, and than the '
'model in use on leads that model has not seen; otherwise warnings say why not. Errors: CR401 fewer than min_class of an outcome, CR403 fields that leak the '
'outcome, 42703 unknown fields.';
SELECT crm.declare_function('crm.train_lead_model', 'admin');

CREATE OR REPLACE FUNCTION crm.activate_predictive_model(model_id bigint)
RETURNS crm.predictive_models
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.predictive_models;
BEGIN
    UPDATE crm.predictive_models AS p SET activated_at = clock_timestamp()
    WHERE p.tenant_id = crm.tenant_id() AND p.id = model_id RETURNING p.* INTO m;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no predictive model %', model_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.activate_predictive_model(bigint) IS 'Takes a predictive model into use, whatever its quality. Returns it. Error P0002.';
SELECT crm.declare_function('crm.activate_predictive_model', 'admin');

CREATE OR REPLACE FUNCTION crm.revert_predictive_model(name text DEFAULT 'leads')
RETURNS crm.predictive_models
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.predictive_models := crm_internal.active_model(crm.tenant_id(), name);
BEGIN
    IF m.id IS NULL THEN
        RAISE EXCEPTION 'no predictive model "%" is in use', name USING ERRCODE = 'no_data_found';
    END IF;
    UPDATE crm.predictive_models AS p SET activated_at = NULL WHERE p.tenant_id = m.tenant_id AND p.id = m.id;
    RETURN crm_internal.active_model(crm.tenant_id(), name);
END
$$;
COMMENT ON FUNCTION crm.revert_predictive_model(text) IS
'Takes the model in use out of use by changing its one row, and returns the one that was before it and is in use again; a row of nulls where there is none. '
'Error P0002 where none is in use.';
SELECT crm.declare_function('crm.revert_predictive_model', 'admin');

CREATE OR REPLACE FUNCTION crm_internal.model_for(lead_id bigint, model_id bigint)
RETURNS TABLE (model crm.predictive_models, features jsonb)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads;
BEGIN
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = t AND x.id = lead_id;
    IF l.id IS NULL OR NOT crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids) THEN
        RAISE EXCEPTION 'lead % does not exist, or is not visible to you', lead_id USING ERRCODE = 'no_data_found';
    END IF;
    IF model_id IS NULL THEN
        model := crm_internal.active_model(t, 'leads');
    ELSE
        SELECT x.* INTO model FROM crm.predictive_models AS x WHERE x.tenant_id = t AND x.id = model_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no predictive model %', model_id USING ERRCODE = 'no_data_found';
        END IF;
    END IF;
    IF model.id IS NOT NULL AND NOT crm_internal.is_restricted(t, 'leads', l.id) THEN
        features := crm_internal.lead_features(to_jsonb(l.*), model.fields, (SELECT x.time_zone FROM crm.tenants AS x WHERE x.tenant_id = t));
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.model_for(bigint, bigint) IS 'A model and what it sees of a lead; no row where none is in use, or the person is restricted.';

CREATE OR REPLACE FUNCTION crm.lead_probability(lead_id bigint, model_id bigint DEFAULT NULL)
RETURNS double precision
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.logistic_predict((m.model).coefficients, crm.encode((m.model).encoding, m.features))
    FROM crm_internal.model_for(lead_probability.lead_id, lead_probability.model_id) AS m
$$;
COMMENT ON FUNCTION crm.lead_probability(bigint, bigint) IS
'Probability that a lead will be converted, by the model in use or the one given; NULL: none is, or the person is restricted. Errors: P0002 a lead that is '
'not there or not visible, or an unknown model.';
SELECT crm.declare_function('crm.lead_probability', 'reader');

CREATE OR REPLACE FUNCTION crm.explain_prediction(lead_id bigint, model_id bigint DEFAULT NULL)
RETURNS TABLE (field text, value text, contribution double precision, probability_change double precision, unseen boolean)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.field, m.features ->> e.field, e.contribution, e.probability_change,
           e.field = ANY (crm.encoding_unseen((m.model).encoding, m.features))
    FROM crm_internal.model_for(explain_prediction.lead_id, explain_prediction.model_id) AS m
    CROSS JOIN LATERAL crm.explain_logodds((m.model).coefficients, (m.model).means, crm.encode((m.model).encoding, m.features),
                                           crm.encoding_fields((m.model).encoding)) AS e
$$;
COMMENT ON FUNCTION crm.explain_prediction(bigint, bigint) IS
'Why a lead has its probability: first the base, the log-odds of an average lead, then each field''s contribution, the largest first. Contributions add up to '
'the log-odds, probability_change to the probability. unseen: training knew no such value. Empty where no model is in use. Errors as crm.lead_probability.';
SELECT crm.declare_function('crm.explain_prediction', 'reader');

CREATE OR REPLACE FUNCTION crm_internal.leads_predict()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.predictive_models;
    features jsonb;
BEGIN
    IF NEW.closed_at IS NOT NULL OR NOT EXISTS (
        SELECT FROM crm.predictive_models AS x WHERE x.tenant_id = NEW.tenant_id AND x.name = 'leads' AND x.activated_at IS NOT NULL)
    THEN
        RETURN NULL;
    END IF;
    BEGIN
        m := crm_internal.active_model(NEW.tenant_id, 'leads');
        features := crm_internal.lead_features(to_jsonb(NEW), m.fields, (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id));
        INSERT INTO crm.lead_predictions (tenant_id, lead_id, model_id, probability, features)
        VALUES (NEW.tenant_id, NEW.id, m.id, crm.logistic_predict(m.coefficients, crm.encode(m.encoding, features)), features);
    EXCEPTION WHEN OTHERS THEN
        PERFORM crm_internal.lead_trouble(NEW.tenant_id, NEW.id, 'prediction', SQLSTATE, SQLERRM);
    END;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.leads_predict() IS
'Trigger: writes down what the model in use says of a new lead. A model that fails is reported and stops nothing.';
CREATE OR REPLACE TRIGGER leads_after_predict AFTER INSERT ON crm.leads
    FOR EACH ROW EXECUTE FUNCTION crm_internal.leads_predict();
