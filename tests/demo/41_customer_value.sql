SELECT max(ordered_on) AS day FROM crm.orders \gset
\echo
\echo '== What customers are worth, as of' :day
SELECT m.kind AS model, m.customers, m.fit ->> 'state' AS fit FROM crm.fit_value_model(as_of => :'day', holdout_days => 90) AS m;
SELECT q.actual_purchases, q.expected_purchases, q.tracking, q.rmse, q.baseline_rmse, q.top_decile_lift, q.beats_baseline FROM crm_analytics.value_model_quality AS q;
SELECT (crm.activate_value_model((SELECT max(id) FROM crm.value_models), true)).state AS model_is;
\echo '-- the ten most valuable'
SELECT v.account_name AS customer, v.orders, v.revenue, round(v.p_alive::numeric, 2) AS p_alive, round(v.expected_purchases::numeric, 1) AS expected, v.clv, v.silent_on, v.rfm, v.value_segment AS segment
FROM crm_analytics.customer_value_at(:'day') AS v ORDER BY v.clv DESC LIMIT 10;
\echo '-- who is about to leave, when and why'
SELECT r.account_name AS customer, r.churn_on, r.value_at_stake, array_to_string(r.reasons, '; ') AS reasons
FROM crm_analytics.churn_risks(:'day') AS r WHERE r.state = 'leaving' ORDER BY r.value_at_stake DESC LIMIT 8;
\echo '-- what each segment contributes'
SELECT s.segment, s.customers, s.revenue, s.revenue_share, s.clv, s.clv_share FROM crm_analytics.segment_contribution('value_segment', :'day') AS s ORDER BY s.segment;
\echo '-- what goes with what they have, and the next tier of what they own'
SELECT c.account_name AS customer, c.suggested_name AS suggest, c.because_of, c.customers_like_it || ' of ' || c.customers_having_it AS evidence, c.expected_value FROM crm_analytics.cross_sell(top => 1) AS c LIMIT 5;
SELECT u.account_name AS customer, u.suggested_name AS suggest, u.moved_up || ' of ' || u.having_tier AS evidence, u.list_price_difference FROM crm_analytics.up_sell() AS u LIMIT 3;
