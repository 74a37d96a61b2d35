SELECT max(p.name) AS programme FROM crm.loyalty_programmes AS p \gset
\if :{?programme}
\else
-- an imported company has none yet
INSERT INTO crm.loyalty_programmes (name) VALUES ('Customer club') RETURNING name AS programme \gset
INSERT INTO crm.loyalty_tiers (code, name, position, condition) VALUES ('member', 'Member', 1, NULL), ('gold', 'Gold', 2, '$.revenue >= 20000');
-- of years that are long over: points that do not expire
INSERT INTO crm.loyalty_rates (points) VALUES (0.1);
SELECT crm.review_loyalty() AS reviewed \gset
\endif
\echo
\echo '== Loyalty:' :programme
\echo '-- tiers: what their members earned, spent and may yet spend'
SELECT t.tier_name AS tier, t.customers, t.earned, t.burned, t.expired, t.balance FROM crm_analytics.loyalty_by_tier AS t ORDER BY t.position;
SELECT p.account_id AS customer FROM crm_analytics.loyalty_points() AS p ORDER BY p.balance DESC, p.account_id LIMIT 1 \gset
SELECT s.account_name AS customer_name FROM crm_analytics.loyalty_statement(:customer) AS s LIMIT 1 \gset
\echo '-- the last movements of' :customer_name ', and half of what is there spent'
SELECT points AS spent, reason FROM crm.burn_points(:customer, (SELECT p.balance / 2 FROM crm_analytics.loyalty_points(ARRAY[:customer::bigint]) AS p), 'Voucher');
SELECT s.at::date AS day, s.kind, s.points, s.balance, s.reason FROM (SELECT * FROM crm_analytics.loyalty_statement(:customer) ORDER BY place DESC LIMIT 6) AS s ORDER BY s.place;
\set ON_ERROR_STOP 0
\echo '-- more than that is refused'
SELECT crm.burn_points(:customer, 1000000000, 'A yacht');
\set ON_ERROR_STOP 1
