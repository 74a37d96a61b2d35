-- Business time: every case of the data folder, against what it expects.
\set file :data '/sla/cases.csv'
CREATE TABLE cases (case_id text, calendar_id text, zone text, op text, start timestamptz, seconds numeric,
                    "end" timestamptz, expected text, source_expected text, agrees text, kind text,
                    source_repo text, source_path text, note text);
COPY cases FROM :'file' (FORMAT csv, HEADER true);
\set file :data '/sla/calendars.json'
CREATE TABLE definitions AS
SELECT d.key AS code, d.value AS definition FROM jsonb_each(pg_read_file(:'file')::jsonb) AS d;
ALTER TABLE definitions ADD COLUMN calendar_id bigint, ADD COLUMN answer text;

CREATE FUNCTION define_one(code text, definition jsonb, OUT calendar_id bigint, OUT answer text) LANGUAGE plpgsql AS $$
DECLARE
    reason text := (SELECT f.reason FROM crm.check_calendar(definition) AS f LIMIT 1);
BEGIN
    calendar_id := (crm.define_calendar(code, definition)).id;
    answer := CASE WHEN reason IS NULL THEN 'ok' ELSE 'stored, though ' || reason END;
EXCEPTION WHEN OTHERS THEN
    calendar_id := NULL;
    answer := CASE WHEN reason IS NOT NULL AND sqlstate IN ('CR301', 'CR302')
                   THEN 'error:' || reason ELSE sqlstate || ' ' || sqlerrm END;
END $$;
UPDATE definitions AS d SET (calendar_id, answer) = (SELECT o.calendar_id, o.answer FROM define_one(d.code, d.definition) AS o);

CREATE FUNCTION answer_one(c cases, id bigint, stored text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF c.op = 'validate' OR id IS NULL THEN
        RETURN stored;
    END IF;
    RETURN CASE c.op
        WHEN 'add' THEN to_char(crm.business_add(id, c.start, c.seconds) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        WHEN 'elapsed' THEN crm.business_elapsed(id, c.start, c."end")::text
        WHEN 'is_open' THEN crm.is_open(id, c.start)::text
        WHEN 'next_open' THEN to_char(crm.next_open(id, c.start) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        WHEN 'prev_open' THEN to_char(crm.prev_open(id, c.start) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        WHEN 'next_close' THEN to_char(crm.next_close(id, c.start) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    END;
EXCEPTION WHEN SQLSTATE 'CR303' THEN
    RETURN 'error:no_open_time';
END $$;

CREATE TABLE answers AS
SELECT c.case_id, c.op, c.calendar_id, c.expected, answer_one(c, d.calendar_id, d.answer) AS answer
FROM cases AS c JOIN definitions AS d ON d.code = c.calendar_id;

SELECT * FROM answers AS a WHERE a.answer IS DISTINCT FROM a.expected ORDER BY a.case_id;
SELECT count(*) AS cases, count(*) FILTER (WHERE a.answer = a.expected) AS right FROM answers AS a;
DO $$
BEGIN
    ASSERT (SELECT count(*) >= 364 AND bool_and(a.answer = a.expected) FROM answers AS a), 'business time differs from the cases';
END $$;
