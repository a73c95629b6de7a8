"""QUOTA.BILL: worked invoices, and random usage against an account of every unit kept here, in exact fractions."""

import random
from fractions import Fraction

import pytest

from conftest import as_map

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONTHS_MS = [1_748_736_000_000, 1_751_328_000_000, 1_754_006_400_000, 1_756_684_800_000, 1_759_276_800_000]
JUNE_MS, JULY_MS, AUGUST_MS, SEPTEMBER_MS, OCTOBER_MS = MONTHS_MS
BULK = "TIER 1000 0.01 TIER 10000 0.008 TIER * 0.005"


@pytest.fixture
def june(accounts):
    accounts("QUOTA.CLOCK FREEZE", JUNE_MS)
    accounts("CONFIG SET quota.id-ttl-ms", 400 * DAY_MS)
    yield accounts
    accounts("CONFIG SET quota.id-ttl-ms", DAY_MS)


def lines(quota, account="a", at=None):
    return quota.map(f"QUOTA.BILL {account}", *(() if at is None else ("AT", at)))


def one(quota, account="a", at=None):
    (line,) = lines(quota, account, at)
    return line


# ---- worked numbers ----

PRICES = [  # price ──▶ units beyond the limit, tiers, amount in millionths
    (f"usd {BULK}", 15000, [[1000, 10_000_000], [9000, 72_000_000], [5000, 25_000_000]], 107_000_000),
    (f"usd VOLUME {BULK}", 15000, [[0, 0], [0, 0], [15000, 75_000_000]], 75_000_000),
    (f"usd {BULK}", 1001, [[1000, 10_000_000], [1, 8000], [0, 0]], 10_008_000),
    ("eur TIER 5 7 TIER 10 6.5 TIER * 6", 20, [[5, 35_000_000], [5, 32_500_000], [10, 60_000_000]], 127_500_000),
    ("eur VOLUME TIER 5 7 TIER 10 6.5 TIER * 6", 6, [[0, 0], [6, 39_000_000], [0, 0]], 39_000_000),
    ("usd PER 1000000 TIER * 0.15", 333, [[333, 50]], 50), ("usd PER 1000000 TIER * 0.15", 7, [[7, 1]], 1),
    ("usd PER 1000000 TIER * 0.15", 10, [[10, 2]], 2),  # 1.5: half away from zero
    ("usd TIER 1000 0 FLAT 100 TIER * 0.01 FLAT 5", 1500, [[1000, 100_000_000], [500, 10_000_000]], 110_000_000),
    ("usd TIER 1000 0 FLAT 100 TIER * 0.01 FLAT 5", 0, [[0, 0], [0, 0]], 0),
]


@pytest.mark.parametrize("price, quantity, tiers, amount", PRICES)
def test_worked_prices(june, price, quantity, tiers, amount):
    june(f"QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE {price}")
    june("QUOTA.OPEN a p")
    june(f"QUOTA.CONSUME a r {100 + quantity}")
    assert one(june) == {
        "id": f"a/r/month/{JUNE_MS}", "resource": "r", "period": "month", "start": JUNE_MS, "end": JULY_MS,
        "included": 100, "used": 100 + quantity, "credits": 0, "refunded": 0, "quantity": quantity,
        "currency": price.split()[0], "tiers": tiers, "amount": amount}


