-- For \i within a transaction: what must be true of a generated company (table rules), and pg_temp.try(language, size, seed, until), which makes one,
-- says what does not hold, and takes it away again.
\set ECHO none
SET LOCAL client_min_messages = warning;
-- rule, least and most it may come to at size 1 and at larger ones, and the figure: {u} is the day after the history, {t} the tenant, {n} the size
CREATE TABLE pg_temp.rules (no serial, rule text, least numeric, most numeric, least_large numeric, most_large numeric, figure text);
INSERT INTO rules (rule, least, most, least_large, most_large, figure) VALUES
('nothing is dated after the end', 0, 0, 0, 0, $$SELECT (SELECT count(*) FROM crm.opportunities WHERE tenant_id = {t} AND greatest(created_at, closed_at) >= {u}) + (SELECT count(*) FROM crm.orders WHERE tenant_id = {t} AND ordered_at >= {u})
  + (SELECT count(*) FROM crm.leads WHERE tenant_id = {t} AND greatest(created_at, closed_at, first_response_at) >= {u}) + (SELECT count(*) FROM crm.tickets WHERE tenant_id = {t} AND greatest(created_at, closed_at) >= {u})
  + (SELECT count(*) FROM crm.activities WHERE tenant_id = {t} AND greatest(created_at, done_at) >= {u}) + (SELECT count(*) FROM crm.survey_responses WHERE tenant_id = {t} AND greatest(sent_at, answered_at) >= {u})
  + (SELECT count(*) FROM crm.ticket_messages WHERE tenant_id = {t} AND sent_at >= {u})$$),
('nothing ends before it begins', 0, 0, 0, 0, $$SELECT (SELECT count(*) FROM crm.opportunities WHERE tenant_id = {t} AND closed_at < created_at) + (SELECT count(*) FROM crm.leads WHERE tenant_id = {t} AND (closed_at < created_at OR first_response_at < created_at))
  + (SELECT count(*) FROM crm.tickets WHERE tenant_id = {t} AND (closed_at < created_at OR first_response_at < created_at)) + (SELECT count(*) FROM crm.activities WHERE tenant_id = {t} AND created_at > done_at)
  + (SELECT count(*) FROM crm.orders AS r JOIN crm.opportunities AS o ON o.tenant_id = {t} AND o.id = r.opportunity_id WHERE r.tenant_id = {t} AND r.ordered_at < o.closed_at)$$),
('orders and leads on days of rest', 0, 0, 0, 0, $$SELECT count(*) FROM (SELECT ordered_at AS at FROM crm.orders WHERE tenant_id = {t} UNION ALL SELECT created_at FROM crm.leads WHERE tenant_id = {t}) AS x, crm.tenants AS t
  WHERE t.tenant_id = {t} AND extract(isodow FROM x.at AT TIME ZONE t.time_zone)::smallint = ANY (t.weekend)$$),
