-- Dashboard, page, document, totals and value say the same of every customer, whoever asks, in every tenant, after rows are changed and deleted.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE ROLE regress_story_manager; CREATE ROLE regress_story_agent; CREATE ROLE regress_story_other; CREATE ROLE regress_story_persian;
SELECT t.tenant_id AS first FROM crm.tenants AS t ORDER BY 1 LIMIT 1 \gset
SELECT t.tenant_id AS second FROM crm.create_tenant('Second', 'EUR', 'America/New_York') AS t \gset
SELECT t.tenant_id AS third FROM crm.create_tenant('سوم', NULL, NULL, 'fa') AS t \gset
-- eight customers of two people, the first without an order; deals, tickets, promises, answers, needs, declared spend
CREATE FUNCTION pg_temp.fill() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    people bigint[];
BEGIN
    WITH u AS (INSERT INTO crm.users (name) VALUES ('One'), ('Two') RETURNING id) SELECT array_agg(u.id ORDER BY u.id) INTO people FROM u;
    INSERT INTO crm.products (code, name, family, list_price) VALUES ('a', 'A', 'Plan', 10), ('b', 'B', 'Help', 20);
    INSERT INTO crm.accounts (name, owner_id, source_system, source_id) SELECT 'Customer ' || i, people[1 + i % 2], 's', i FROM generate_series(1, 8) AS i;
    INSERT INTO crm.orders (account_id, owner_id, kind, ordered_at, amount, margin)
    SELECT a.id, a.owner_id, CASE WHEN k = 5 THEN 'return' ELSE 'sale' END, now() - make_interval(days => n * 11 + k * 37), 100 * n + k, CASE WHEN n % 3 = 0 THEN 30 * n END
    FROM crm.accounts AS a CROSS JOIN LATERAL (SELECT a.source_id::integer AS n) AS i CROSS JOIN LATERAL generate_series(1, n - 1) AS k WHERE a.tenant_id = mine;
    INSERT INTO crm.order_lines (order_id, product_id, unit_price)
    SELECT o.id, p.id, 300 FROM crm.orders AS o JOIN crm.products AS p ON p.tenant_id = o.tenant_id AND (o.id + p.id) % 3 = 0 WHERE o.tenant_id = mine AND o.kind = 'sale';
    INSERT INTO crm.opportunities (name, account_id, owner_id, amount) SELECT 'deal', a.id, a.owner_id, 1000 + 10 * k FROM crm.accounts AS a, generate_series(1, 2) AS k WHERE a.tenant_id = mine;
    INSERT INTO crm.sla_policies (name) VALUES ('p');
    INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis, pause_stages)
    SELECT p.id, x.metric, x.seconds, 'calendar', '{}' FROM crm.sla_policies AS p, (VALUES ('first_response', 3600 * 60), ('resolution', 3600 * 24)) AS x (metric, seconds) WHERE p.tenant_id = mine;
    INSERT INTO crm.tickets (subject, account_id, owner_id, created_at) SELECT 'help', a.id, a.owner_id, now() - interval '1 day' * k * 0.9 FROM crm.accounts AS a, generate_series(1, 2) AS k WHERE a.tenant_id = mine;
    INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, author_user_id, is_public, body, sent_at)
    SELECT k.id, 'mail', 'out', 'agent', k.owner_id, true, 'we know', now() - interval '1 hour' FROM crm.tickets AS k WHERE k.tenant_id = mine AND k.id % 3 <> 0;
    INSERT INTO crm.surveys (code, kind) SELECT k, k FROM unnest('{csat,nps}'::text[]) AS k;
    INSERT INTO crm.survey_responses (survey_id, subject_table, subject_id, owner_id, sent_at, answered_at, score)
    SELECT s.id, 'tickets', k.id, k.owner_id, now() - interval '2 days', now() - interval '1 day', 1 + k.id % 5 FROM crm.tickets AS k JOIN crm.surveys AS s ON s.tenant_id = k.tenant_id AND s.kind = 'csat' WHERE k.tenant_id = mine
    UNION ALL
    SELECT s.id, 'opportunities', o.id, o.owner_id, now() - interval '2 days', now() - interval '1 day', o.id % 11 FROM crm.opportunities AS o JOIN crm.surveys AS s ON s.tenant_id = o.tenant_id AND s.kind = 'nps' WHERE o.tenant_id = mine;
    INSERT INTO crm.account_needs (account_id, need, importance) SELECT a.id, n, 1 + a.id % 5 FROM crm.accounts AS a, unnest('{speed,price}'::text[]) AS n WHERE a.tenant_id = mine AND a.id % 2 = 0;
    INSERT INTO crm.wallet_declarations (account_id, period, total_spend) SELECT a.id, daterange(crm.local_day(mine, now()) - 365, crm.local_day(mine, now())), 100000 FROM crm.accounts AS a WHERE a.tenant_id = mine AND a.id % 3 > 0;
