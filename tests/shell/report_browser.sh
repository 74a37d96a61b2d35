#!/usr/bin/env bash
# The reports in a real browser: on a telephone, a tablet and a desk, light, dark and on paper, in both languages: every chart drawn, no text on
# top of other text or outside its picture, no figure cut or off the screen, nothing wider than the window, nothing loaded from anywhere. Quotes, invoices, reminders and
# statements too, which on paper are sheets of A4 with the head of the table on each. make test brings Chromium where the
# distribution has it; skipped where there is none.
# long: 60 s
set -u
. "$REPO/tests/helpers/cluster.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    { echo "no Chromium here"; exit 77; }
db=report_browser
fresh_database "$db" || exit 1
trap 'dropdb --if-exists --force "$db"' EXIT

# two years of a company whose users chose names that test the escaping, the direction and the room
sql -d "$db" >/dev/null <<'SQL' || exit 1
SET session_replication_role = replica;
INSERT INTO crm.users (id, name) VALUES (1, 'Anna Berg'), (2, 'رضا محمدی'), (3, '<script>document.title="x"</script>'),
    (4, 'A name of more than common length, with a comma and a tail'), (5, E'\u202Eevil'), (6, '李小龍'), (7, 'O''Brien & "Sons"');
INSERT INTO crm.accounts (id, name, industry, country, employees, roles)
SELECT n, (ARRAY['Alpha', '</svg><b>Beta', 'شرکت نمونه', 'Delta "Quote"', 'An account with quite a long name indeed, Incorporated'])[1 + n % 5] || ' ' || n,
       (ARRAY['retail', 'medical', 'software'])[1 + n % 3], (ARRAY['US', 'DE', 'IR'])[1 + n % 3], n * 37 % 2000, '{customer}'
FROM generate_series(1, 40) AS n;
INSERT INTO crm.contacts (id, name, account_id, title) SELECT n, 'Contact ' || n, n, 'Buyer' FROM generate_series(1, 40) AS n;
INSERT INTO crm.contact_points (contact_id, kind, value) SELECT n, 'email', 'someone.with.a.long.name' || n || '@example.com' FROM generate_series(1, 40) AS n;
INSERT INTO crm.quotas (user_id, period, amount, currency)
SELECT n, daterange(date_trunc('year', now())::date, (date_trunc('year', now()) + interval '1 year')::date), 100000 * n, 'USD' FROM generate_series(1, 7) AS n;
INSERT INTO crm.activities (kind, subject, account_id, owner_id, created_at, due_at, done_at)
SELECT (ARRAY['call', 'mail', 'meeting', 'task', 'visit'])[1 + n % 5], 'Follow up ' || n, 1 + n % 40, 1 + n % 7, at, at + interval '2 days',
       CASE WHEN n % 9 > 0 THEN at + interval '1 day' END
FROM (SELECT n, now() - (n * 7919 % 100) * interval '1 day' AS at FROM generate_series(1, 900) AS n) AS x;
DO $$
DECLARE
    stages bigint[];
    line bigint;
    n integer;
    i integer;
    at timestamptz;
    ends timestamptz;
    won boolean;
