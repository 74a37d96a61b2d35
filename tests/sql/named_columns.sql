-- A column may have any name, also one that our own functions give to a row, a variable or a result: half of those names at a
-- time are added to the tables that people extend, everything is made anew, and the daily work goes on.
\set ON_ERROR_STOP 1
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE TABLE named (name text PRIMARY KEY, half integer);
INSERT INTO named
SELECT n.name, row_number() OVER (ORDER BY n.name) % 2
FROM (SELECT m[1] FROM pg_proc AS p, regexp_matches(p.prosrc, '\mAS ([a-z_][a-z0-9_]*)\M', 'g') AS m WHERE p.pronamespace::regnamespace::text LIKE 'crm%'
      UNION SELECT m[1] FROM pg_proc AS p, regexp_matches(split_part(p.prosrc, 'BEGIN', 1), '\n +([a-z_][a-z0-9_]*) (?:CONSTANT )?[a-z]', 'g') AS m
            WHERE p.pronamespace::regnamespace::text LIKE 'crm%' AND p.prosrc ~ 'DECLARE'
      UNION SELECT a FROM pg_proc AS p, unnest(p.proargnames) AS a WHERE p.pronamespace::regnamespace::text LIKE 'crm%' AND a <> '') AS n (name)
-- what a column of that name means is said by the pages on access and on processes
WHERE n.name !~ '^(owner_id|team_id|shared_user_ids|shared_team_ids|stage_id|pipeline_id|territory_id|queue_id|priority|skill_ids|product_id|account_id|contact_id|currency|visibility|active|amount|probability|close_date|expected_close_date|closed_at|created_at|stage_entered_at|first_response_at|resolved_at|forecast_category|loss_reason|version|updated_at|custom|tags|name|merged_into_id)$'
  AND n.name !~ '^(tableoid|ctid|xmin|xmax|cmin|cmax)$';
SELECT count(*) > 900 AS many FROM named;
-- work FUNCTION: the columns, an installation, the work; what fails is printed
CREATE FUNCTION add_named(half integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t text; said text;
BEGIN
    SET LOCAL client_min_messages = error;
    FOREACH t IN ARRAY '{leads,accounts,contacts,opportunities,tickets,ticket_messages,orders,order_lines,activities,products,users,stage_periods,contact_points}'::text[] LOOP
        EXECUTE (SELECT format('ALTER TABLE crm.%I %s', t, string_agg(format('ADD COLUMN %I text', n.name), ', ')) FROM named AS n
                 WHERE n.half = add_named.half AND NOT crm.column_exists(format('crm.%I', t)::regclass, n.name));
    END LOOP;
    SELECT crm.install() INTO said;
    RETURN said;
END
$$;
\set ON_ERROR_STOP 0
\set ON_ERROR_ROLLBACK on
\getenv srcdir PG_ABS_SRCDIR
\set work :srcdir '/helpers/daily_work.sql'
BEGIN;
SELECT add_named(0);
\i :work
ROLLBACK;
BEGIN;
SELECT add_named(1);
\i :work
ROLLBACK;
DROP TABLE named;
DROP FUNCTION add_named;
