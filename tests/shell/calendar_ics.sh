# crm.calendar_ics() read by python3-icalendar, and its series expanded by dateutil on the wall clock of their VTIMEZONE: the same texts, times and
# people come out as went in.
set -u
. "$REPO/tests/helpers/cluster.sh"
python=
for p in /usr/bin/python3 python3; do $p -c 'import icalendar, dateutil.rrule' 2>/dev/null && python=$p && break; done
[ -n "$python" ] || { echo "python3-icalendar and python3-dateutil are not installed"; exit 77; }
export PGDATABASE=calendar_ics
fresh_database calendar_ics || exit 1
sql <<'SQL' >/dev/null || fail "preparing"
SET TIME ZONE 'UTC';
INSERT INTO crm.users (id, name, email, time_zone) VALUES (1, 'Ann "the", first', 'ann@x.example', 'Europe/Berlin'), (2, 'Ben', 'ben@x.example', 'Asia/Tehran');
INSERT INTO crm.accounts (id, name) VALUES (1, 'Northwind; Ltd'), (2, 'شرکت نمونه');
INSERT INTO crm.contacts (id, name, account_id) VALUES (1, 'کیان رضایی', 1);
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (1, 'email', 'kian@y.example');
INSERT INTO crm.activities (id, kind, subject, body, location, due_at, ends_at, owner_id, account_id, remind_at, recurrence, shows_as, done_at) VALUES
    (1, 'meeting', 'One; two, three \ four', E'a\r\nb\nc,d;e\\f ' || repeat('طولانی ', 60) || E'\x07', 'Room 5, "left"', '2031-03-03 08:00Z', '2031-03-03 09:00Z', 1, 1, '2031-03-03 07:45Z', NULL, 'busy', NULL),
    (2, 'meeting', 'Weekly', NULL, NULL, '2031-03-24 08:00Z', '2031-03-24 09:00Z', 1, 1, '2031-03-24 07:30Z', 'FREQ=WEEKLY;COUNT=40', 'tentative', NULL),
    (3, 'call', 'Last working day', '', NULL, '2031-03-31 14:00Z', NULL, 1, 2, NULL, 'FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1', 'busy', NULL),
    (4, 'task', 'Report', NULL, NULL, '2031-03-05 12:00Z', NULL, 1, 1, '2031-03-05 11:00Z', NULL, 'busy', NULL),
    (5, 'task', 'Report done', NULL, NULL, '2031-03-04 12:00Z', NULL, 1, 1, NULL, NULL, 'busy', '2031-03-04 10:00Z'),
    (6, 'meeting', 'Jalali', NULL, NULL, '2031-03-20 06:30Z', '2031-03-20 07:30Z', 2, 1, NULL, 'RSCALE=PERSIAN;FREQ=MONTHLY;BYMONTHDAY=-1', 'busy', NULL),
    (7, 'task', 'Daily, until', NULL, NULL, '2031-10-20 00:30Z', NULL, 1, 2, NULL, 'FREQ=DAILY;UNTIL=20311030', 'busy', NULL),
    (8, 'note', 'Not in it', NULL, NULL, '2031-03-04 12:00Z', NULL, 1, 1, NULL, NULL, 'busy', NULL);
INSERT INTO crm.activity_participants (activity_id, user_id, contact_id, response) VALUES (1, 2, NULL, 'accepted'), (1, NULL, 1, 'needed');
SQL
ics() { value calendar_ics "SELECT encode(convert_to(crm.calendar_ics($1, '2031-03-01', '2032-03-01'), 'UTF8'), 'hex')"; }
ics 1,NULL >"$WORK/ann.hex" && ics 2,NULL >"$WORK/ben.hex" && ics NULL,1 >"$WORK/account.hex" || fail "the text could not be made"
# what it should say, from the database itself
sql -At >"$WORK/expected" <<'SQL' || fail "asking what is right"
SELECT a.id, extract(epoch FROM r)::bigint FROM crm.activities AS a, crm.recurrence(a.recurrence, a.recurs_from, '2031-03-01', '2032-03-01', a.recurrence_zone) AS r WHERE a.recurrence IS NOT NULL ORDER BY 1, 2;
SQL
"$python" - "$WORK" <<'PY' || fail "the calendar does not say what is in the database"
import io, re, sys
from datetime import datetime, timedelta, timezone
import icalendar
from dateutil import tz
from dateutil.rrule import rrulestr

work = sys.argv[1]
load = lambda name: bytes.fromhex(open(work + "/" + name + ".hex").read().strip())
expected = {}
for line in open(work + "/expected"):
    number, at = line.strip().split("|")
    expected.setdefault(int(number), []).append(int(at))