def test_a_line_for_each_priced_resource(june):
    june(f"QUOTA.PLAN SET p api LIMIT 100 month LIMIT 10 day OVERAGE PRICE usd {BULK}")
    june("QUOTA.PLAN SET p mails LIMIT 0 day OVERAGE PRICE eur TIER * 0.5")
    june("QUOTA.PLAN SET p free LIMIT 5 month OVERAGE")
    june("QUOTA.PLAN SET p forever LIMIT 5 forever OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET p more AS api COST 3")
    june("QUOTA.OPEN a p")
    for resource, units in (("api", 30), ("mails", 4), ("free", 9), ("forever", 7), ("more", 40)):
        june(f"QUOTA.CONSUME a {resource} {units}")
    june.advance("5d")
    shown = {line["resource"]: line for line in lines(june)}
    assert set(shown) == {"api", "mails", "forever"}
    assert [shown["api"][name] for name in ("period", "included", "used", "quantity")] == ["month", 100, 150, 50]
    assert [shown["mails"][name] for name in ("start", "used", "amount")] == [JUNE_MS + 5 * DAY_MS, 0, 0]
    assert [shown["forever"][name] for name in ("start", "end", "amount")] == [JUNE_MS, -1, 2_000_000]
    (mails,) = [line for line in lines(june, at=JUNE_MS) if line["resource"] == "mails"]
    assert (mails["quantity"], mails["amount"], mails["end"]) == (4, 2_000_000, JUNE_MS + DAY_MS)


def test_closed_lines_and_instants_without_one(june):
    june(f"QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd {BULK}")
    june("QUOTA.OPEN a p")
    june("QUOTA.CONSUME a r 300")
    june("QUOTA.CLOCK FREEZE", SEPTEMBER_MS + DAY_MS)
    june("QUOTA.CONSUME a r 120")
    assert [one(june, at=at)["quantity"] for at in (JUNE_MS, JULY_MS - 1, JULY_MS, AUGUST_MS, SEPTEMBER_MS)] == [
        200, 200, 0, 0, 20]
    assert one(june, at=AUGUST_MS + DAY_MS)["id"] == f"a/r/month/{AUGUST_MS}"  # an idle run has lines, too
    assert lines(june, at=JUNE_MS - 1) == [] and lines(june, at=OCTOBER_MS) == []
    june("QUOTA.CLOSE a")
    assert one(june, at=JUNE_MS)["quantity"] == 200
    assert june.error("QUOTA.BILL none").startswith("NOACCOUNT")
    assert "is not an instant" in june.error("QUOTA.BILL a AT yesterday")


def test_late_units_amend_a_closed_line(june):
    june(f"QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd {BULK}")
    june("QUOTA.OPEN a p")
    june("QUOTA.CONSUME a r 300 ID x")
    june("QUOTA.RESERVE a h r 50 TTL 90d")
    june("QUOTA.CLOCK FREEZE", JULY_MS + DAY_MS)
    before = one(june, at=JUNE_MS)
    assert (before["used"], before["quantity"]) == (300, 200)
    assert june("QUOTA.COMMIT a h 40")[0] == 40
    assert june("QUOTA.REFUND a r 70 OF x")[0] == 70
    after = one(june, at=JUNE_MS)
    assert (after["used"], after["refunded"], after["quantity"], after["id"]) == (270, 70, 170, before["id"])
    assert one(june)["used"] == 0


# ---- prices that change ----

