# The example sender delivers to an SMTP server while it and the database server are killed (kill -9) in the middle of batches:
# no message is lost, none comes twice, what came back is told.
# long: 45 s
set -u
. "$REPO/tests/helpers/cluster.sh"
export PGPORT=54327
python=
for p in python3 /usr/bin/python3; do $p -c 'import aiosmtpd' 2>/dev/null && python=$p && break; done
[ -n "$python" ] || { echo "python3-aiosmtpd is not installed"; exit 77; }
mail=$WORK/mail
mkdir -p "$mail"
server=
pids=()
end() { [ -z "$server" ] || kill -9 "$server" 2>/dev/null; for p in ${pids[@]+"${pids[@]}"}; do kill -9 "$p" 2>/dev/null; done; cluster_stop; }
trap end EXIT
"$python" "$REPO/tests/helpers/mail_server.py" "$mail" >"$mail/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do [ ! -s "$mail/port" ] || break; sleep 0.1; done
[ -s "$mail/port" ] || fail "the mail server does not start: $(cat "$mail/server.log")"
cluster_start "$WORK/cluster" "restart_after_crash = on" || exit 1
export PGDATABASE=mail
fresh_database mail || exit 1
sql >/dev/null <<'SQL' || fail "preparing"
INSERT INTO crm.sending_settings (from_address, link_base, first_retry) VALUES ('news@acme.example', 'https://acme.example/m/', '1 second');
INSERT INTO crm.contacts (id, name, language) SELECT i, 'Person ' || i, CASE i % 2 WHEN 0 THEN 'fa' ELSE 'en' END FROM generate_series(1, 600) AS i;
INSERT INTO crm.contact_points (contact_id, kind, value)
SELECT i, 'email', CASE WHEN i <= 5 THEN 'nobody' WHEN i <= 10 THEN 'later' WHEN i <= 15 THEN 'gone' WHEN i = 16 THEN 'angry' ELSE 'person' END || i || '@example.org'
FROM generate_series(1, 600) AS i;
INSERT INTO crm.consents (subject_table, subject_id, purpose, channel, state, source) SELECT 'contacts', i, 'marketing', 'email', 'given', 'form' FROM generate_series(1, 600) AS i;
INSERT INTO crm.message_templates (code, language, subject, body) VALUES
    ('offer', 'en', 'For {{name}}', '<p>{{name}} <a href="{{link https://acme.example/}}">x</a> <a href="{{unsubscribe_url}}">y</a></p>'),
    ('offer', 'fa', 'برای {{name}}', '<p>{{created_at}} <a href="{{unsubscribe_url}}">y</a></p>');
SELECT count(crm.queue_message('offer', 'contacts', i, 'marketing', dedupe_key => 'offer ' || i)) FROM generate_series(1, 600) AS i;
-- one leaves by another way while messages are on their way
SELECT (crm.record_consent('contacts', 600, 'marketing', 'email', false, 'call')).state;
SQL
sender() {  # name
    exec python3 "$REPO/docs/examples/send_mail.py" --name "$1" deliver --smtp "127.0.0.1:$(cat "$mail/port")" --batch 40 --lease '2 seconds' --pause 0.5 \
        --known "grep -rqF -- \"\$1\" '$mail/inbox/new'"
}
left() { sql -At -c "SELECT count(*) FROM crm.outbound_messages WHERE state IN ('queued', 'sending', 'uncertain')" 2>/dev/null; }
postmaster() { head -1 "$CLUSTER/data/postmaster.pid"; }

# senders are killed, two at work at a time
kept() { ls "$mail/inbox/new" 2>/dev/null | wc -l; }
found() { grep -c "is there" "$mail/sender.log"; }
for round in $(seq 20); do
    [ $round -lt 8 ] || [ "$(found)" -lt 3 ] || break
    pids=()
    for name in a b; do sender "$name" >>"$mail/sender.log" 2>&1 & pids+=($!); done
    before=$(kept)
    for _ in $(seq 200); do [ "$(kept)" -lt $((before + 6)) ] || break; sleep 0.05; done
    sleep "0.0$((RANDOM % 9))"
    kill -9 "${pids[@]}" 2>/dev/null
    wait "${pids[@]}" 2>/dev/null
