"""Compares the cycles of src/period.c with a slow model of Python's zoneinfo and datetime, zone by zone.

        anchor, period, number ──▶ date arithmetic ──▶ zoneinfo ──▶ boundaries ─┐
                                                                                ├─ equal?
                            └────────────────────────────────▶ period_probe ────┘

The model finds the cycle of an instant by trying all numbers near it. Beside that the probe walks through four
centuries of every zone, cycle by cycle: each begins where the one before has ended.
"""

import calendar
import datetime as dt
import os
import random
import subprocess
import zoneinfo

import pytest

from test_zones import AVAILABLE, DAY, EPOCH, ROOT, directory_of, distinct_zones, instant_of

SEED = 20111230
MICROSECOND = dt.timedelta(microseconds=1)
FIRST, LAST = instant_of(1800), instant_of(2200)
NEAR = 5  # numbers tried on both sides of an estimate

#         what the probe reads, days or months, and where a calendar's cycles begin
PERIODS = [
    ("day", 1, 0, None),
    ("2day", 2, 0, None),
    ("5day", 5, 0, None),
    ("week", 7, 0, None),
    ("month", 0, 1, None),
    ("month EOM", 0, 1, None),
    ("quarter", 0, 3, None),
    ("7month", 0, 7, None),
    ("year", 0, 12, None),
    ("day CALENDAR", 1, 0, dt.datetime(1970, 1, 1)),
    ("3day CALENDAR", 3, 0, dt.datetime(1970, 1, 1)),
    ("week CALENDAR", 7, 0, dt.datetime(1970, 1, 5)),
    ("2week CALENDAR FROM sun", 14, 0, dt.datetime(1970, 1, 4)),
    ("month CALENDAR", 0, 1, dt.datetime(1970, 1, 1)),
    ("month CALENDAR FROM 30", 0, 1, dt.datetime(1970, 1, 30)),
    ("quarter CALENDAR EOM", 0, 3, dt.datetime(1970, 1, 31)),
    ("5month CALENDAR FROM 09-15", 0, 5, dt.datetime(1970, 9, 15)),
    ("year CALENDAR FROM 04-06", 0, 12, dt.datetime(1970, 4, 6)),
]


@pytest.fixture(scope="session")
def period_probe(tmp_path_factory):
    """The probe, built from this tree; calling it with questions gives one answer each."""
    program = tmp_path_factory.mktemp("probe") / "period_probe"
    sources = ["tests/zones/period_probe.c", *(f"src/{name}.c" for name in (
        "time/period", "time/zone", "time/dst", "time/calendar", "time/duration", "base/buffer", "base/memory"))]
    command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Iinclude"]
    subprocess.run([*command, *sources, "-o", program], cwd=ROOT, check=True)

    def answers_to(questions):
        done = subprocess.run([program], input="\n".join(questions) + "\n", capture_output=True, text=True, check=True)
        answers = done.stdout.splitlines()
        assert len(answers) == len(questions)
        return answers

    return answers_to


class Model:
    """The cycles of one account, counted in the plainest way."""

    def __init__(self, zone, period, anchor_us):
        words, self.days, self.months, origin = period
        self.zone, self.anchor_us = zone, anchor_us
        anchor = (EPOCH + anchor_us * MICROSECOND).replace(tzinfo=dt.timezone.utc).astimezone(zone)
        self.origin = origin or anchor.replace(tzinfo=None, fold=0)
        self.end_of_month = "EOM" in words
        self.anchored = origin is None
        if self.end_of_month and self.origin.day != calendar.monthrange(self.origin.year, self.origin.month)[1]:
            self.anchored = False  # the anchor itself is no boundary
        self.zero = 0 if self.anchored else self.number_at(anchor_us)

    def reading(self, number):
        if self.days:
            return self.origin + dt.timedelta(days=self.days * number)
        year, month = divmod(self.origin.year * 12 + self.origin.month - 1 + self.months * number, 12)
        last = calendar.monthrange(year, month + 1)[1]
        day = last if self.end_of_month else min(self.origin.day, last)
        return self.origin.replace(year=year, month=month + 1, day=day)

    def start(self, number):
        if self.anchored and number == 0:
            return self.anchor_us
        reading = self.reading(number)  # fold=0: the offset before the change, in a gap as in an overlap
        return (reading - reading.replace(tzinfo=self.zone).utcoffset() - EPOCH) // MICROSECOND

    def number_at(self, at_us):
        """The last of all that have begun: of two that begin together the later one."""
        days = (EPOCH + at_us * MICROSECOND - self.origin) / dt.timedelta(days=1)
        estimate = round(days / (self.days or self.months * 30.436875))
        return max(n for n in range(estimate - NEAR, estimate + NEAR) if self.start(n) <= at_us)

    def questions_near(self, at_us, rng):
        """Pairs of question and answer about the cycles around an instant."""
        number = self.number_at(at_us)
        starts = [self.start(number + k) for k in range(-2, 5)]
        assert starts == sorted(starts)
        yield f"starts {number - 2 - self.zero} 6", " ".join(map(str, starts))
        for k in range(5):
            if starts[k] < starts[k + 1]:  # else there is no such cycle
                answer = f"{starts[k]} {starts[k + 1]} {number - 2 + k - self.zero}"
                for instant_us in {starts[k], starts[k + 1] - 1, rng.randrange(starts[k], starts[k + 1])}:
                    yield f"at {instant_us}", answer


