"""The boundaries of one period of one account: walked one after another on the wall clock of its zone, never computed.

    marks: ─┴────┴────┴──anchor──┴────┴────┴─▶   either side grows by single steps until the instant lies between
"""

import bisect
import calendar
import datetime as dt
import zoneinfo

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
MICROSECOND = dt.timedelta(microseconds=1)
DAY = 86_400_000_000
FOREVER = 2**63 - 1
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SPANS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": DAY, "w": 7 * DAY}
MONTHS = {"month": 1, "2month": 2, "3month": 3, "quarter": 3, "year": 12, "5month": 5}
DAYS = {"day": 1, "3day": 3, "week": 7, "2week": 14}


class Calendar:
    """The boundaries of one period of one account, walked to and fro from the anchor."""

    def __init__(self, text, zone, anchor):
        self.words, self.zone, self.anchor = text.split(), zoneinfo.ZoneInfo(zone), anchor
        word, self.is_calendar, self.eom = self.words[0], "CALENDAR" in self.words, "EOM" in self.words
        local = self.local(anchor)
        self.anchored = not self.is_calendar
        self.months, self.days = MONTHS.get(word, 0), DAYS.get(word, 0)
        self.span = 0 if self.months or self.days else int(word[:-1]) * SPANS[word[-1]]
        self.origin = self.calendar_origin() if self.is_calendar and not self.span else local
        if self.eom and not self.is_calendar and local.day != last_day(local.year, local.month):
            self.anchored = False  # boundaries lie on last days before and after the anchor
        self.first = self.last = self.number_before_anchor()
        self.marks = [self.boundary(self.first)]

    def local(self, instant):
        return (EPOCH + instant * MICROSECOND).astimezone(self.zone).replace(tzinfo=None, fold=0)

    def instant(self, local):
        """The first occurrence; what the clock skips lies as far behind the gap (fold=0 means both)."""
        return (local.replace(tzinfo=self.zone, fold=0).astimezone(dt.timezone.utc) - EPOCH) // MICROSECOND

    def calendar_origin(self):
        start = self.words[self.words.index("FROM") + 1] if "FROM" in self.words else ""
        if self.months:
            month, day = [1, int(start or 1)] if "-" not in start else map(int, start.split("-"))
            return dt.datetime(1970, month, day)
        if self.words[0].endswith("week"):
            return dt.datetime(1970, 1, 5 if not start else 1 + (WEEKDAYS.index(start) - 3) % 7)
        return dt.datetime(1970, 1, 1)

    def number_before_anchor(self):
        """Where to begin to walk: a boundary at or before the anchor."""
        if self.anchored:
            return 0
        local = self.local(self.anchor)
        if self.span:
            return (local - dt.datetime(1970, 1, 1)) // (self.span * MICROSECOND)
        if self.months:
            return ((local.year - self.origin.year) * 12 + local.month - self.origin.month) // self.months - 1
        return (local - self.origin).days // self.days - 1

    def boundary(self, number):
        if self.span:
            offset = (self.local(self.anchor) - (EPOCH + self.anchor * MICROSECOND).replace(tzinfo=None)) // MICROSECOND
            return number * self.span + (-offset if self.is_calendar else self.anchor)
        if self.anchored and number == 0:
            return self.anchor
        if self.months:
            months = self.origin.year * 12 + self.origin.month - 1 + number * self.months
            year, month = months // 12, months % 12 + 1
            last = last_day(year, month)
            local = self.origin.replace(year=year, month=month, day=last if self.eom else min(self.origin.day, last))
        else:
            local = self.origin + dt.timedelta(days=number * self.days)
        at = self.instant(local)
        if self.anchored:
            at = max(at, self.anchor) if number > 0 else min(at, self.anchor)
        return at

    def cycle(self, instant):
        """[start, end) in which the instant lies. Boundaries that coincide have no cycle between them."""
        while self.marks[-1] <= instant:
            self.last += 1
            if self.boundary(self.last) != self.marks[-1]:
                self.marks.append(self.boundary(self.last))
        while self.marks[0] > instant:
            self.first -= 1
            if self.boundary(self.first) != self.marks[0]:
                self.marks.insert(0, self.boundary(self.first))
        at = bisect.bisect_right(self.marks, instant)
        return self.marks[at - 1], self.marks[at]


def last_day(year, month):
    return calendar.monthrange(year, month)[1]


def duration(text):
    """us of a duration such as 90s; None of a calendar period."""
    return int(text[:-1]) * SPANS[text[-1]] if text[:-1].isdigit() and text[-1] in SPANS else None


def later_by(text, zone, instant):
    """The instant so much later: durations are spans, calendar periods go by the wall clock, clamped."""
    return instant + duration(text) if duration(text) else Calendar(text, zone, instant).boundary(1)