done
[ "$(left)" -gt 0 ] || fail "all was sent before the server was killed"
# the database server is killed under a sender that goes on
pids=()
for name in a b; do sender "$name" >>"$mail/sender.log" 2>&1 & pids+=($!); done
for round in 1 2 3; do
    sleep "1.$((RANDOM % 9))"
    kill -9 "$(postmaster)"
    for _ in $(seq 100); do
        as_server "$STAGED_BIN/pg_ctl" -D "$CLUSTER/data" -l "$CLUSTER/server.log" -w -t 30 start >/dev/null 2>&1 && break
        sleep 0.2
    done
done
for _ in $(seq 600); do [ "$(left)" != 0 ] || break; sleep 0.1; done
[ "$(left)" = 0 ] || fail "messages are left: $(sql -c 'SELECT state, reason, count(*) FROM crm.outbound_messages GROUP BY 1, 2'; tail -5 "$mail/sender.log")"
kill -9 "${pids[@]}" 2>/dev/null; wait "${pids[@]}" 2>/dev/null; pids=()
[ "$(found)" -gt 0 ] || fail "no sender was killed between the server that takes a message and the row that says so"
echo "ok: $(found) messages were on the server although nobody had said so, $(grep -c "not there" "$mail/sender.log") were not"

grep -rhi '^Message-ID:' "$mail/inbox/new" | sort >"$mail/ids"
[ "$(wc -l <"$mail/ids")" = 594 ] || fail "$(wc -l <"$mail/ids") mails came, of 594"
[ -z "$(uniq -d "$mail/ids")" ] || fail "mails came twice: $(uniq -d "$mail/ids")"
[ "$(value mail "SELECT string_agg(state || ' ' || n, ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM crm.outbound_messages GROUP BY 1) AS s")" = "failed 5, sent 594, suppressed 1" ] ||
    fail "states: $(sql -c 'SELECT state, reason, count(*) FROM crm.outbound_messages GROUP BY 1, 2')"
echo "ok: none was lost, none came twice, who had left got nothing"
[ "$(grep -rl 'person600@' "$mail/inbox/new" | wc -l)" = 0 ] || fail "somebody got a message who had left"
python3 - "$mail/inbox" <<'PY' || fail "a mail is not as it should be"
import email, email.policy, glob, sys
mails = [email.message_from_bytes(open(f, 'rb').read(), policy=email.policy.default) for f in glob.glob(sys.argv[1] + '/new/*')]
fa = next(m for m in mails if m['To'] == 'person102@example.org')
assert fa['Subject'] == 'برای \u2068Person 102\u2069', fa['Subject']
assert 'dir="rtl"' in fa.get_content() and '۱' in fa.get_content()
assert all(m['List-Unsubscribe-Post'] == 'List-Unsubscribe=One-Click' and m['List-Unsubscribe'].startswith('<https://acme.example/m/u') for m in mails)
PY
echo "ok: mails are as written"

# what came back
for twice in 1 2; do python3 "$REPO/docs/examples/send_mail.py" --name mta reports "$mail/reports" || fail "reports"; done
[ "$(value mail "SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind) FROM (SELECT kind, count(*) AS n FROM crm.delivery_events GROUP BY 1) AS s")" = "bounce 10, complaint 1" ] ||
    fail "events: $(sql -c 'SELECT kind, count(*) FROM crm.delivery_events GROUP BY 1')"
[ "$(value mail "SELECT count(*) || ' ' || count(*) FILTER (WHERE address_key ~ '^(nobody|gone)') FROM crm.suppressions")" = "11 10" ] || fail "suppressions"
sql -c "INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (11, 'service', 'gone11@example.org', 'x')" 2>"$WORK/refused" && fail "a dead address gets more"
grep -q 'no message for' "$WORK/refused" || fail "$(cat "$WORK/refused")"
echo "ok: dead and angry addresses get no more"
