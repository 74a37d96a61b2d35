"""Some hundred recurrence rules with what python-dateutil makes of them: number, rule, start, zone, and the instants in UTC."""
import datetime as dates
import random
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tehran", "Australia/Lord_Howe", "Asia/Kolkata"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
draw = random.Random(5545)
# how far dateutil looks for a day where there is none
dates.MAXYEAR = 2035

# rules that people write, and the examples of RFC 5545 3.8.5.3 that stay within the parts
FIXED = """FREQ=DAILY;COUNT=10
FREQ=DAILY;UNTIL=19971224T000000
FREQ=DAILY;INTERVAL=2
FREQ=DAILY;INTERVAL=10;COUNT=5
FREQ=YEARLY;UNTIL=20000131T140000;BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA
FREQ=DAILY;UNTIL=20000131T140000;BYMONTH=1
FREQ=WEEKLY;COUNT=10
FREQ=WEEKLY;INTERVAL=2;WKST=SU
FREQ=WEEKLY;UNTIL=19971007T000000;WKST=SU;BYDAY=TU,TH
FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH
FREQ=MONTHLY;COUNT=10;BYDAY=1FR
FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU
FREQ=MONTHLY;COUNT=6;BYDAY=-2MO
FREQ=MONTHLY;BYMONTHDAY=-3
FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15
FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1
FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15
FREQ=MONTHLY;INTERVAL=2;BYDAY=TU
FREQ=YEARLY;COUNT=10;BYMONTH=6,7
FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3
FREQ=YEARLY;BYDAY=20MO
FREQ=YEARLY;BYMONTH=3;BYDAY=TH
FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8
FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13
FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13
FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8
FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3
FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2
FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO
FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU
FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5
FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1
FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29
FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30
FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3,10
FREQ=YEARLY;BYDAY=1MO,-1FR
FREQ=YEARLY
FREQ=MONTHLY
FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR
FREQ=DAILY;INTERVAL=3;BYMONTHDAY=1,-1
FREQ=YEARLY;BYMONTHDAY=1;BYDAY=MO
FREQ=YEARLY;BYDAY=MO;BYSETPOS=1,-1""".split("\n")


def some(choices, most):
    return sorted(draw.sample(choices, draw.randint(1, most)), key=choices.index)


def made(start):
    freq = draw.choice(["DAILY", "WEEKLY", "MONTHLY", "MONTHLY", "YEARLY"])
    by = []
    if draw.random() < 0.3:
        by.append("BYMONTH=" + ",".join(map(str, some(list(range(1, 13)), 4))))
    if draw.random() < 0.6:
        # a list of days with and without numbers is the one thing dateutil reads in a way of its own
        if freq in ("MONTHLY", "YEARLY") and draw.random() < 0.5:
            # within a month where BYMONTH says so, else within the year
            far = 5 if freq == "MONTHLY" or by else 53
            by.append("BYDAY=" + ",".join(str(draw.choice([1, -1]) * draw.randint(1, far)) + d for d in some(DAYS, 3)))
        else:
            by.append("BYDAY=" + ",".join(some(DAYS, 5)))
    if freq != "WEEKLY" and draw.random() < 0.4:
        by.append("BYMONTHDAY=" + ",".join(map(str, some([n for n in range(-31, 32) if n], 12))))
    week_start = draw.choice(DAYS)
    # of the first week dateutil takes only what is left of it
    if by and draw.random() < 0.4 and (freq != "WEEKLY" or DAYS[start.weekday()] == week_start):
        by.append("BYSETPOS=" + ",".join(map(str, some([-3, -2, -1, 1, 2, 3, 5], 2))))
    parts = ["FREQ=" + freq] + by + ["WKST=" + week_start]
    if draw.random() < 0.6:
        parts.append("INTERVAL=%d" % draw.randint(1, 5))
    end = draw.random()
    if end < 0.3:
        parts.append("COUNT=%d" % draw.randint(1, 40))
    elif end < 0.6:
        parts.append("UNTIL=" + (start + timedelta(days=draw.randint(0, 2000), hours=draw.randint(-3, 3))).strftime("%Y%m%dT%H%M%S"))
    draw.shuffle(parts)
    return ";".join(parts)


def main():
    number = 0
    cases = [(rule, datetime(1997, 9, 2, 9, 0)) for rule in FIXED]
    while len(cases) < 600:
        # many of them in the hour that is skipped or comes twice
        start = datetime(2000, 1, 1) + timedelta(days=draw.randint(0, 9000), hours=draw.choice([0, 1, 2, 2, 2, 9, 23]), minutes=draw.choice([0, 15, 30]))
        cases.append((made(start), start))
    for rule, start in cases:
        number += 1
        zone = ZONES[number % len(ZONES)]
        found = []
        horizon = start + timedelta(days=366 * 9)
        wanted = rrulestr(rule, dtstart=start)
        for at in wanted.replace(until=min(wanted._until or horizon, horizon)):
            # fold 0: of a time that comes twice the first, a skipped one by the offset before it
            utc = at.replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
            if not found or utc > found[-1]:
                found.append(utc)
        first = start.replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
        # a start that the clocks skip reads otherwise in PostgreSQL, too
        if first.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != start:
            continue
        last = horizon.replace(tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
        print(number, rule, first.isoformat(), last.isoformat(), zone, "{" + ",".join(t.isoformat() for t in found) + "}", sep="\t")


if __name__ == "__main__":
    sys.exit(main())