def test_a_revision_waits_for_the_next_cycle(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.OPEN a p")
    june("QUOTA.OPEN b p")
    june("QUOTA.CONSUME a r 110")
    june.advance("10d")
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 2")
    june.advance("1d")
    june("QUOTA.PLAN SET p r LIMIT 50 month OVERAGE PRICE eur TIER * 3")
    for account in "ab":  # b was not touched before the change
        june(f"QUOTA.CONSUME {account} r 110")
    assert [one(june, account)["amount"] for account in "ab"] == [170_000_000, 60_000_000]
    june("QUOTA.CLOCK FREEZE", JULY_MS)
    june("QUOTA.CONSUME b r 60")
    line = one(june, "b")
    assert (line["currency"], line["amount"]) == ("eur", 30_000_000)
    assert [one(june, account, JUNE_MS)["amount"] for account in "ab"] == [170_000_000, 60_000_000]
    june.advance("1d")
    june("QUOTA.PLAN SET p r LIMIT 50 month OVERAGE")
    assert one(june, "b")["amount"] == 30_000_000
    june("QUOTA.CLOCK FREEZE", AUGUST_MS)
    assert lines(june, "b") == [] and one(june, "b", JULY_MS)["amount"] == 30_000_000


def test_a_switch_makes_two_lines(june):
    june("QUOTA.PLAN SET small r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET large r LIMIT 1000 month OVERAGE PRICE usd TIER * 0.5")
    june("QUOTA.OPEN a small")
    june("QUOTA.CONSUME a r 150 ID x")
    june.advance("15d")
    june("QUOTA.SWITCH a large FULL")
    june("QUOTA.CONSUME a r 1000")
    middle = JUNE_MS + 15 * DAY_MS
    first, second = one(june, at=JUNE_MS), one(june)
    assert [first[name] for name in ("id", "end", "included", "used", "quantity", "amount")] == [
        f"a/r/month/{JUNE_MS}", middle, 100, 150, 50, 50_000_000]
    # 100 of 1000 were included until then, and 50 are billed: 900 are left
    assert [second[name] for name in ("id", "end", "included", "used", "quantity", "amount")] == [
        f"a/r/month/{middle}", JULY_MS, 900, 1000, 100, 50_000_000]
    june("QUOTA.REFUND a r 30 OF x")
    assert [one(june, at=at)["quantity"] for at in (JUNE_MS, middle)] == [20, 100]
    june("QUOTA.CLOCK FREEZE", JULY_MS + DAY_MS)
    assert [one(june, at=at)["quantity"] for at in (JUNE_MS, middle)] == [20, 100]
    june("QUOTA.REFUND a r 30 OF x")  # the cycle has closed: its first line is amended, and 910 are left for the second
    assert [one(june, at=at)["quantity"] for at in (JUNE_MS, middle)] == [0, 90]
    assert [one(june, at=at)["refunded"] for at in (JUNE_MS, middle)] == [60, 0]
    assert one(june)["id"] == f"a/r/month/{JULY_MS}"


def test_there_and_back_at_one_instant_is_no_cut(june):
    june("QUOTA.PLAN SET small r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET large r LIMIT 1000 month OVERAGE PRICE usd TIER * 0.5")
    june("QUOTA.OPEN a small")
    june("QUOTA.CONSUME a r 150")
    june.advance("15d")
    before = lines(june)
    june("QUOTA.SWITCH a large FULL")
    june("QUOTA.SWITCH a small FULL")
    assert lines(june) == before
    june("QUOTA.SWITCH a large PRORATE")
    june("QUOTA.SWITCH a small PRORATE")
    assert lines(june) == before


def test_a_restart_and_another_limit(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month CALENDAR OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET q r LIMIT 10 week OVERAGE PRICE eur TIER * 1")
    june("QUOTA.OPEN a p")
    june("QUOTA.CONSUME a r 150")
    june.advance("10d")
    june("QUOTA.SWITCH a p RESTART")
    middle = JUNE_MS + 10 * DAY_MS
    june("QUOTA.CONSUME a r 120")
    assert [one(june, at=at)["quantity"] for at in (JUNE_MS, middle)] == [50, 20]
    assert one(june, at=middle)["start"] == middle
    june.advance("5d")
    june("QUOTA.SWITCH a q FULL")
    june("QUOTA.CONSUME a r 25")
    last = one(june)
    assert (last["start"], last["period"], last["quantity"], last["currency"]) == (
        middle + 5 * DAY_MS, "week", 15, "eur")
    assert [one(june, at=at)["quantity"] for at in (JUNE_MS, middle)] == [50, 20]


def test_a_plan_without_price_and_back(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET free r LIMIT 100 month OVERAGE")
    june("QUOTA.OPEN a p")
    june("QUOTA.CONSUME a r 120")
    june.advance("5d")
    june("QUOTA.SWITCH a free FULL")
    june("QUOTA.CONSUME a r 1000")
    assert lines(june) == []
    june.advance("5d")
    june("QUOTA.SWITCH a p FULL")
    june("QUOTA.CONSUME a r 7")
    assert (one(june, at=JUNE_MS)["quantity"], one(june)["quantity"]) == (20, 7)


def test_an_override_prices_from_the_next_cycle_on(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.OPEN a p")
    june.advance("1d")
    june("QUOTA.OVERRIDE a r PRICE usd TIER * 0.25 EX 40d")
    june("QUOTA.CONSUME a r 104")
    assert one(june)["amount"] == 4_000_000
    june("QUOTA.CLOCK FREEZE", JULY_MS)
    june("QUOTA.CONSUME a r 104")
    assert one(june)["amount"] == 1_000_000
    june("QUOTA.CLOCK FREEZE", AUGUST_MS)
    june("QUOTA.CONSUME a r 104")
    assert [one(june, at=at)["amount"] for at in MONTHS_MS[:3]] == [4_000_000, 1_000_000, 4_000_000]


def test_credits_serve_what_is_not_billed(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE CREDITS PRICE usd TIER * 1")
    june("QUOTA.OPEN a p")
    june("QUOTA.GRANT a g r 50")
    june("QUOTA.CONSUME a r 130 ID x")
    line = one(june)
    assert (line["used"], line["credits"], line["quantity"]) == (100, 30, 0)
    june("QUOTA.RESERVE a h r 15 TTL 40d")
    assert one(june)["credits"] == 30  # held is not served
    june("QUOTA.CONSUME a r 30")
    line = one(june)
    assert (line["used"], line["credits"], line["quantity"]) == (125, 35, 25)
    june("QUOTA.GRANT a h2 r 40")  # what becomes usable pays what is over
    line = one(june)
    assert (line["used"], line["credits"], line["quantity"]) == (100, 60, 0)
    june("QUOTA.CLOCK FREEZE", JULY_MS + DAY_MS)
    june("QUOTA.COMMIT a h 10")
    assert one(june, at=JUNE_MS)["credits"] == 70
    june("QUOTA.REFUND a r 20 OF x")
    assert one(june, at=JUNE_MS)["credits"] == 50
    assert one(june)["credits"] == 0


def test_a_cycle_that_credits_alone_have_served_has_a_line(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE CREDITS FIRST PRICE usd TIER * 1")
    june("QUOTA.OPEN a p")
    june("QUOTA.GRANT a g r 50")
    june("QUOTA.CONSUME a r 20")
    june("QUOTA.CLOCK FREEZE", SEPTEMBER_MS)
    june("QUOTA.CONSUME a r 40")
    assert [(line["credits"], line["used"]) for line in (one(june, at=at) for at in MONTHS_MS[:4])] == [
        (20, 0), (0, 0), (0, 0), (30, 10)]


def test_a_revision_at_the_very_start_is_the_price_of_the_cycle(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.OPEN a p")
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 2 EFFECTIVE", JULY_MS)
    june("QUOTA.CONSUME a r 110")
    june("QUOTA.CLOCK FREEZE", JULY_MS)
    june("QUOTA.CONSUME a r 110")
    assert [one(june, at=at)["amount"] for at in (JUNE_MS, JULY_MS)] == [10_000_000, 20_000_000]


def test_an_account_that_expires_ends_its_line(june):
    june("QUOTA.PLAN SET trial r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET paid r LIMIT 100 month OVERAGE PRICE usd TIER * 3")
    end = JUNE_MS + 10 * DAY_MS
    june("QUOTA.OPEN a trial EXPIRES 10d THEN paid")
    june("QUOTA.OPEN b trial EXPIRES 10d")
    for account in "ab":
        june(f"QUOTA.CONSUME {account} r 120")
    june.advance("12d")
    shown = [one(june, account, JUNE_MS) for account in "ab"]
    assert [(line["end"], line["amount"]) for line in shown] == [(end, 20_000_000)] * 2
    june("QUOTA.CONSUME a r 10")
    assert (one(june)["start"], one(june)["amount"]) == (end, 30_000_000)
    assert lines(june, "b") == []
    june("QUOTA.OPEN b paid")  # on a plan again
    june("QUOTA.SETTLE a")
    assert [one(june, account, JUNE_MS)["amount"] for account in "ab"] == [20_000_000] * 2


def test_a_switch_to_come_cuts_at_its_instant(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET q r LIMIT 100 month OVERAGE PRICE usd TIER * 2")
    at = JUNE_MS + 10 * DAY_MS
    for account in "ab":
        june(f"QUOTA.OPEN {account} p")
        june(f"QUOTA.SWITCH {account} q FULL AT {at}")
        june(f"QUOTA.CONSUME {account} r 120")
    june("QUOTA.CLOCK FREEZE", at)
    june("QUOTA.SETTLE b")
    june.advance("5d")
    for account in "ab":
        june(f"QUOTA.CONSUME {account} r 10")
        assert [one(june, account, instant)["amount"] for instant in (at - 1, at)] == [20_000_000, 20_000_000]
    june("QUOTA.SWITCH a p END")
    june("QUOTA.CLOCK FREEZE", JULY_MS + DAY_MS)
    june("QUOTA.CONSUME a r 101")
    assert [one(june, at=instant)["amount"] for instant in (at - 1, at, JULY_MS)] == [
        20_000_000, 20_000_000, 1_000_000]


def test_a_parent_has_lines_of_what_its_members_use(june):
    june("QUOTA.PLAN SET org r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    june("QUOTA.PLAN SET seat r LIMIT 50 month OVERAGE PRICE usd TIER * 2")
    june("QUOTA.OPEN {o}org org")
    for member in ("{o}x", "{o}y"):
        june(f"QUOTA.OPEN {member} seat PARENT {{o}}org")
        june(f"QUOTA.CONSUME {member} r 70 ID i")
    assert [one(june, account)["quantity"] for account in ("{o}org", "{o}x", "{o}y")] == [40, 20, 20]
    june("QUOTA.CLOCK FREEZE", JULY_MS + DAY_MS)
    june("QUOTA.REFUND {o}x r 30 OF i")
    assert [one(june, account, JUNE_MS)["quantity"] for account in ("{o}org", "{o}x", "{o}y")] == [10, 0, 20]


def test_credits_of_a_member_are_its_own_lines(june):
    june("QUOTA.PLAN SET org r LIMIT 100 month CREDITS PRICE usd TIER * 1")
    june("QUOTA.PLAN SET seat r LIMIT 1000 month CREDITS PRICE usd TIER * 2")
    june("QUOTA.OPEN {o}org org")
    june("QUOTA.OPEN {o}x seat PARENT {o}org")
    june("QUOTA.GRANT {o}x g r 50")
    june("QUOTA.CONSUME {o}x r 90")
    june("QUOTA.RESERVE {o}x h r 30 TTL 10d")
    assert june("QUOTA.COMMIT {o}x h 30")[0] == 30
    shown = [one(june, account) for account in ("{o}org", "{o}x")]
    assert [(line["used"], line["credits"]) for line in shown] == [(100, 0), (100, 20)]


def test_a_price_that_would_go_is_named(june):
    june("QUOTA.PLAN SET p r LIMIT 100 month OVERAGE PRICE usd TIER * 1")
    assert june.map("QUOTA.PLAN CHECK p r LIMIT 100 month OVERAGE")["dropped"] == ["PRICE"]
    june("QUOTA.OPEN a p")
    june("QUOTA.OVERRIDE a r ONLY LIMIT 5 month")
    june.advance("40d")
    assert lines(june) == []


# ---- random usage against every unit ----

LIMITS = {"p": 100, "q": 400, "s": 30}


def half_away(number):
    return (number.numerator * 2 + number.denominator) // (number.denominator * 2)


class Price:
    """PRICE as words, and what it costs."""

    def __init__(self, dice):
        self.volume, self.per = dice.random() < 0.3, dice.choice([1, 1, 7, 1000])
        edges = sorted(dice.sample(range(1, 300), dice.randrange(3)))
        self.tiers = [(edge, dice.randrange(3_000_000), dice.choice([0, 0, 1_500_000])) for edge in [*edges, None]]

    def words(self):
        tiers = " ".join(f"TIER {upto or '*'} {price // 10**6}.{price % 10**6:06}"
                         + (f" FLAT {flat // 10**6}.{flat % 10**6:06}" if flat else "")
                         for upto, price, flat in self.tiers)
        return f"PRICE usd {'VOLUME ' if self.volume else ''}PER {self.per} {tiers}"

    def amounts(self, quantity):
        parts, begins = [], 0
        for upto, price, flat in self.tiers:
            ends = quantity if upto is None else min(quantity, upto)
            inside = max(ends - begins, 0)
            if self.volume:
                inside = quantity if begins < quantity and (upto is None or quantity <= upto) else 0
            parts.append([inside, half_away(Fraction(inside * price, self.per)) + flat if inside else 0])
            begins = upto
        return parts


class Ledger:
    """Every unit at its instant; limits as sums over the parts of a month."""

    def __init__(self, plan, prices):
        self.plan, self.prices, self.now = plan, prices, JUNE_MS
        self.units = []  # [instant, units that count, refunded]
        self.months = {}
        self.parts = [(JUNE_MS, LIMITS[plan])]

    def month(self):
        start = max(month for month in MONTHS_MS if month <= self.now)
        if start not in self.months:  # its lines: start, end, price, limit at its end
            self.months[start] = [[start, None, self.price_at(start), None]]
        return start, MONTHS_MS[MONTHS_MS.index(start) + 1]

    def price_at(self, at):
        return [price for since, plan, price in self.known if plan == self.plan and since <= at][-1]

    def roll(self, now):
        for start, end in zip(MONTHS_MS, MONTHS_MS[1:]):
            if self.now < end <= now:
                self.month()
                self.months[start][-1][1:4:2] = end, self.limit(start, end)
                self.now = end
                self.parts = [(end, LIMITS[self.plan])]
        self.now = now
        self.month()

    def limit(self, start, end):
        total = Fraction(0)
        for (since, limit), (until, _) in zip(self.parts, [*self.parts[1:], (end, 0)]):
            total += Fraction(limit * (until - since), end - start)
        return half_away(total)

    def switch(self, plan, how):
        start, end = self.month()
        self.months[start][-1][1:4:2] = self.now, self.limit(start, end)
        self.plan = plan
        self.parts = [(start, LIMITS[plan])] if how == "FULL" else [*self.parts, (self.now, LIMITS[plan])]
        self.months[start].append([self.now, None, self.price_at(self.now), None])

    def revise(self):
        """PLAN SET without APPLY: the running limit is as if the cycle had begun with it."""
        self.parts = [(self.month()[0], LIMITS[self.plan])]

    def lines(self):
        for start, month in self.months.items():
            ends = MONTHS_MS[MONTHS_MS.index(start) + 1]
            unbilled = 0
            for begins, end, price, limit in month:
                until = ends if end is None else end
                if begins == until:
                    continue
                inside = [unit for unit in self.units if begins <= unit[0] < until]
                used = sum(units - refunded for _, units, refunded in inside)
                included = max((self.limit(start, ends) if end is None else limit) - unbilled, 0)
                quantity = max(used - included, 0)
                unbilled += used - quantity
                tiers = price.amounts(quantity)
                yield {"id": f"a/r/month/{begins}", "resource": "r", "period": "month", "start": begins, "end": until,
                       "included": included, "used": used, "credits": 0,
                       "refunded": sum(refunded for _, _, refunded in inside), "quantity": quantity,
                       "currency": "usd", "tiers": tiers, "amount": sum(amount for _, amount in tiers)}


class Usage:
    """One random life of an account, and of a twin that is written down at every turn."""

    def __init__(self, quota, dice):
        self.quota, self.dice = quota, dice
        self.ids, self.holds, self.count = [], [], 0
        self.ledger = Ledger("p", None)
        self.ledger.known = []
        for plan in LIMITS:
            self.set_price(plan)
        self.both("QUOTA.OPEN {} p")

    def both(self, line):
        answers = [self.quota(line.format(account)) for account in "ab"]
        assert answers[0] == answers[1]
        return answers[0]

    def set_price(self, plan):
        price = Price(self.dice)
        self.quota(f"QUOTA.PLAN SET {plan} r LIMIT {LIMITS[plan]} month OVERAGE {price.words()}")
        self.ledger.known.append((self.ledger.now, plan, price))
        if plan == self.ledger.plan and len(self.ledger.known) > len(LIMITS):
            self.ledger.revise()

    def consume(self):
        self.count += 1
        units = self.dice.randrange(1, 60)
        self.both(f"QUOTA.CONSUME {{}} r {units} ID c{self.count}")
        self.ledger.units.append([self.ledger.now, units, 0])
        self.ids.append((f"c{self.count}", self.ledger.units[-1]))

    def refund(self):
        if self.ids:
            name, unit = self.dice.choice(self.ids)
            units = min(self.dice.randrange(1, 40), unit[1] - unit[2])
            if units:
                assert self.both(f"QUOTA.REFUND {{}} r {units} OF {name}")[0] == units
                unit[2] += units

    def reserve(self):
        self.count += 1
        units = self.dice.randrange(1, 60)
        self.both(f"QUOTA.RESERVE {{}} h{self.count} r {units} TTL 200d")
        self.holds.append((f"h{self.count}", units, self.ledger.now))

    def commit(self):
        if self.holds:
            name, units, made = self.holds.pop(self.dice.randrange(len(self.holds)))
            posted = self.dice.randrange(1, units + 1)
            self.both(f"QUOTA.COMMIT {{}} {name} {posted}")
            self.ledger.units.append([made, posted, 0])

    def switch(self):
        plan = self.dice.choice([plan for plan in LIMITS if plan != self.ledger.plan])
        how = self.dice.choice(["FULL", "PRORATE"])
        self.both(f"QUOTA.SWITCH {{}} {plan} {how}")
        self.ledger.switch(plan, how)

    def reprice(self):
        self.set_price(self.dice.choice(list(LIMITS)))

    def step(self):
        self.dice.choice([self.consume] * 5 + [self.refund, self.reserve, self.commit, self.switch, self.reprice])()
        self.quota("QUOTA.SETTLE b")
        # Never twice at one instant: which of two events comes first is for other tests.
        self.ledger.roll(min(self.ledger.now + self.dice.randrange(1, 4 * 24) * HOUR_MS + 1, OCTOBER_MS - 1))
        self.quota("QUOTA.CLOCK FREEZE", self.ledger.now)

    def compare(self):
        for line in self.ledger.lines():
            if line["start"] > self.ledger.now:
                continue
            for at in {line["start"], (line["start"] + line["end"]) // 2, line["end"] - 1}:
                shown = [lines(self.quota, account, at) for account in "ab"]
                for other in shown[1]:
                    other["id"] = "a" + other["id"][1:]
                assert shown[0] == shown[1], at
                assert shown[0] == [line], at


@pytest.mark.parametrize("number", range(12))
def test_random_usage_is_billed_exactly(june, request, number):
    dice = random.Random(f"{request.config.getoption('seed')} {number}")
    usage = Usage(june, dice)
    usage.consume()
    for _ in range(45):
        if usage.ledger.now > OCTOBER_MS - 5 * DAY_MS:
            break
        usage.step()
    usage.compare()
    assert as_map(june("QUOTA.BILL a"))