('accounts', 150, 150, 150, 150, $$SELECT count(*)::numeric / {n} FROM crm.accounts WHERE tenant_id = {t}$$),
('accounts of one name', 0, 0, 0, 0, $$SELECT count(*) - count(DISTINCT name) FROM crm.accounts WHERE tenant_id = {t}$$),
('names that fit the industry', 1, 1, 1, 1, $$SELECT avg((EXISTS (SELECT FROM crm_internal.texts AS w JOIN crm.tenants AS t ON t.tenant_id = {t} AND t.language = w.language CROSS JOIN LATERAL jsonb_array_elements(w.words -> 'industries') AS i (x)
  CROSS JOIN LATERAL jsonb_array_elements(i.x -> 3) AS f (x) WHERE w.area = 'company' AND i.x ->> 0 = a.industry AND strpos(a.name, coalesce(f.x ->> 0, f.x #>> '{}')) > 0))::integer) FROM crm.accounts AS a WHERE a.tenant_id = {t} AND a.kind = 'organisation'$$),
('industries', 8, 8, 8, 8, $$SELECT count(DISTINCT industry) FROM crm.accounts WHERE tenant_id = {t}$$),
('deals won of those closed', 0.4, 0.68, 0.45, 0.62, $$SELECT avg((s.type = 'won')::integer) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.tenant_id = {t} AND s.id = o.stage_id WHERE o.tenant_id = {t} AND o.closed_at IS NOT NULL$$),
('open deals', 20, 100, 35, 80, $$SELECT count(*)::numeric / {n} FROM crm.opportunities WHERE tenant_id = {t} AND closed_at IS NULL$$),
('open stages without a deal', 0, 3, 0, 0, $$SELECT count(*) FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = {t} AND p.id = s.pipeline_id AND p.subject_table = 'opportunities' WHERE s.tenant_id = {t} AND s.type = 'open'
  AND NOT EXISTS (SELECT FROM crm.opportunities AS o WHERE o.tenant_id = {t} AND o.stage_id = s.id)$$),
('deals whose lines make their amount', 1, 1, 1, 1, $$SELECT avg((o.amount = l.amount)::integer) FROM crm.opportunities AS o LEFT JOIN (SELECT opportunity_id, sum(amount) AS amount FROM crm.opportunity_lines WHERE tenant_id = {t} GROUP BY 1) AS l ON l.opportunity_id = o.id WHERE o.tenant_id = {t}$$),
('won deals that became an order within ten days', 1, 1, 1, 1, $$SELECT avg((r.id IS NOT NULL)::integer) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.tenant_id = {t} AND s.id = o.stage_id AND s.type = 'won'
  LEFT JOIN crm.orders AS r ON r.tenant_id = {t} AND r.opportunity_id = o.id WHERE o.tenant_id = {t} AND o.closed_at < {u} - interval '25 days'$$),
('orders of the amount of their deal', 1, 1, 1, 1, $$SELECT avg((r.amount = o.amount AND r.currency = o.currency)::integer) FROM crm.orders AS r JOIN crm.opportunities AS o ON o.tenant_id = {t} AND o.id = r.opportunity_id WHERE r.tenant_id = {t}$$),
('customers whose deals and orders are of one magnitude', 0.9, 1, 0.9, 1, $$SELECT avg((d.amount / r.amount BETWEEN 0.33 AND 3)::integer) FROM (SELECT account_id, avg(amount) AS amount FROM crm.orders WHERE tenant_id = {t} AND kind = 'sale' GROUP BY 1) AS r
  JOIN (SELECT account_id, avg(amount) AS amount FROM crm.opportunities WHERE tenant_id = {t} GROUP BY 1) AS d USING (account_id)$$),
('spread of the orders of a customer (of ln)', 0.15, 0.8, 0.2, 0.7, $$SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x.s) FROM (SELECT stddev(ln(amount)) AS s FROM crm.orders WHERE tenant_id = {t} AND kind = 'sale' GROUP BY account_id HAVING count(*) > 3) AS x$$),
('customers', 60, 110, 65, 100, $$SELECT count(DISTINCT account_id)::numeric / {n} FROM crm.orders WHERE tenant_id = {t}$$),
('customers that came back', 0.7, 0.97, 0.75, 0.95, $$SELECT avg((x.orders > 1)::integer) FROM (SELECT count(*) AS orders FROM crm.orders WHERE tenant_id = {t} AND kind = 'sale' GROUP BY account_id) AS x$$),
('customers that left', 0.15, 0.6, 0.2, 0.5, $$SELECT avg((a.roles @> '{former}')::integer) FROM crm.accounts AS a WHERE a.tenant_id = {t} AND a.roles && '{former,customer}'$$),
('those with an order in the last 150 days', 0, 0, 0, 0, $$SELECT count(*)::numeric / {n} FROM crm.accounts AS a WHERE a.tenant_id = {t} AND a.roles @> '{former}' AND EXISTS (SELECT FROM crm.orders AS o WHERE o.tenant_id = {t} AND o.account_id = a.id AND o.ordered_at > {u} - interval '150 days')$$),
('share of the best customer in revenue', 0.02, 0.3, 0.001, 0.1, $$SELECT max(x.s) / sum(x.s) FROM (SELECT sum(base_amount) AS s FROM crm.orders WHERE tenant_id = {t} GROUP BY account_id) AS x$$),
('orders of the last year for one of the year before', 1, 3.5, 1.1, 2.2, $$SELECT sum((ordered_at >= {u} - interval '365 days')::integer)::numeric / sum((ordered_at BETWEEN {u} - interval '730 days' AND {u} - interval '365 days')::integer) FROM crm.orders WHERE tenant_id = {t}$$),
('currencies of orders', 3, 6, 3, 6, $$SELECT count(DISTINCT currency) FROM crm.orders WHERE tenant_id = {t}$$),
('orders in the base currency', 0.3, 0.97, 0.3, 0.97, $$SELECT avg((o.currency = t.base_currency)::integer) FROM crm.orders AS o JOIN crm.tenants AS t USING (tenant_id) WHERE o.tenant_id = {t}$$),
('days with a rate, by currency', 30, 40, 30, 40, $$SELECT min(x.n) FROM (SELECT count(*) AS n FROM crm.exchange_rates WHERE tenant_id = {t} GROUP BY from_currency) AS x$$),
('months of rates that differ', 0.9, 1, 0.9, 1, $$SELECT count(DISTINCT rate)::numeric / count(*) FROM crm.exchange_rates WHERE tenant_id = {t}$$),
('sellers with a quota for the day of the end', 6, 8, 3, 8, $$SELECT count(*)::numeric / {n} FROM crm.quotas WHERE tenant_id = {t} AND period @> {u}::date$$),
('and for the quarter after it', 1, 1, 1, 1, $$SELECT (SELECT count(*) FROM crm.quotas WHERE tenant_id = {t} AND lower(period) = x.next)::numeric / x.sellers FROM (SELECT max(upper(period)) AS next, count(*) AS sellers FROM crm.quotas WHERE tenant_id = {t} AND period @> {u}::date) AS x$$),
('won for each unit of quota, last four whole quarters', 0.65, 1.35, 0.75, 1.2, $$SELECT sum((SELECT coalesce(sum(r.base_amount), 0) FROM crm.orders AS r JOIN crm.opportunities AS o ON o.tenant_id = {t} AND o.id = r.opportunity_id WHERE r.tenant_id = {t} AND o.owner_id = q.user_id AND o.close_date <@ q.period)) / sum(q.amount)
  FROM crm.quotas AS q WHERE q.tenant_id = {t} AND upper(q.period) <= {u}::date AND lower(q.period) > {u}::date - 460$$),
('fewest open leads in a stage', 1, 20, 20, 2000, $$SELECT min(x.n) FROM (SELECT count(l.id) AS n FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = {t} AND p.id = s.pipeline_id AND p.subject_table = 'leads' LEFT JOIN crm.leads AS l ON l.tenant_id = {t} AND l.stage_id = s.id WHERE s.tenant_id = {t} AND s.type = 'open' GROUP BY s.id) AS x$$),
('leads converted', 0.12, 0.3, 0.15, 0.27, $$SELECT avg((converted_at IS NOT NULL)::integer) FROM crm.leads WHERE tenant_id = {t} AND closed_at IS NOT NULL$$),
('converted leads that named no company', 0.05, 0.35, 0.1, 0.3, $$SELECT avg((company IS NULL)::integer) FROM crm.leads WHERE tenant_id = {t} AND converted_at IS NOT NULL$$),
('reasons of disqualification', 7, 7, 7, 7, $$SELECT count(DISTINCT disqualification_reason) FROM crm.leads WHERE tenant_id = {t}$$),
('open tickets', 2, 25, 4, 20, $$SELECT count(*)::numeric / {n} FROM crm.tickets WHERE tenant_id = {t} AND closed_at IS NULL$$),
('messages of a ticket', 2, 4, 2, 4, $$SELECT (SELECT count(*) FROM crm.ticket_messages WHERE tenant_id = {t})::numeric / (SELECT count(*) FROM crm.tickets WHERE tenant_id = {t})$$),
('promises of solutions kept', 0.6, 0.95, 0.65, 0.9, $$SELECT sum(met)::numeric / sum(met + missed) FROM crm_analytics.sla_compliance WHERE tenant_id = {t} AND metric = 'resolution'$$),
('overdue work', 3, 40, 5, 30, $$SELECT count(*)::numeric / {n} FROM crm.activities WHERE tenant_id = {t} AND done_at IS NULL AND due_at < {u}$$),
('work to come', 5, 70, 10, 60, $$SELECT count(*)::numeric / {n} FROM crm.activities WHERE tenant_id = {t} AND done_at IS NULL AND due_at >= {u}$$),
('surveys answered', 0.25, 0.6, 0.35, 0.5, $$SELECT count(score)::numeric / count(*) FROM crm.survey_responses WHERE tenant_id = {t}$$),
('satisfaction, of 5', 3, 4.7, 3.5, 4.6, $$SELECT avg(r.score) FROM crm.survey_responses AS r JOIN crm.surveys AS s ON s.tenant_id = {t} AND s.id = r.survey_id AND s.kind = 'csat' WHERE r.tenant_id = {t}$$),
('net promoter score', -10, 75, 10, 65, $$SELECT 100 * avg(CASE WHEN r.score > 8 THEN 1 WHEN r.score < 7 THEN -1 ELSE 0 END) FROM crm.survey_responses AS r JOIN crm.surveys AS s ON s.tenant_id = {t} AND s.id = r.survey_id AND s.kind = 'nps' WHERE r.tenant_id = {t} AND r.score IS NOT NULL$$),
('documents dated after the end', 0, 0, 0, 0, $$SELECT (SELECT count(*) FROM crm.quotes WHERE tenant_id = {t} AND greatest(created_at, closed_at, accepted_at) >= {u}) + (SELECT count(*) FROM crm.invoices WHERE tenant_id = {t} AND greatest(posted_at, paid_at, dunned_at) >= {u})
  + (SELECT count(*) FROM crm.payments WHERE tenant_id = {t} AND received_at >= {u}) + (SELECT count(*) FROM crm.dunnings WHERE tenant_id = {t} AND raised_at >= {u})$$),
('quotes accepted of those decided', 0.6, 0.98, 0.7, 0.95, $$SELECT avg((s.type = 'won')::integer) FROM crm.quotes AS q JOIN crm.stages AS s ON s.tenant_id = {t} AND s.id = q.stage_id WHERE q.tenant_id = {t} AND q.closed_at IS NOT NULL$$),
('quotes under way', 3, 50, 8, 40, $$SELECT count(*)::numeric / {n} FROM crm.quotes WHERE tenant_id = {t} AND closed_at IS NULL$$),
('quotes that say what their deal says', 1, 1, 1, 1, $$SELECT avg((abs(q.net_amount - o.amount) < 1)::integer) FROM crm.quotes AS q JOIN crm.opportunities AS o ON o.tenant_id = {t} AND o.id = q.opportunity_id WHERE q.tenant_id = {t}$$),
('accepted quotes that became an order', 0.9, 1, 0.95, 1, $$SELECT avg((o.id IS NOT NULL)::integer) FROM crm.quotes AS q LEFT JOIN crm.orders AS o ON o.tenant_id = {t} AND o.quote_id = q.id WHERE q.tenant_id = {t} AND q.accepted_at IS NOT NULL$$),
('orders of the last months that were invoiced', 0.97, 1, 0.97, 1, $$SELECT avg((i.id IS NOT NULL)::integer) FROM crm.orders AS o LEFT JOIN crm.invoices AS i ON i.tenant_id = {t} AND i.order_id = o.id WHERE o.tenant_id = {t} AND o.kind = 'sale' AND o.state <> 'cancelled'
  AND o.ordered_on BETWEEN {u}::date - 140 AND {u}::date - 20$$),
('invoices that do not say what their order says', 0, 0, 0, 0, $$SELECT count(*) FROM crm.invoices AS i JOIN crm.orders AS o ON o.tenant_id = {t} AND o.id = i.order_id WHERE i.tenant_id = {t} AND abs(i.net_amount - o.amount) >= 1$$),
('gaps and doubles in the numbers of invoices', 0, 0, 0, 0, $$SELECT sum(x.last - x.n) FROM (SELECT left(number, -5), max(right(number, 5)::integer) AS last, count(DISTINCT number) AS n FROM crm.invoices WHERE tenant_id = {t} AND kind = 'invoice' AND state = 'posted' GROUP BY 1) AS x$$),
('invoices paid after their day', 0.15, 0.6, 0.25, 0.5, $$SELECT avg((days_late > 0)::integer) FROM crm_analytics.fact_invoices WHERE tenant_id = {t} AND kind = 'invoice' AND paid_on IS NOT NULL$$),
('days to pay', 24, 45, 27, 40, $$SELECT avg(payment_days) FROM crm_analytics.fact_invoices WHERE tenant_id = {t} AND kind = 'invoice' AND paid_on IS NOT NULL$$),
('invoices that customers were reminded of', 0.08, 0.45, 0.15, 0.35, $$SELECT avg((dunning_level > 0)::integer) FROM crm.invoices WHERE tenant_id = {t} AND kind = 'invoice' AND state = 'posted'$$),
('reminders of what was paid', 0, 0, 0, 0, $$SELECT count(*) FROM crm.dunnings AS d JOIN crm.invoices AS i ON i.tenant_id = {t} AND i.id = d.invoice_id WHERE d.tenant_id = {t} AND d.raised_at > i.paid_at$$),
('overdue of what is owed', 0.1, 0.7, 0.2, 0.55, $$SELECT sum(overdue_amount) / sum(open_balance) FROM (SELECT a.account_id, (a.days_1_30 + a.days_31_60 + a.days_61_90 + a.over_90) * a.base_balance / a.balance AS overdue_amount, a.base_balance AS open_balance
  FROM crm_analytics.receivables_ageing_at({u}) AS a WHERE a.tenant_id = {t} AND a.balance > 0) AS x$$),
('books that do not balance', 0, 0, 0, 0, $$SELECT count(*) FROM crm_analytics.receivables_ageing_at({u}) AS a WHERE a.tenant_id = {t} AND a.balance <> a.open_amount - a.credit_amount OR a.credit_amount < 0$$),
('returns that were credited', 1, 20, 3, 10, $$SELECT count(*)::numeric / {n} FROM crm.invoices WHERE tenant_id = {t} AND kind = 'credit_note' AND state = 'posted'$$),
('segments', 3, 3, 3, 3, $$SELECT count(*) FROM crm.segments WHERE tenant_id = {t}$$),
('accounts in the segment of large companies', 8, 40, 15, 30, $$SELECT (SELECT members FROM crm_analytics.segment_sizes WHERE tenant_id = {t} ORDER BY segment_id LIMIT 1)::numeric / {n}$$),
('accounts with a custom field', 1, 1, 1, 1, $$SELECT avg((custom ? 'payment_terms')::integer) FROM crm.accounts WHERE tenant_id = {t}$$);
-- no burst at the end: the last two weeks against an average fortnight of the half year before
INSERT INTO rules (rule, least, most, least_large, most_large, figure)
SELECT 'last fortnight of ' || v.name, 0.15, 2.2, 0.3, 1.7, format('SELECT 13 * count(*) FILTER (WHERE x.at >= {u} - interval ''14 days'')::numeric / count(*) FILTER (WHERE x.at < {u} - interval ''14 days'')
  FROM (SELECT %s AS at FROM crm.%I AS r WHERE r.tenant_id = {t}) AS x WHERE x.at >= {u} - interval ''196 days'' AND x.at < {u}', v.at, v.name)
FROM (VALUES ('orders', 'r.ordered_at'), ('opportunities', 'r.created_at'), ('leads', 'r.created_at'), ('tickets', 'r.created_at'), ('activities', 'r.created_at'), ('ticket_messages', 'r.sent_at'), ('stage_periods', 'lower(r.period)')) AS v (name, at);

-- what does not hold, and what it comes to
CREATE FUNCTION pg_temp.broken(tenant bigint, size integer, until date) RETURNS TABLE (rule text, is text, must_be text) LANGUAGE plpgsql AS $$
DECLARE
    r rules;
    figure numeric;
BEGIN
    FOR r IN SELECT * FROM rules AS x ORDER BY x.no LOOP
        EXECUTE replace(replace(replace(r.figure, '{t}', tenant::text), '{n}', size::text), '{u}', format('(%L::timestamp AT TIME ZONE %L)', until, (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = tenant))) INTO figure;
        IF (figure BETWEEN CASE size WHEN 1 THEN r.least ELSE r.least_large END AND CASE size WHEN 1 THEN r.most ELSE r.most_large END) THEN
            CONTINUE;
        END IF;
        rule := r.rule; "is" := round(figure, 3); must_be := CASE size WHEN 1 THEN r.least || ' to ' || r.most ELSE r.least_large || ' to ' || r.most_large END;
        RETURN NEXT;
    END LOOP;
END $$;
-- makes a company, judges it, and takes it away again
CREATE FUNCTION pg_temp.try(language text, size integer, seed bigint, until date) RETURNS TABLE (company text, rule text, is text, must_be text) LANGUAGE plpgsql AS $$
DECLARE
    tenant bigint;
BEGIN
    BEGIN
        SELECT t.tenant_id INTO tenant FROM crm.create_tenant('generated ' || language || size || until, language => language) AS t;
        PERFORM set_config('crm.tenant', tenant::text, true);
        PERFORM crm.generate_demo(size, seed, until);
        FOR rule, "is", must_be IN SELECT * FROM pg_temp.broken(tenant, size, until) LOOP
            company := format('%s, size %s, seed %s, until %s', language, size, seed, until);
            RETURN NEXT;
        END LOOP;
        RAISE EXCEPTION USING ERRCODE = 'triggered_action_exception';
    EXCEPTION WHEN triggered_action_exception THEN
        NULL;
    END;
END $$;
\set ECHO all