BEGIN
    SELECT p.id INTO line FROM crm.pipelines AS p WHERE p.subject_table = 'opportunities' ORDER BY p.is_default DESC, p.id LIMIT 1;
    SELECT array_agg(s.id ORDER BY s.type = 'won', s.type = 'lost', s.position) INTO stages FROM crm.stages AS s WHERE s.pipeline_id = line;
    FOR n IN 1..700 LOOP
        at := now() - (n * 104729 % 700) * interval '1 day';
        won := n * 31 % 7 < 3;
        INSERT INTO crm.opportunities (id, name, account_id, pipeline_id, stage_id, amount, owner_id, lead_source, created_at, stage_entered_at, expected_close_date)
        VALUES (n, 'Deal <i>' || n, 1 + n % 40, line, stages[1], 1000 + n * 7907 % 90000, 1 + n % 7, (ARRAY['web', 'fair', NULL, 'a source with a rather long name'])[1 + n % 4],
                at, at, current_date + n % 200);
        FOR i IN 1..cardinality(stages) - 2 LOOP
            ends := at + (1 + (n * 13 + i * 7) % 15) * interval '1 day';
            INSERT INTO crm.stage_periods (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, amount, currency, close_date, owner_id, moved)
            SELECT 1, 'opportunities', n, i, line, stages[i], tstzrange(at, CASE WHEN ends < now() THEN ends END), o.amount, 'USD', o.expected_close_date, o.owner_id, true
            FROM crm.opportunities AS o WHERE o.id = n;
            UPDATE crm.opportunities AS o SET stage_id = stages[i], stage_entered_at = at, probability = 10 * i WHERE o.id = n;
            EXIT WHEN ends >= now();
            at := ends;
            IF i = cardinality(stages) - 2 OR NOT won AND (n + i) % 4 = 0 THEN
                INSERT INTO crm.stage_periods (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, amount, currency, close_date, owner_id, moved)
                SELECT 1, 'opportunities', n, i + 1, line, stages[cardinality(stages) - won::integer], tstzrange(at, NULL), o.amount, 'USD', at::date, o.owner_id, true
                FROM crm.opportunities AS o WHERE o.id = n;
                UPDATE crm.opportunities AS o SET stage_id = stages[cardinality(stages) - won::integer], stage_entered_at = at, closed_at = at, close_date = at::date,
                    loss_reason = CASE WHEN NOT won THEN (SELECT r.code FROM crm.loss_reasons AS r ORDER BY r.code OFFSET n % 3 LIMIT 1) END WHERE o.id = n;
                EXIT;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
-- what triggers would have kept
SET session_replication_role = origin;
SELECT crm.rebuild_rollup(r.name) FROM crm.rollups AS r;
SQL

cat >"$WORK/check.js" <<'JS'
(function () {
    var faults = [], charts = document.querySelectorAll('svg.chart'), n = 0;
    charts = Array.from(charts).filter(function (svg) { return getComputedStyle(svg).display !== 'none'; });
    charts.forEach(function (svg) {
        var box = svg.getBoundingClientRect(), texts = Array.from(svg.querySelectorAll('text')), name = svg.getAttribute('aria-label') || svg.getAttribute('class');
        if (box.width < 100 || box.height < 20) faults.push('chart without size: ' + name);
        if (!svg.querySelector('rect,path,circle')) faults.push('chart with nothing drawn: ' + name);
        var boxes = texts.map(function (t) { return {t: t.textContent, b: t.getBoundingClientRect()}; });
        n += boxes.length;
        boxes.forEach(function (a, i) {
            if (/[0-9\u06f0-\u06f9]\u2026/.test(a.t)) faults.push('figure cut in ' + name + ': ' + a.t);
            if (a.b.width > 0 && (a.b.left < -1 || a.b.right > window.innerWidth + 1)) faults.push('off the screen in ' + name + ': ' + a.t);
            if (a.b.width > 0 && a.b.height < 9) faults.push('too small to read in ' + name + ': ' + a.t);
            if (a.b.width > 0 && (a.b.left < box.left - 3 || a.b.right > box.right + 3 || a.b.top < box.top - 3 || a.b.bottom > box.bottom + 3))
                faults.push('text outside of ' + name + ': ' + a.t);
            for (var j = i + 1; j < boxes.length; j++) {
                var c = boxes[j].b, w = Math.min(a.b.right, c.right) - Math.max(a.b.left, c.left), h = Math.min(a.b.bottom, c.bottom) - Math.max(a.b.top, c.top);
                if (w > 1.5 && h > 3) faults.push('texts overlap in ' + name + ': ' + a.t + ' / ' + boxes[j].t);
            }
        });
    });
    document.querySelectorAll('.tile').forEach(function (t) { if (t.scrollWidth > t.clientWidth + 1) faults.push('tile too narrow: ' + t.textContent); });
    document.querySelectorAll('.card,.scroll,td,th').forEach(function (t) {
        if (t.clientWidth > 0 && t.scrollWidth > t.clientWidth + 1 && getComputedStyle(t).display !== 'none')
            faults.push('cut in ' + ((t.closest('.card') || document).querySelector('h2,h1') || t).textContent + ': ' + t.tagName + ' ' + t.textContent.slice(0, 40));
    });
    if (document.documentElement.scrollWidth > window.innerWidth + 1) faults.push('page wider than the window');
    if (performance.getEntriesByType('resource').length > 0) faults.push('something was loaded: ' + performance.getEntriesByType('resource').map(function (r) { return r.name; }));
    if (document.querySelectorAll('script').length > 1) faults.push('a script in the page');
    if (document.querySelectorAll('main b, main i:not(.bar i)').length > 0) faults.push('markup out of a name');
    document.title = 'CHECKED charts=' + charts.length + ' texts=' + n + ' faults=' + faults.length + ' ' + faults.slice(0, 12).join(' | ');
})();
JS

