#!/usr/bin/env bash
# Sixteen sessions issue invoices: a document with three lines is opened and posted, each in a transaction of its own that is on disk before it ends. The
# baseline writes as many rows (document, lines, events) into the same tables without any trigger. An ordinary series is one nobody waits for; of a gapless
# one the number is taken last, and whoever takes it holds the series until their commit is on disk: what of it is lost is told below the table.
set -eu
. "$REPO/tests/helpers/cluster.sh"
. "$REPO/tests/bench/timed.inc"
seconds=${BENCH_SECONDS:-5} clients=${CLIENTS:-16}
sql >/dev/null <<'SQL'
INSERT INTO crm.accounts (id, name) SELECT g, 'Customer ' || g FROM generate_series(9001, 10000) AS g;
INSERT INTO crm.products (id, code, name, list_price, cost) SELECT g, 'p' || g, 'Product ' || g, 10 + g % 90, 5 FROM generate_series(9001, 9100) AS g;
CREATE TABLE bare_invoices (LIKE crm.invoices INCLUDING ALL);
CREATE TABLE bare_lines (LIKE crm.invoice_lines INCLUDING ALL);
CREATE TABLE bare_events (LIKE crm.events INCLUDING ALL);
DO $$
DECLARE r record;
BEGIN
    FOR r IN SELECT c.conname, pg_get_constraintdef(c.oid) AS def, x.bare FROM pg_constraint AS c
             JOIN (VALUES ('crm.invoices'::regclass, 'bare_invoices'), ('crm.invoice_lines', 'bare_lines'), ('crm.events', 'bare_events')) AS x (real, bare) ON x.real = c.conrelid
             WHERE c.contype = 'f' LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I %s', r.bare, r.conname, replace(r.def, 'crm.invoices', 'bare_invoices'));
    END LOOP;
END $$;
ALTER TABLE bare_invoices ALTER currency SET DEFAULT 'USD', ALTER rounding SET DEFAULT 'line', ALTER minor_units SET DEFAULT 2;
ALTER TABLE bare_lines ALTER price_includes_tax SET DEFAULT false;
CREATE SEQUENCE bare_numbers;
VACUUM ANALYZE;
SQL
cat >"$WORK/issue.sql" <<'SQL'
\set account random(9001, 10000)
\set product random(9001, 9098)
BEGIN;
INSERT INTO crm.invoices (tenant_id, account_id, issued_on) VALUES (1, :account, '2025-05-01') RETURNING id AS doc \gset
INSERT INTO crm.invoice_lines (tenant_id, invoice_id, position, product_id, quantity, unit_price) VALUES (1, :doc, 1, :product, 2, 12.5), (1, :doc, 2, :product + 1, 1, 99), (1, :doc, 3, :product + 2, 3, 5);
SELECT number FROM crm.post_invoice(:doc);
COMMIT;
SQL
events=$(value "$PGDATABASE" "SELECT count(*) FROM crm.events" ) && psql -X -q -f <(sed 's/\\set account.*/\\set account 9001/; s/\\set product.*/\\set product 9001/' "$WORK/issue.sql") >/dev/null
events=$(($(value "$PGDATABASE" "SELECT count(*) FROM crm.events") - events))
cat >"$WORK/bare.sql" <<SQL
\\set account random(9001, 10000)
\\set product random(9001, 9098)
BEGIN;
INSERT INTO bare_invoices (tenant_id, account_id, issued_on, due_on, state, number, posted_at, bill_to, net_amount, total_amount)
VALUES (1, :account, '2025-05-01', '2025-05-01', 'posted', 'I2025-' || nextval('bare_numbers'), now(), '{"name": "Customer"}', 139, 139) RETURNING id AS doc \\gset
INSERT INTO bare_lines (tenant_id, invoice_id, position, product_id, quantity, unit_price, unit_cost, net_amount, gross_amount) VALUES (1, :doc, 1, :product, 2, 12.5, 5, 25, 25), (1, :doc, 2, :product + 1, 1, 99, 5, 99, 99), (1, :doc, 3, :product + 2, 3, 5, 5, 15, 15);
INSERT INTO bare_events (tenant_id, kind, subject_table, subject_id, payload) SELECT 1, 'invoice.posted', 'invoices', :doc, '{"number": "I2025-00001", "kind": "invoice", "account_id": 9001, "currency": "USD", "total_amount": 139}' FROM generate_series(1, $events);
COMMIT;
SQL
tps() {     # script, synchronous_commit
    PGOPTIONS="-c synchronous_commit=$2" pgbench -n -M prepared -c "$clients" -j 2 -T "$seconds" -f "$WORK/$1.sql" 2>"$WORK/pgbench.err" |
        awk '/^tps/ { printf "%d", $3 }'
}
series() { sql -c "ALTER TABLE crm.number_series DISABLE TRIGGER USER" -c "UPDATE crm.number_series SET kind = '$1' WHERE document = 'invoices'" -c "ALTER TABLE crm.number_series ENABLE TRIGGER USER" >/dev/null; }
best() { [ "$1" -gt "$2" ] && echo "$1" || echo "$2"; }
for mode in on off; do
    b=0 o=0 g=0
    # taken in turns, so that a machine that changes its pace does so for all of them
    for round in 1 2 3; do
        b=$(best "$(tps bare $mode)" $b)
        series ordinary; o=$(best "$(tps issue $mode)" $o)
        series gapless; g=$(best "$(tps issue $mode)" $g)
    done
    target='>= 0.7' decided=$(verdict "$(ratio $o $b)" '>=' 0.7)
    [ $mode = on ] || target=- decided=-
    line "$clients sessions, ordinary series, synchronous_commit=$mode" "$o tps" "$b tps" "$(ratio $o $b)" "$target" "$decided"
    line "$clients sessions, gapless series, synchronous_commit=$mode" "$g tps" "$o ordinary" "$(ratio $g $o)" - -
done
