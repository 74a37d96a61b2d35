-- A generated company, 7: all of it.

CREATE OR REPLACE FUNCTION crm_internal.demo_segments(words jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.define_segment(jsonb_build_object('subject_table', 'accounts', 'name', words -> 'segments' ->> s.name) || s.definition)
    FROM (VALUES ('large', '{"where": "$.employees >= 250"}'::jsonb), ('loyal', '{"orders": {"within": "365 days", "count": [3, null]}}'),
                 ('silent', '{"where": "$.roles[*] == \"customer\"", "events": [{"source": "orders", "within": "182 days", "at_most": 0}]}')) AS s (name,
                     definition);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_segments(jsonb) IS 'Segments of customers of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.fill_company(size integer, seed bigint, until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    words CONSTANT jsonb := crm_internal.texts_of(tenant.tenant_id, 'company');
    days CONSTANT date[] := crm_internal.demo_days(until, tenant.weekend, words);
    pace CONSTANT double precision[] := crm_internal.demo_pace(days, words);
    p record;
BEGIN
    SELECT s.pipeline_id AS id, array_agg(s.id ORDER BY s.position) FILTER (WHERE s.type = 'open') AS open,
           min(s.id) FILTER (WHERE s.type = 'won') AS won, min(s.id) FILTER (WHERE s.type = 'lost') AS lost
    INTO p
    FROM crm.pipelines AS l JOIN crm.stages AS s ON s.tenant_id = l.tenant_id AND s.pipeline_id = l.id AND s.active
    WHERE l.tenant_id = tenant.tenant_id AND l.subject_table = 'opportunities' AND l.is_default
    GROUP BY s.pipeline_id;
    PERFORM crm_internal.demo_people(size, seed, tenant, words);
    PERFORM crm_internal.demo_products(seed, until, tenant, words);
    PERFORM crm_internal.demo_accounts_drawn(size, seed, until, tenant, words, days, pace);
    PERFORM crm_internal.demo_accounts(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_purchases_drawn(seed, until, words, days, pace, cardinality(p.open));
    PERFORM crm_internal.demo_deals(seed, until, tenant, days, p.id, p.open, p.won, p.lost);
    PERFORM crm_internal.demo_deal_history(seed, until, tenant, days);
    PERFORM crm_internal.demo_activities(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_orders(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_returns(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_paper_rules(tenant, words -> 'papers');
    PERFORM crm_internal.demo_quotes(seed, until, tenant, words -> 'papers', days);
    PERFORM crm_internal.demo_invoices(seed, until, tenant, words -> 'papers', days);
    PERFORM crm_internal.demo_papers_after(seed, until, tenant, words -> 'papers');
    PERFORM crm_internal.demo_quotas(seed, until, tenant, words);
    PERFORM crm_internal.demo_campaigns(size, seed, until, tenant, words, days);
    PERFORM crm_internal.demo_leads(size, seed, until, tenant, words, days, pace);
    PERFORM crm_internal.demo_letters(size, seed, until, tenant, words, days);
    PERFORM crm_internal.demo_help_desk(tenant, words);
    PERFORM crm_internal.demo_tickets_drawn(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_tickets(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_surveys(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_loyalty(seed, until, tenant, words, days);
    PERFORM crm_internal.demo_subscriptions(seed, until, tenant);
    PERFORM crm_internal.demo_lifecycles(until, tenant);
    PERFORM crm_internal.demo_segments(words);
    -- two companies may be made in one transaction
    DROP TABLE IF EXISTS pg_temp.demo_offers, pg_temp.demo_prices, pg_temp.demo_accounts, pg_temp.demo_known, pg_temp.demo_contacts, pg_temp.demo_tries,
        pg_temp.demo_deals, pg_temp.demo_customers, pg_temp.demo_buys, pg_temp.demo_lives, pg_temp.demo_steps, pg_temp.demo_lines, pg_temp.demo_made,
        pg_temp.demo_orders, pg_temp.demo_order_lines, pg_temp.demo_requests, pg_temp.demo_ticket_steps, pg_temp.demo_asked, pg_temp.demo_lead_rows,
        pg_temp.demo_lead_ways, pg_temp.demo_quoted, pg_temp.demo_billed, pg_temp.demo_subscribed;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_company(integer, bigint, date,
    crm.tenants) IS 'Fills an empty tenant with a generated company, in the tenant''s language.';

CREATE OR REPLACE FUNCTION crm.generate_demo(size integer DEFAULT 1, seed bigint DEFAULT 42, until date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (what text, row_count bigint)
LANGUAGE plpgsql VOLATILE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant crm.tenants;
BEGIN
    IF size IS NULL OR size < 1 OR size > 10000 THEN
        RAISE EXCEPTION 'size of a generated company must be from 1 to 10000' USING ERRCODE = 'numeric_value_out_of_range',
            HINT = 'Size 1 has 150 accounts and some 600 opportunities; others are multiples of it.';
    END IF;
    SELECT x.* INTO tenant FROM crm.tenants AS x WHERE x.tenant_id = crm.tenant_id();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the current role works for no tenant' USING ERRCODE = 'CR010', HINT = 'Map the role to a user of a tenant: crm.users, column db_role.';
    END IF;
    IF EXISTS (SELECT FROM crm.accounts AS a WHERE a.tenant_id = tenant.tenant_id) THEN
        RAISE EXCEPTION 'tenant "%" holds accounts already', tenant.name USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A demonstration is generated into an empty tenant only.';
    END IF;
    PERFORM crm.keep_incomplete(), crm.begin_history(crm_internal.texts_of(tenant.tenant_id, 'company') ->> 'history');
    PERFORM crm_internal.fill_company(size, seed, until, tenant);
    PERFORM crm_internal.count_new_tables();
    RETURN QUERY
    SELECT 'users', count(*) FROM crm.users AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'accounts', count(*) FROM crm.accounts AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'contacts', count(*) FROM crm.contacts AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'products', count(*) FROM crm.products AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'leads', count(*) FROM crm.leads AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'opportunities', count(*) FROM crm.opportunities AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'stage periods', count(*) FROM crm.stage_periods AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'orders', count(*) FROM crm.orders AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'quotes', count(*) FROM crm.quotes AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'invoices', count(*) FROM crm.invoices AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'payments', count(*) FROM crm.payments AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'tickets', count(*) FROM crm.tickets AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'activities', count(*) FROM crm.activities AS x WHERE x.tenant_id = tenant.tenant_id;
END
$$;
COMMENT ON FUNCTION crm.generate_demo(integer, bigint, date) IS
'Fills an empty tenant with a generated company, in the tenant''s language, whose history of 900 days ends the day before a date: the same arguments give '
'the same company. Sizes are multiples of 150 accounts. Customers are won by a deal, order again and again at a rate of their own, and leave; what one '
'customer buys is about as large each time; deals, leads, tickets, surveys, quotas and several currencies go with it. Returns what was made.';
SELECT crm.declare_function('crm.generate_demo', 'owner');
