-- 890 real incidents replayed as tickets (tests/demo/55_incidents.data.sql); clocks, counts and bottleneck against sums made directly from the log.
\set ON_ERROR_STOP on
\getenv repo REPO
\cd :repo
\i tests/demo/55_incidents.data.sql

DO $$
DECLARE
    n bigint;
    wrong bigint;
    hours numeric;
    named text;
    expected text;
    b record;
BEGIN
    SELECT count(*) INTO n FROM crm.tickets;
    ASSERT n = 890, format('%s tickets', n);
    SELECT count(*) INTO n FROM crm.tickets WHERE closed_at IS NULL;
    ASSERT n = 0, format('%s tickets are open', n);
    SELECT count(*), sum(reopen_count) INTO n, hours FROM crm.tickets WHERE reopen_count > 0;
    ASSERT n = 10 AND hours = 11, format('%s reopened, %s times', n, hours);
    SELECT count(*) INTO n FROM crm.stage_periods WHERE subject_table = 'tickets';
    ASSERT n = (SELECT count(*) FROM moves), 'stage periods';
    SELECT count(*) INTO n FROM crm.survey_responses;
    ASSERT n = 0, 'history was asked about';

    -- each resolution clock: time from opening to the last solution, less logged waiting for the user and closed time
    SELECT count(*), count(*) FILTER (WHERE abs(c.used_seconds - d.seconds) > 0.01) INTO n, wrong
    FROM crm.tickets AS k
    JOIN crm.sla_clocks AS c ON c.subject_type = 'tickets' AND c.subject_id = k.id AND c.metric = 'resolution'
    JOIN (SELECT x.number, coalesce(sum(extract(epoch FROM x.until - x.at)) FILTER (WHERE x.type <> 'done' AND x.stage <> 'awaiting_user_info'), 0)
                           + extract(epoch FROM min(x.at) - least(min(x.at), min(x.opened_at))) AS seconds
          FROM (SELECT m.*, lead(m.at) OVER (PARTITION BY m.number ORDER BY m.at) AS until FROM moves AS m) AS x
          GROUP BY x.number) AS d ON d.number = k.source_id;
    ASSERT n = 890 AND wrong = 0, format('%s clocks, %s of them wrong', n, wrong);

    -- the bottleneck: the stage under way that held the incidents longest, from the log itself
    SELECT x.name INTO expected
    FROM (SELECT s.name, sum(extract(epoch FROM lead_at - m.at)) AS held
          FROM (SELECT v.*, lead(v.at) OVER (PARTITION BY v.number ORDER BY v.at) AS lead_at FROM moves AS v) AS m
          JOIN crm.stages AS s ON s.id = m.stage_id
          WHERE m.type <> 'done' AND m.lead_at IS NOT NULL GROUP BY 1) AS x
    ORDER BY x.held DESC LIMIT 1;
    SELECT r.stage, r.delay_share, r.why INTO b
    FROM crm_analytics.process_bottlenecks('tickets', '2016-02-01', '2018-01-01', 777) AS r
    ORDER BY r.delay_share DESC NULLS LAST LIMIT 1;
    ASSERT b.stage = expected, format('longest delay in %s, by the log in %s', b.stage, expected);
    SELECT r.stage INTO named FROM crm_analytics.process_bottlenecks('tickets', '2016-02-01', '2018-01-01', 777) AS r WHERE r.rank = 1;
    RAISE NOTICE 'bottleneck: % (% of all delay in %; %)', named, b.delay_share, b.stage, b.why;
    ASSERT named IS NOT NULL, 'no bottleneck named';

    -- reports agree with each other
    SELECT sum(v.opened) INTO n FROM crm_analytics.ticket_volumes AS v;
    ASSERT n = 890, format('volumes: %s', n);
    SELECT sum(p.tickets) INTO n FROM crm_analytics.ticket_performance('queue', '2016-01-01', '2018-01-01') AS p;
    ASSERT n = 890, format('performance by queue: %s', n);
    SELECT p.reopened INTO n FROM crm_analytics.ticket_performance('all', '2016-01-01', '2018-01-01') AS p;
    ASSERT n = 10, format('performance: %s reopened', n);
    SELECT p.transferred INTO n FROM crm_analytics.ticket_performance('all', '2016-01-01', '2018-01-01') AS p;
    ASSERT n = (SELECT count(*) FROM events WHERE from_last = 1 AND reassignment_count > 0), format('performance: %s transferred', n);
    SELECT sum(c.met + c.missed + c.overdue) INTO n FROM crm_analytics.sla_compliance_by('priority', '2016-01-01', '2018-01-01') AS c;
    ASSERT n = 890, format('compliance: %s clocks', n);
END
$$;
SELECT * FROM crm_analytics.sla_compliance_by('priority', '2016-01-01', '2018-01-01');