status=0
check() {   # name, least number of charts, html, window
    local out profile
    profile=$(mktemp -d "$WORK/profile.XXXXXX")
    # the page forbids scripts, so the copy that is looked into loses that line
    sed -e 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$3" >"$WORK/copy.html"
    { printf '<script>'; cat "$WORK/check.js"; printf '</script>'; } >>"$WORK/copy.html"
    timeout 90 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$profile" \
        ${5:-} --window-size="$4" --virtual-time-budget=4000 --dump-dom "file://$WORK/copy.html" \
        </dev/null >"$WORK/dom.html" 2>"$WORK/browser.log"
    rm -rf "$profile"
    out=$(grep -ao 'CHECKED [^<]*' "$WORK/dom.html" | head -1)
    echo "$1 at $4 ${5:-}: ${out:-the browser gave nothing: $(tail -3 "$WORK/browser.log")}"
    case $out in *" faults=0 "*) ;; *) status=1; return;; esac
    [ "$(echo "$out" | sed 's/.*charts=\([0-9]*\).*/\1/')" -ge "$2" ] || { echo "  fewer than $2 charts"; status=1; }
}
paper() {   # name, html: what is printed has pages, and not more than its figures need
    local pages profile
    profile=$(mktemp -d "$WORK/profile.XXXXXX")
    timeout 90 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking --user-data-dir="$profile" \
        --no-pdf-header-footer --print-to-pdf="$WORK/$1.pdf" "file://$2" </dev/null >/dev/null 2>&1
    rm -rf "$profile"
    pages=$(grep -ac '/Type */Page$\|/Type */Page[^s]' "$WORK/$1.pdf" 2>/dev/null)
    echo "$1 on paper: ${pages:-no} pages"
    [ "${pages:-0}" -ge 1 ] && [ "$pages" -le 9 ] || { echo "  that is not what the page needs"; status=1; }
}
for language in en fa; do
    for report in pipeline:8 dashboard:5 customer:1; do
        name=${report%:*}
        value "$db" "SELECT crm_analytics.report_html('$name', 2, '$language')" >"$WORK/$name-$language.html" || exit 1
        # addresses of any kind, and scripts, in what is delivered
        if grep -aoE '(src|href|action|data)="[^"]{0,60}|url\([^)]{0,60}|@import|<script|<link|<iframe|on(load|click|error)=' "$WORK/$name-$language.html"; then
            echo "$name-$language.html names something to load or run"; status=1
        fi
        for window in 390,3000 768,3000 1200,2600; do check "$name-$language" "${report#*:}" "$WORK/$name-$language.html" $window; done
        paper "$name-$language" "$WORK/$name-$language.html"
    done
done
check pipeline-en 8 "$WORK/pipeline-en.html" 1280,4200 --blink-settings=preferredColorScheme=0
check dashboard-fa 5 "$WORK/dashboard-fa.html" 390,6000 --blink-settings=preferredColorScheme=0

# documents: an invoice of many lines, a quote, a reminder and a statement, with names that test the escaping, the direction and the room
sql -d "$db" >/dev/null <<'SQL' || exit 1
INSERT INTO crm.letterheads (name, address, reach, tax_number, bank, footer) VALUES
    ('<b>Pumps</b> & Valves, an enterprise with a name of more than common length', E'Road 7\n53111 Bonn', 'a.very.long.address.of.an.office@pumps-and-valves.example', 'DE 123 456', E'DE00 1234 5678 9012 3456 00\nBank of Bonn', 'Thank you');
