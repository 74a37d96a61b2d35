-- Leads of one statement are scored a thousand at a time, with the result that one at a time has.
BEGIN;
SET LOCAL client_min_messages = error;
INSERT INTO crm.accounts (id, name, employees) SELECT g, 'A' || g, g FROM generate_series(1, 40) AS g;
SELECT (crm.define_score_model('{"name": "one", "thresholds": [{"name": "warm", "enter": 10, "leave": 8}], "fit_grades": [30, 10], "hysteresis": 2, "rules": [
    {"name": "size", "points": 10, "when": "$.employees >= 100"}, {"name": "sick", "points": 5, "when": "$.city.double() / 2 > 10"},
    {"name": "account", "points": 7, "when": "$.account.employees > 20"},
    {"name": "visit", "event": "visit", "points": 6, "decay": "half_life", "period": 864000}]}')).name;
SELECT (crm.define_score_model('{"name": "two", "thresholds": [{"name": "hot", "enter": 4, "leave": 4}], "rules": [
    {"name": "country", "points": 5, "when": "$.country == \"DE\""}]}')).name;
-- pairs of leads: odd ones change by one statement, even ones one at a time
CREATE TEMP TABLE pair AS SELECT g AS n, 100000 + g * 2 + 1 AS together, 100000 + g * 2 AS alone FROM generate_series(1, 2300) AS g;
INSERT INTO crm.leads (id, name, country, employees) SELECT p.together, 'L', 'FR', p.n % 200 FROM pair AS p;
DO $$
DECLARE p record;
BEGIN
    FOR p IN SELECT * FROM pair LOOP
        INSERT INTO crm.leads (id, name, country, employees) VALUES (p.alone, 'L', 'FR', p.n % 200);
    END LOOP;
END $$;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) SELECT l, 'visit', now() - interval '8 days' FROM pair AS p, unnest(ARRAY[p.together, p.alone]) AS l WHERE p.n % 3 = 0;
CREATE FUNCTION pg_temp.differ() RETURNS TABLE (what text, n bigint) LANGUAGE sql AS $$
    WITH said AS (
        SELECT p.n, false AS alone, m.name, crm.points_rules(s.state) AS rules, s.ceiling, s.inside, s.version, u.attributes - 'id' AS facts, u.last_event_at,
               (SELECT array_agg(c.threshold || c.direction || c.score ORDER BY c.id) FROM crm.score_crossings AS c WHERE c.tenant_id = 1 AND c.model_id + 0 = m.id AND c.lead_id = p.together) AS crossed
        FROM pair AS p JOIN crm.score_subjects AS u ON u.lead_id = p.together JOIN crm.lead_scores AS s ON s.lead_id = p.together JOIN crm.score_models AS m ON m.id = s.model_id
        UNION ALL
        SELECT p.n, true, m.name, crm.points_rules(s.state), s.ceiling, s.inside, s.version, u.attributes - 'id', u.last_event_at,
               (SELECT array_agg(c.threshold || c.direction || c.score ORDER BY c.id) FROM crm.score_crossings AS c WHERE c.tenant_id = 1 AND c.model_id + 0 = m.id AND c.lead_id = p.alone)
        FROM pair AS p JOIN crm.score_subjects AS u ON u.lead_id = p.alone JOIN crm.lead_scores AS s ON s.lead_id = p.alone JOIN crm.score_models AS m ON m.id = s.model_id)
    SELECT 'states', count(*) FROM said
    UNION ALL
    SELECT 'states that differ', count(*) FROM (SELECT s.n, s.name FROM said AS s GROUP BY s.n, s.name
                                                HAVING count(*) <> 2 OR count(DISTINCT (to_jsonb(s) - 'alone')) <> 1) AS d
    UNION ALL
    SELECT 'that are not as a replay makes them', count(*) FROM (SELECT 'one' UNION ALL SELECT 'two') AS m (name), crm.verify_lead_scores(m.name)
    UNION ALL
    SELECT 'thresholds crossed', count(*) FROM crm.score_crossings
    UNION ALL
    SELECT 'rules that failed', count(*) FROM crm.events AS e WHERE e.kind = 'score.trouble'
$$;
SELECT * FROM pg_temp.differ();
-- what two models look at, each crossing its thresholds; what no rule looks at; a rule that fails; an account; and back
DO $$
DECLARE p record; change text;
BEGIN
    FOREACH change IN ARRAY ARRAY['employees = 200 - employees, country = ''DE''', 'company = ''changed''', 'city = ''x''', 'account_id = 1 + employees % 40',
                                  'country = ''FR'', employees = employees + 50'] LOOP
        EXECUTE format('UPDATE crm.leads AS l SET %s FROM pair AS p WHERE l.id = p.together', change);
        FOR p IN SELECT * FROM pair LOOP
            EXECUTE format('UPDATE crm.leads AS l SET %s WHERE l.id = $1', change) USING p.alone;
        END LOOP;
    END LOOP;
END $$;
SELECT * FROM pg_temp.differ();
-- an account that all have, in one statement and one by one
UPDATE crm.accounts SET employees = 41 - employees;
SELECT * FROM pg_temp.differ();
-- states of rules from before, and leads that nobody has scored
UPDATE crm.score_rules SET points = 12 WHERE name = 'size';
DELETE FROM crm.score_subjects AS u USING pair AS p WHERE u.lead_id IN (p.together, p.alone) AND p.n % 5 = 0 AND p.n % 3 <> 0;
UPDATE crm.leads AS l SET city = 'b' FROM pair AS p WHERE l.id = p.together;
DO $$
DECLARE p record;
BEGIN
    FOR p IN SELECT * FROM pair LOOP
        UPDATE crm.leads AS l SET city = 'b' WHERE l.id = p.alone;
    END LOOP;
END $$;
SELECT * FROM pg_temp.differ();
ROLLBACK;