END
$$;
SET LOCAL crm.tenant = :'first'; SELECT pg_temp.fill();
SET LOCAL crm.tenant = :'second'; SELECT pg_temp.fill();
SET LOCAL crm.tenant = :'third'; SELECT pg_temp.fill();
SELECT count(*) AS granted FROM (VALUES ('manager', 'manager', :first, 0), ('agent', 'agent', :first, 1), ('other', 'agent', :second, 1), ('persian', 'manager', :third, 0)) AS l (role, level, tenant, n)
CROSS JOIN LATERAL (SELECT set_config('crm.tenant', l.tenant::text, true) AS t) AS s
CROSS JOIN LATERAL crm.grant_access(('regress_story_' || l.role)::name, l.level, (SELECT u.id FROM crm.users AS u WHERE u.tenant_id = s.t::bigint AND u.name IN ('One', 'Two') ORDER BY u.id OFFSET l.n LIMIT 1)) AS g;

-- what differs, by what and how often; nothing is right: documents, totals and value of every account, sums of all, the pages of one
CREATE FUNCTION pg_temp.differs() RETURNS TABLE (what text, times bigint) LANGUAGE sql AS $$
    WITH d AS MATERIALIZED (
        SELECT a.id, crm_analytics.customer_360(a.id) AS doc FROM crm.accounts AS a WHERE a.tenant_id = crm.tenant_id()
    ), p AS MATERIALIZED (
        SELECT d.*, to_jsonb(v) AS v, to_jsonb(t) AS t FROM d JOIN crm_analytics.customer_totals AS t ON t.tenant_id = crm.tenant_id() AND t.account_id = d.id
        LEFT JOIN crm_analytics.customer_value AS v ON v.account_id = d.id
    ), pages AS MATERIALIZED (
        SELECT x.*, l, crm_analytics.report_html('customer', x.id, l) AS page, crm_analytics.report_words(l) AS w
        FROM (SELECT p.id, p.t FROM p ORDER BY (p.t ->> 'revenue')::numeric DESC, p.id LIMIT 1) AS x CROSS JOIN unnest('{en,fa}'::text[]) AS l
    ), board AS MATERIALIZED (
        SELECT crm_analytics.report_html('dashboard', language => 'en') AS page
    ), own AS (
        SELECT o.account_id, count(*) FILTER (WHERE o.kind = 'sale') AS orders, sum(o.base_amount) AS revenue FROM crm.orders AS o
        WHERE o.tenant_id = crm.tenant_id() AND o.state <> 'cancelled' AND o.ordered_on <= crm.local_day(crm.tenant_id(), now()) GROUP BY 1
    )
    -- value against the document, column by column, whatever columns there are
    SELECT 'value: ' || k.key, count(*) FROM p CROSS JOIN LATERAL jsonb_each(p.v) AS k
    WHERE p.v IS NOT NULL AND k.key NOT IN ('tenant_id', 'account_id', 'account_name', 'owner_id', 'owner', 'model', 'value_segment') AND k.value IS DISTINCT FROM p.doc -> 'value' -> k.key GROUP BY 1
    UNION ALL
    -- totals against the value and against the document
    SELECT 'totals: ' || k, count(*) FROM p, unnest('{clv,p_alive,next_order_on,churn_on}'::text[]) AS k WHERE (p.t ->> k) IS DISTINCT FROM (p.v ->> k) GROUP BY 1
    UNION ALL
    SELECT 'totals of orders: ' || k, count(*) FROM p, unnest('{orders,revenue,last_order_on}'::text[]) AS k WHERE p.v IS NOT NULL AND (p.t -> k) IS DISTINCT FROM (p.v -> k) GROUP BY 1
    UNION ALL
    SELECT 'document: ' || c.what, count(*) FROM p CROSS JOIN LATERAL (VALUES
        ('orders', p.t -> 'orders', p.doc #> '{sales,orders,orders}'), ('revenue', p.t -> 'revenue', p.doc #> '{sales,orders,amount}'), ('open', p.t -> 'open', p.doc #> '{sales,totals,open}'),
        ('open amount', p.t -> 'open_amount', p.doc #> '{sales,totals,open_amount}'), ('open deals', p.t -> 'open', to_jsonb(jsonb_array_length(p.doc #> '{sales,open}'))),
        ('need', p.t -> 'need', p.doc #> '{needs,main}'), ('wallet', p.t -> 'wallet_share', p.doc #> '{wallet,share}'), ('open wallet', p.t -> 'open_wallet', p.doc #> '{wallet,open}'),
        ('satisfaction', p.t -> 'satisfaction', p.doc #> '{service,satisfaction,mean_score}'), ('kept', p.t -> 'promises_kept', p.doc #> '{service,promises,kept}'),
        ('broken', p.t -> 'promises_broken', to_jsonb((p.doc #>> '{service,promises,broken}')::bigint + (p.doc #>> '{service,promises,overdue}')::bigint)),
        ('open tickets', p.t -> 'open_tickets', p.doc #> '{service,open}')) AS c (what, one, other)
    WHERE c.one IS DISTINCT FROM c.other GROUP BY 1
    UNION ALL
    -- and against the rows themselves
    SELECT 'rows of orders', count(*) FROM crm_analytics.customer_totals AS t LEFT JOIN own AS o ON o.account_id = t.account_id
    WHERE t.tenant_id = crm.tenant_id() AND (t.orders <> coalesce(o.orders, 0) OR t.revenue <> coalesce(o.revenue, 0)) HAVING count(*) > 0
    UNION ALL
    SELECT 'rows of promises', 1 WHERE (SELECT sum(p.promises_kept) FROM crm_analytics.customer_promises AS p WHERE p.tenant_id = crm.tenant_id())
        IS DISTINCT FROM (SELECT count(*)::numeric FROM crm_analytics.fact_sla_clocks AS c LEFT JOIN crm.tickets AS k ON c.subject_table = 'tickets' AND k.id = c.subject_id
                          LEFT JOIN crm.leads AS l ON c.subject_table = 'leads' AND l.id = c.subject_id WHERE c.tenant_id = crm.tenant_id() AND c.state = 'met'
                            AND coalesce(k.account_id, l.account_id) IN (SELECT a.id FROM crm.accounts AS a WHERE a.tenant_id = crm.tenant_id()))
    UNION ALL
    -- the whole company is the sum of its customers
    SELECT 'dashboard: ' || x.metric, 1 FROM (VALUES
        ('open_tickets', (SELECT sum(t.open_tickets) FROM crm_analytics.customer_totals AS t WHERE t.tenant_id = crm.tenant_id()) + (SELECT count(*) FROM crm.tickets AS k WHERE k.tenant_id = crm.tenant_id() AND k.account_id IS NULL AND k.closed_at IS NULL AND k.merged_into_id IS NULL)),
        ('open_opportunities', (SELECT sum(t.open) FROM crm_analytics.customer_totals AS t WHERE t.tenant_id = crm.tenant_id()) + (SELECT count(*) FROM crm_analytics.fact_opportunities AS f WHERE f.tenant_id = crm.tenant_id() AND f.account_id IS NULL AND f.state = 'open')),
        ('orders_12_months', (SELECT count(*)::numeric FROM crm.orders AS o WHERE o.tenant_id = crm.tenant_id() AND o.kind = 'sale' AND o.state <> 'cancelled' AND o.ordered_on <= crm.local_day(crm.tenant_id(), now()) AND o.ordered_on > crm.local_day(crm.tenant_id(), now()) - interval '12 months')),
        ('satisfied_30_days', (SELECT avg(f.is_satisfied::integer) FROM crm_analytics.fact_survey_responses AS f WHERE f.tenant_id = crm.tenant_id() AND f.kind = 'csat' AND f.score IS NOT NULL))) AS x (metric, n)
    LEFT JOIN crm_analytics.dashboard AS b ON b.metric = x.metric AND b.tenant_id = crm.tenant_id() WHERE b.value IS DISTINCT FROM x.n
    UNION ALL
    -- the page shows the figures of the document, in the words of its language
    SELECT 'page in ' || p.l || ': ' || k, count(*) FROM pages AS p
    CROSS JOIN unnest('{clv,p_alive,next_order,churn_on,promises,satisfaction,open_deals,ordered,need,wallet}'::text[]) AS k
    CROSS JOIN LATERAL (SELECT CASE k
        WHEN 'clv' THEN crm.figure_text((p.t ->> 'clv')::float8, 'compact', p.l) WHEN 'ordered' THEN crm.figure_text((p.t ->> 'revenue')::float8, 'compact', p.l)
        WHEN 'p_alive' THEN crm.figure_text((p.t ->> 'p_alive')::float8, 'percent', p.l) WHEN 'next_order' THEN crm_analytics.report_date((p.t ->> 'next_order_on')::date, p.l)
        WHEN 'churn_on' THEN crm_analytics.report_date((p.t ->> 'churn_on')::date, p.l) WHEN 'satisfaction' THEN crm.figure_text((p.t ->> 'satisfaction')::float8, 'number', p.l)
        WHEN 'open_deals' THEN crm.figure_text((p.t ->> 'open_amount')::float8, 'compact', p.l) WHEN 'wallet' THEN crm.figure_text((p.t ->> 'wallet_share')::float8, 'percent', p.l)
        WHEN 'promises' THEN crm.figure_text((p.t ->> 'promises_kept')::float8 / nullif((p.t ->> 'promises_kept')::float8 + (p.t ->> 'promises_broken')::float8, 0), 'percent', p.l)
        END AS said) AS f
    WHERE p.page !~ ('<div class="tl">' || (p.w ->> k) || '</div><div class="tv"><bdi>' || coalesce(regexp_replace(f.said, '([.+()])', '\\\1', 'g'), '')) GROUP BY 1
    UNION ALL
    -- and the dashboard's page those of the best customer
    SELECT 'page of the dashboard', 1 FROM board AS h
    CROSS JOIN LATERAL (SELECT d.account_id FROM crm_analytics.account_days AS d WHERE d.tenant_id = crm.tenant_id()
          AND d.ordered_on > crm.local_day(crm.tenant_id(), now()) - interval '12 months' AND d.ordered_on <= crm.local_day(crm.tenant_id(), now())
          GROUP BY d.account_id ORDER BY sum(d.revenue) DESC, 1 LIMIT 1) AS x
    CROSS JOIN LATERAL (SELECT w.clv FROM crm_analytics.customer_worth(ARRAY[x.account_id]) AS w) AS w
    WHERE strpos(h.page, crm.figure_text(w.clv::float8, 'compact', 'en')) = 0
$$;
-- the test can fail: something is there to be compared
CREATE FUNCTION pg_temp.known() RETURNS TABLE (customers boolean, worth boolean, satisfied boolean, promised boolean, needs boolean, wallets boolean) LANGUAGE sql AS $$
    SELECT count(*) > 1, count(*) FILTER (WHERE clv > 0) > 1, count(satisfaction) > 1, sum(promises_kept) > 1, count(*) FILTER (WHERE need <> 'unknown') > 1, count(open_wallet) > 1 FROM crm_analytics.customer_totals
$$;

\echo == owner, manager, agent; a tenant in euros; a Persian one
SET LOCAL crm.tenant = :'first'; SELECT * FROM pg_temp.known(); SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_manager; SELECT * FROM pg_temp.known(); SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_agent; SELECT * FROM pg_temp.known(); SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_other; SELECT * FROM pg_temp.known(); SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_persian; SELECT * FROM pg_temp.known(); SELECT * FROM pg_temp.differs();
RESET ROLE;

\echo == with a model in use, and what all are like kept
INSERT INTO crm.value_models (tenant_id, kind, parameters, spend_parameters, fit, as_of, holdout_days, customers, quality, state)
SELECT t.tenant_id, 'bgnbd', '{0.8,10,0.9,3}', '{6,4,15}', '{}', '2026-01-01', 90, 100, '{}', 'active' FROM crm.tenants AS t;
SET LOCAL crm.tenant = :'first'; SELECT count(p_alive) > 1 AS alive FROM crm_analytics.customer_totals WHERE tenant_id = :first; SELECT * FROM pg_temp.differs();
SELECT k.customers > 0 AS kept FROM crm.renew_rfm_edges() AS k; SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_agent; SELECT * FROM pg_temp.differs(); RESET ROLE;

\echo == after rows are changed, moved and deleted; an order of tomorrow has not happened
DO $$ DECLARE t bigint; BEGIN FOR t IN SELECT tenant_id FROM crm.tenants LOOP
    PERFORM set_config('crm.tenant', t::text, true);
    UPDATE crm.orders AS o SET amount = amount + 7, ordered_at = ordered_at - interval '3 days' WHERE o.tenant_id = t AND o.id % 5 = 0 AND NOT EXISTS (SELECT FROM crm.order_lines AS l WHERE l.order_id = o.id);
    UPDATE crm.order_lines AS l SET unit_price = 77 WHERE l.tenant_id = t AND l.id % 2 = 0;
    UPDATE crm.orders SET state = 'cancelled' WHERE tenant_id = t AND id % 7 = 0;
    UPDATE crm.orders SET account_id = (SELECT max(a.id) FROM crm.accounts AS a WHERE a.tenant_id = t) WHERE tenant_id = t AND id % 6 = 0;
    DELETE FROM crm.orders WHERE tenant_id = t AND id % 8 = 0;
    UPDATE crm.survey_responses SET score = 5 WHERE tenant_id = t AND id % 2 = 0;
    UPDATE crm.opportunities SET amount = amount + 1 WHERE tenant_id = t AND id % 2 = 0;
    PERFORM crm.win_opportunity(o.id) FROM (SELECT min(o.id) AS id FROM crm.opportunities AS o WHERE o.tenant_id = t) AS o;
    DELETE FROM crm.opportunities WHERE tenant_id = t AND id % 5 = 0;
    DELETE FROM crm.account_needs WHERE tenant_id = t AND account_id % 4 = 0;
    UPDATE crm.wallet_declarations SET total_spend = total_spend * 2 WHERE tenant_id = t AND account_id % 2 = 0;
    DELETE FROM crm.tickets WHERE tenant_id = t AND id % 5 = 0;
    INSERT INTO crm.orders (account_id, ordered_at, amount) SELECT min(a.id), now() + interval '2 days', 100 FROM crm.accounts AS a WHERE a.tenant_id = t;
END LOOP; END $$;
SET LOCAL crm.tenant = :'first'; SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_manager; SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_agent; SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_other; SELECT * FROM pg_temp.differs();
SET LOCAL ROLE regress_story_persian; SELECT * FROM pg_temp.differs();
RESET ROLE;

\echo == the base currency changes: one customer is told in the new one everywhere
INSERT INTO crm.exchange_rates (tenant_id, from_currency, to_currency, valid_from, rate) VALUES (:second, 'EUR', 'CHF', '2000-01-01', 0.5), (:second, 'USD', 'EUR', '2000-01-01', 2), (:second, 'USD', 'CHF', '2000-01-01', 1),
    (:second, 'GBP', 'CHF', '2000-01-01', 1);
SET LOCAL crm.tenant = :'second';
CREATE TEMP TABLE before AS SELECT sum(clv) AS clv, sum(revenue) AS revenue FROM crm_analytics.customer_value;
SELECT k.customers > 0 AS kept FROM crm.renew_rfm_edges() AS k;
UPDATE crm.tenants SET base_currency = 'CHF' WHERE tenant_id = :second;
SELECT * FROM pg_temp.differs();
ROLLBACK;