def interesting_instants(rng, changes, count):
    """Near changes of the offset and anywhere."""
    near = [change + rng.choice([-1, 0, 1, rng.randrange(-2 * DAY, 2 * DAY)]) for change in changes]
    return rng.sample(near, min(count, len(near))) + [rng.randrange(FIRST, LAST)]


@pytest.mark.parametrize("source", AVAILABLE[:1])
def test_cycles_of_every_zone_agree_with_date_arithmetic(period_probe, tmp_path, source):
    print("seed", SEED)
    rng = random.Random(SEED)
    questions, expected = [], []
    for path, zone, raw in distinct_zones(directory_of(source, tmp_path)):
        changes = [change for change in raw if FIRST < change < LAST]
        questions.append(f"zone {path}")
        expected.append("ok")
        for period in PERIODS:
            anchor_us = rng.choice(interesting_instants(rng, changes, 3))
            questions += [f"period {period[0]}", f"anchor {anchor_us}"]
            expected += ["ok", "ok"]
            model = Model(zone, period, anchor_us)
            for at_us in [anchor_us, *interesting_instants(rng, changes, 2)]:
                for question, answer in model.questions_near(at_us, rng):
                    questions.append(question)
                    expected.append(answer)
    check(questions, expected, period_probe(questions))


def check(questions, expected, answers):
    context, wrong = {}, []
    for question, wanted, answer in zip(questions, expected, answers):
        word = question.split()[0]
        if word in ("zone", "period", "anchor"):
            context[word] = question
        if wanted != answer:
            wrong.append(f"{' '.join(context.values())}: {question}: expected {wanted}, got {answer}")
    print(len(questions), "answers compared")
    assert not wrong, f"{len(wrong)} of {len(questions)} differ, first: " + "; ".join(wrong[:5])


@pytest.mark.parametrize("source", AVAILABLE[:1])
def test_cycles_of_every_zone_tile_four_centuries(period_probe, tmp_path, source):
    """Weeks and longer all the way; of the shorter periods one, the others wherever the offset changes."""
    print("seed", SEED)
    rng = random.Random(SEED)
    questions = []
    for path, _, changes in distinct_zones(directory_of(source, tmp_path)):
        questions.append(f"zone {path}")
        chosen = rng.choice([words for words, days, *_ in PERIODS if 0 < days < 7])
        for words, days, *_ in PERIODS:
            anchor_us = rng.choice(interesting_instants(rng, changes, 3))
            questions += [f"period {words}", f"anchor {anchor_us}"]
            if words == chosen or not 0 < days < 7:
                questions.append(f"walk {FIRST} {LAST}")
            else:
                questions += [f"walk {change - 7 * DAY} {change + 7 * DAY}" for change in changes]
    answers = period_probe(questions)
    check(questions, [answer if answer.startswith("ok") else "ok" for answer in answers], answers)
    print(sum(int(answer.split()[1]) for answer in answers if answer != "ok"), "cycles walked through")


# Local days that were left out at the date line, each with what the day after it is called.
SKIPPED = [
    ("Pacific/Apia", dt.datetime(2011, 12, 30), dt.datetime(2011, 12, 31)),
    ("Pacific/Fakaofo", dt.datetime(2011, 12, 30), dt.datetime(2011, 12, 31)),
    ("Pacific/Kwajalein", dt.datetime(1993, 8, 21), dt.datetime(1993, 8, 22)),
    ("Pacific/Kiritimati", dt.datetime(1994, 12, 31), dt.datetime(1995, 1, 1)),
    ("Asia/Manila", dt.datetime(1844, 12, 31), dt.datetime(1845, 1, 1)),
]


@pytest.mark.parametrize("name, skipped, after", SKIPPED)
def test_a_local_day_that_never_was_makes_no_cycle(period_probe, tmp_path, name, skipped, after):
    path = directory_of(AVAILABLE[0], tmp_path) / name
    with open(path, "rb") as file:
        zone = zoneinfo.ZoneInfo.from_file(file, key=name)
    begins, same = ((day - day.replace(tzinfo=zone).utcoffset() - EPOCH) // MICROSECOND for day in (after, skipped))
    assert begins == same
    questions = [f"zone {path}", "period day CALENDAR", f"anchor {begins - 1}", f"at {begins - 1}", f"at {begins}",
                 "starts 1 1", "period 2day", f"anchor {begins - 1}", f"at {begins + DAY - 2}"]
    answers = period_probe(questions)
    assert answers[3] == f"{begins - DAY} {begins} 0"
    assert answers[4] == f"{begins} {begins + DAY} 2"
    assert answers[5] == f"{begins} {begins}"
    assert answers[8] == f"{begins - 1} {begins + DAY - 1} 0"  # two days, one of which never was