def same(found, wanted, what):
    if found != wanted:
        sys.exit("%s: %r, not %r" % (what, found, wanted))

for name in ("ann", "ben", "account"):
    text = load(name)
    for line in text.split(b"\r\n"):
        assert len(line) <= 75 and b"\n" not in line and b"\r" not in line, line
        line.decode("utf-8")    # no character is cut
    assert text.endswith(b"END:VCALENDAR\r\n")

text = load("ann")
calendar = icalendar.Calendar.from_ical(text)
same(calendar.get("version"), "2.0", "version")
# of a property without a type of its own some versions of the parser take the escapes out, and some leave them to who reads it
named = lambda c: re.sub(r"\\(.)", r"\1", str(c.get("x-wr-calname")))
same(named(calendar), 'Ann "the", first', "name")
items = {str(i.get("summary")): i for i in calendar.walk() if i.name in ("VEVENT", "VTODO")}
same(sorted(items), sorted(["One; two, three \\ four", "Weekly", "Last working day", "Report", "Report done", "Daily, until"]), "what is in it")
same(len({str(i["uid"]) for i in items.values()}), len(items), "numbers of their own")
one = items["One; two, three \\ four"]
same(str(one["description"]), "a\nb\nc,d;e\\f " + "طولانی " * 60, "text")
same(str(one["location"]), 'Room 5, "left"', "place")
same((one["dtstart"].dt, one["dtend"].dt), (datetime(2031, 3, 3, 8, tzinfo=timezone.utc), datetime(2031, 3, 3, 9, tzinfo=timezone.utc)), "times")
same((str(one["organizer"]), one["organizer"].params["CN"]), ("mailto:ann@x.example", "Ann the, first"), "organiser")
people = one["attendee"]
same(sorted((str(p), p.params["CN"], p.params["PARTSTAT"]) for p in people),
     [("mailto:ben@x.example", "Ben", "ACCEPTED"), ("mailto:kian@y.example", "کیان رضایی", "NEEDS-ACTION")], "people")
same([i["trigger"].dt for i in one.walk("VALARM")], [datetime(2031, 3, 3, 7, 45, tzinfo=timezone.utc)], "reminder")
same([i["trigger"].dt for i in items["Weekly"].walk("VALARM")], [timedelta(minutes=-30)], "reminder of a series")
same((str(items["Weekly"]["status"]), str(one["status"]), str(one["transp"]), str(items["Last working day"]["transp"])), ("TENTATIVE", "CONFIRMED", "OPAQUE", "TRANSPARENT"), "states")
same((items["Report"].name, items["Report"]["due"].dt, str(items["Report done"]["status"])), ("VTODO", datetime(2031, 3, 5, 12, tzinfo=timezone.utc), "COMPLETED"), "tasks")
zones = tz.tzical(io.StringIO(text.decode("utf-8").replace("\r\n ", "").replace("\r\n", "\n")))
def times(item):
    zone = zones.get(item["dtstart"].params["TZID"])
    begins = item["dtstart"].dt.replace(tzinfo=None)
    rule = item["rrule"].to_ical().decode()
    parts = [p for p in rule.split(";") if not p.startswith("UNTIL=")]
    until = [datetime.strptime(p[6:], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc) for p in rule.split(";") if p.startswith("UNTIL=")]
    end = min(until + [datetime(2032, 2, 29, 23, 59, tzinfo=timezone.utc)])
    found = []
    for at in rrulestr(";".join(parts), dtstart=begins):
        at = at.replace(tzinfo=zone).astimezone(timezone.utc)
        if at > end:
            return found
        found.append(int(at.timestamp()))
for number, name in ((2, "Weekly"), (3, "Last working day"), (7, "Daily, until")):
    same(times(items[name]), expected[number], name)
assert len(expected[2]) == 40 and len(expected[7]) == 11

ben = icalendar.Calendar.from_ical(load("ben"))
found = sorted(int(i["dtstart"].dt.timestamp()) for i in ben.walk("VEVENT") if i["summary"] == "Jalali")
same(found, expected[6], "Jalali")
same(len(found), 12, "a year of Jalali months")
same([str(i["summary"]) for i in ben.walk("VEVENT") if i["summary"] != "Jalali"], ["One; two, three \\ four"], "what Ben takes part in")
account = icalendar.Calendar.from_ical(load("account"))
same(named(account), "Northwind; Ltd", "name of the account")
same(sorted({str(i["summary"]) for i in account.walk() if i.name in ("VEVENT", "VTODO")}), sorted(["One; two, three \\ four", "Weekly", "Report", "Report done", "Jalali"]), "what is of the account")
PY
exit 0