INSERT INTO crm.products (id, code, name, list_price) VALUES (1, 'P-1', 'پمپ آب <i>صنعتی</i>', 1234567.25), (2, 'a-code-of-a-product-without-any-place-to-break-it-in-two', 'Valve', 0.5);
INSERT INTO crm.invoices (id, account_id, contact_id, terms) VALUES (1, 2, 2, repeat('Payable within thirty days. ', 8)), (2, 2, NULL, NULL);
INSERT INTO crm.invoice_lines (invoice_id, product_id, position, quantity, discount_percent, tax_percent)
SELECT 1, 1 + n % 2, n, 1 + n % 7, n % 3 * 2.5, CASE WHEN n % 4 > 0 THEN 19 END FROM generate_series(1, 120) AS n;
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price) VALUES (2, 'Service', 500);
UPDATE crm.invoices SET issued_on = crm.local_day(1, now()) - 40, due_on = crm.local_day(1, now()) - 30;
SELECT crm.post_invoice(1), crm.post_invoice(2), crm.record_payment(2, 1000000);
INSERT INTO crm.quotes (id, account_id, subject) VALUES (1, 2, '<img src=x> an offer');
INSERT INTO crm.quote_lines (quote_id, product_id, quantity) VALUES (1, 1, 3), (1, 2, 1);
INSERT INTO crm.dunning_levels (level, name, days, body) VALUES (1, 'Reminder', 5, E'Dear {customer},\n{open} of {number} is overdue.');
SELECT crm.raise_dunning(now());
SQL
for language in en fa; do
    for page in "invoice:crm.invoice_page(1" "quote:crm.quote_page(1" "reminder:crm.dunning_page((SELECT min(id) FROM crm.dunnings)" "statement:crm.statement_page(2, NULL, NULL, NULL"; do
        name=${page%%:*}
        value "$db" "SELECT ${page#*:}, '$language')" >"$WORK/$name-$language.html" || exit 1
        if grep -aoE '(src|href|action)="[^"]{0,60}|url\([^)]{0,60}|@import|<script|<link|<iframe|<img|on(load|click|error)=' "$WORK/$name-$language.html"; then
            echo "$name-$language.html names something to load or run"; status=1
        fi
        for window in 390,3000 768,3000 1200,2600; do check "$name-$language" 0 "$WORK/$name-$language.html" $window; done
        paper "$name-$language" "$WORK/$name-$language.html"
        grep -aq 'MediaBox *\[0 0 59[45][.0-9]* 84[12]' "$WORK/$name-$language.pdf" || { echo "  no sheets of A4"; status=1; }
    done
    pages=$(grep -ac '/Type */Page$\|/Type */Page[^s]' "$WORK/invoice-$language.pdf")
    [ "$pages" -ge 3 ] || { echo "  120 lines on $pages sheets"; status=1; }
    if command -v pdftotext >/dev/null; then
        # every sheet but the last one, which may hold the sums alone, begins with the head of the table, and each has its number
        word=$([ $language = en ] && echo 'Unit price' || echo 'بهای')
        for n in $(seq $((pages - 1))); do
            pdftotext -f "$n" -l "$n" -layout "$WORK/invoice-$language.pdf" - | grep -q "$word" || { echo "  sheet $n of $pages has no head of the table"; status=1; }
        done
        [ $language = fa ] || pdftotext -f 2 -l 2 -layout "$WORK/invoice-en.pdf" - | grep -q "^ *2 */ *$pages *$" || { echo "  sheet 2 has no number"; status=1; }
    fi
done
# an empty company
sql -d "$db" -c "SET session_replication_role = replica; DELETE FROM crm.opportunities; DELETE FROM crm.stage_periods; DELETE FROM crm.activities; DELETE FROM crm.quotas" \
    -c "SELECT crm.rebuild_rollup(r.name) FROM crm.rollups AS r" >/dev/null
value "$db" "SELECT crm_analytics.report_html('pipeline', language => 'fa')" >"$WORK/empty.html" || exit 1
check empty-fa 7 "$WORK/empty.html" 1280,2600
exit $status
