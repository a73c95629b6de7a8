"""The same lines typed to the module and to the slow model: tests of new rules are proved on both.

    def test_x(either): either("QUOTA.PLAN SET p r LIMIT 10 day") …        either: ModelQuota, or conftest.Quota

ModelQuota understands the account commands, as far as these tests type them, and answers as RESP3 would; an error of
it is the code alone. RATEs of FIXED and GCRA are enough here.
"""

import copy
import datetime as dt

import pytest
import redis

from account_model import Account, Concurrent, Entitlement, Host, Limit, Rate, Refused, Rolling, Rollover, Throttle
from account_model.calendar import EPOCH, MICROSECOND, SPANS
from account_model.plans import Plan
from conftest import NOON, NOON_MS, Quota, assert_equal_digests, clear_plans, empty
from model import Rule

KINDS = ("AS", "LIMIT", "RATE", "THROTTLE", "CONCURRENT", "COST", "WARN", "BURST", "GRACE", "OVERAGE", "REFUNDS",
         "HOLDS")
OPTIONS = ("APPLY", "EFFECTIVE", "EX", "CHECK", "REASON")


@pytest.fixture(params=["model", "module"])
def either(request):
    """At noon, with no plans."""
    if request.param == "model":
        yield ModelQuota()
        return
    primary, replica = request.getfixturevalue("pair")
    quota = Quota(primary.client(protocol=3))
    empty(primary)
    quota("QUOTA.CLOCK FREEZE", NOON)
    clear_plans(quota)
    yield quota
    clear_plans(quota)
    assert_equal_digests(primary, replica)
    quota("QUOTA.CLOCK RESUME")
    quota.client.close()


class ModelQuota:
    """A server of one connection that knows accounts and plans, by the slow model."""

    def __init__(self):
        self.host, self.accounts, self.now = Host(86_400_000_000), {}, NOON_MS * 1000

    def __call__(self, line, *words):
        command, *words = [*line.split(), *map(str, words)]
        name = command.removeprefix("QUOTA.").lower().replace(" ", "")
        try:
            return getattr(self, f"on_{name}")(Words(words))
        except Refused as refused:
            raise redis.ResponseError(str(refused)) from None

    def error(self, line, *words):
        with pytest.raises(redis.ResponseError) as raised:
            self(line, *words)
        return str(raised.value)

    def map(self, line, *words):
        return self(line, *words)

    def advance(self, text):
        self.now += -span(text[1:]) if text.startswith("-") else span(text)

    # ---- the server ----

    def on_clock(self, words):
        if words.take("FREEZE"):
            self.now = instant(words.next())
        return self.now // 1000

    def on_config(self, words):
        words.next()
        settings = dict(zip(words.left[::2], words.left[1::2]))
        self.host.kept = int(settings.get("quota.id-ttl-ms", self.host.kept // 1000)) * 1000
        self.host.default_plan = settings.get("quota.default-plan", self.host.default_plan)
        return "OK"

    def on_copy(self, words):
        source, target = words.left
        self.accounts[target] = copy.deepcopy(self.accounts[source], {id(self.host): self.host})
        return 1

    def on_del(self, words):
        return int(self.accounts.pop(words.next(), None) is not None)

    def on_debug(self, words):
        """DEBUG DIGEST: everything that is stored, as text."""
        names = sorted(self.accounts)
        return str([(name, vars(self.accounts[name].copy().slots[slot])["windows"], self.accounts[name].notes)
                    for name in names for slot in self.accounts[name].slots]) + str(
            [(name, plan.counter, plan.resources) for name, plan in sorted(self.host.plans.items())])

    # ---- plans ----

    def on_plan(self, words):
        return getattr(self, f"plan_{words.next().lower()}")(words)

    def plan_set(self, words):
        name, resource = words.next(), words.next()
        entitlement, options = words.entitlement()
        effective = instant(options["EFFECTIVE"]) if "EFFECTIVE" in options else None
        return self.host.set_plan(name, resource, entitlement, self.now, options.get("APPLY", "FULL"), effective)

    def plan_del(self, words):
        name = words.next()
        if not words.left:
            return self.host.retire(name, self.now)
        return self.host.delete_resource(name, words.next(), self.now)

    def known_plan(self, name):
        if name not in self.host.plans:
            raise Refused("NOPLAN")
        return self.host.plans[name]

    def plan_cancel(self, words):
        if not self.host.cancel(self.known_plan(words.next()).name, int(words.next()), self.now):
            raise Refused("ERR")
        return "OK"

    def plan_get(self, words):
        plan = self.known_plan(words.next())
        in_force = {name: plan.entitlement(name, self.now) for name in plan.resources}
        return {"plan": plan.name, "revision": plan.counter, "retired": int(plan.retired is not None),
                "accounts": self.carry(plan.name),
                "resources": {name: texts(entitlement) for name, entitlement in in_force.items() if entitlement},
                "pending": [{"revision": one.number, "resource": name, "effective": one.at // 1000, "apply": one.apply}
                            for name, revisions in plan.resources.items() for one in revisions
                            if not one.in_force(self.now)]}

    def plan_check(self, words):
        name, resource = words.next(), words.next()
        plan = self.host.plans.get(name) or Plan(name)
        entitlement, _ = words.entitlement()
        before = plan.entitlement(resource, self.now)
        gone = [kind for kind in kinds(before) if kind not in kinds(entitlement)] if before else []
        return {"revision": plan.counter + (before != entitlement), "rules": texts(entitlement), "dropped": gone,
                "accounts": self.carry(plan.name)}

    def carry(self, plan):
        return sum(account.plan == plan for account in self.accounts.values())

    # ---- accounts ----

    def account(self, name):
        if name not in self.accounts:
            raise Refused("NOACCOUNT")
        return self.accounts[name]

    def call(self, name, command, *words, reason=""):
        reply = self.account(name).call(command, self.now, *words, reason=reason)
        if isinstance(reply, str) and reply != "OK":
            raise Refused(reply)
        return copy.deepcopy(reply)

    def on_open(self, words):
        name, plan = words.next(), words.next()
        options = words.pairs()
        expires = self.until(options.get("EXPIRES"))
        if name in self.accounts:
            reason = options.get("REASON", "")
            return self.call(name, "open", plan, None, None, expires, options.get("THEN"), reason=reason)
        if not self.host.plan(plan):
            raise Refused("NOPLAN")
        anchor = instant(options["ANCHOR"]) if "ANCHOR" in options else self.now
        account = self.accounts[name] = Account(self.host, plan, self.now, anchor, options.get("ZONE", "UTC"))
        if expires is not None:
            account.expire(expires, options.get("THEN"))
        return "OK"

    def until(self, text):
        """An instant, or text of what counts from the opening."""
        return instant(text) if text and (text.isdigit() or ":" in text) else text

    def on_switch(self, words):
        name, plan = words.next(), words.next()
        mode = next((mode for mode in ("PRORATE", "FULL", "END") if words.take(mode)), "PRORATE")
        restart, check = words.take("RESTART"), words.take("CHECK")
        options = words.pairs()
        at = instant(options["AT"]) if "AT" in options else None
        return self.tried(name, check, "switch", plan, mode, at, restart, reason=options.get("REASON", ""))

    def tried(self, name, check, command, *words, reason=""):
        """CHECK: the INFO as it would be."""
        if not check:
            return self.call(name, command, *words, reason=reason)
        kept, self.accounts[name] = self.account(name), self.accounts[name].copy()
        try:
            self.call(name, command, *words, reason=reason)
            return self.on_info(Words([name]))
        finally:
            self.accounts[name] = kept

    def on_override(self, words):
        name, resource = words.next(), words.next()
        if words.take("LIFT"):
            return self.call(name, "lift", resource, reason=words.pairs().get("REASON", ""))
        only, check = words.take("ONLY"), words.take("CHECK")
        entitlement, options = words.entitlement()
        if not entitlement.text():
            raise Refused("ERR")
        ex = options.get("EX", 0)
        ex = ex if ex in (0, "CYCLE") else span(ex)
        return self.tried(name, check, "override", resource, entitlement, only, ex, reason=options.get("REASON", ""))

    def on_set(self, words):
        name, resource, used = words.next(), words.next(), int(words.next())
        options = words.pairs()
        return self.call(name, "set", resource, used, options.get("PERIOD"), reason=options.get("REASON", ""))

    def on_reset(self, words):
        name = words.next()
        resource = words.next() if len(words.left) % 2 else None
        options = words.pairs()
        return self.call(name, "reset", resource, options.get("PERIOD"), reason=options.get("REASON", ""))

    def on_suspend(self, words):
        name, options = words.next(), words.pairs()
        ex = span(options["EX"]) if "EX" in options else 0
        return self.call(name, "suspend", ex, reason=options.get("REASON", ""))

    def on_resume(self, words):
        return self.call(words.next(), "resume", reason=words.pairs().get("REASON", ""))

    def on_close(self, words):
        return self.call(words.next(), "close", reason=words.pairs().get("REASON", ""))

    def on_settle(self, words):
        """What time has done is kept; the model does not count the events of it."""
        name = words.next()
        self.accounts[name] = self.account(name).look(self.now)
        return 0

    # ---- consuming ----

    def on_consume(self, words):
        name, resource, amount = words.next(), words.next(), int(words.next())
        mode = next((mode for mode in ("UPTO", "CHECK", "FORCE") if words.take(mode)), "")
        sticky = words.take("STICKY")
        return self.call(name, "consume", resource, amount, mode, words.pairs().get("ID"), sticky)

    def on_mconsume(self, words):
        name, rows = words.next(), int(words.next())
        items = tuple((words.next(), int(words.next())) for _ in range(rows))
        any, check, sticky = words.take("ANY"), words.take("CHECK"), words.take("STICKY")
        return self.call(name, "mconsume", items, any, words.pairs().get("ID"), check, sticky)

    def on_refund(self, words):
        name = words.next()
        if words.take("ALL"):
            options = words.pairs()
            return self.call(name, "refund_all", options["OF"], reason=options.get("REASON", ""))
        resource, amount, options = words.next(), int(words.next()), words.pairs()
        reason = options.get("REASON", "")
        return self.call(name, "refund", resource, amount, options.get("OF"), options.get("ID"), reason=reason)

    def on_reserve(self, words):
        name, id, mode = words.next(), words.next(), "UPTO" if words.take("UPTO") else ""
        end = words.left.index("TTL")
        rows = tuple(zip(words.left[:end:2], map(int, words.left[1:end:2])))
        return self.call(name, "reserve", id, rows, span(words.left[end + 1]), mode)

    def on_commit(self, words):
        force, name, id = words.take("FORCE"), words.next(), words.next()
        return self.call(name, "commit", id, tuple(map(int, words.left)) or None, force)

    def on_release(self, words):
        return self.call(words.next(), "release", words.next())

    def on_extend(self, words):
        return self.call(words.next(), "extend", words.next(), span(words.next()))

    def on_info(self, words):
        name = words.next()
        info = self.account(name).look(self.now).info() | {"account": name}
        if words.left and words.left[0] not in info["resources"]:
            raise Refused("NORESOURCE")
        return info["resources"][words.left[0]] if words.left else info

    def on_holds(self, words):
        """All of them on one page."""
        return [None, self.account(words.next()).look(self.now).live_holds()]

    def on_history(self, words):
        cycles = self.account(words.next()).look(self.now).history(words.next())
        if cycles == "NORESOURCE":
            raise Refused(cycles)
        return [{name: value for name, value in cycle.items() if name != "asleep"} for cycle in cycles]


# ---- words ----


class Words:
    def __init__(self, left):
        self.left = list(left)

    def next(self):
        return self.left.pop(0)

    def take(self, word):
        there = word in self.left
        if there:
            self.left.remove(word)
        return there

    def pairs(self):
        return dict(zip(self.left[::2], self.left[1::2]))

    def entitlement(self):
        """Rules, and the options behind them."""
        end = next((at for at, word in enumerate(self.left) if word in OPTIONS), len(self.left))
        given, rules = self.left[:end], []
        starts = [at for at, word in enumerate(given) if word in KINDS and not is_of_rate(given, at)] + [len(given)]
        fields = {}
        for start, stop in zip(starts, starts[1:]):
            word, *values = given[start:stop]
            if word == "AS":
                fields["target"] = values[0]
            elif word in ("LIMIT", "RATE", "THROTTLE", "CONCURRENT"):
                rules.append(rule_of(word, values))
            else:
                fields |= field_of(word, values)
        options = Words(self.left[end:])
        return Entitlement(tuple(rules), **fields), options.pairs()


def is_of_rate(words, at):
    """Behind a RATE a BURST without % is the rate's."""
    before = [word for word in words[:at] if word in KINDS]
    return words[at] == "BURST" and "%" not in words[at + 1] and before[-1:] in (["RATE"], ["THROTTLE"])


def rule_of(word, values):
    if word in ("RATE", "THROTTLE"):
        algorithm = values.pop(0) if values[0].isalpha() else "GCRA"
        burst = int(values[values.index("BURST") + 1]) if "BURST" in values else 0
        initial = int(values[values.index("INITIAL") + 1]) if "INITIAL" in values else None
        period = span(values[1])
        unit = max((us, name) for name, us in SPANS.items() if period % us == 0)
        kind = Rate if word == "RATE" else Throttle
        flag = next((word for word in values if word in ("FIRST", "INTERVAL")), "")
        return kind(Rule(algorithm, int(values[0]), period, burst, initial, flag), f"{period // unit[0]}{unit[1]}")
    limit, *values = values
    if word == "CONCURRENT":
        return Concurrent(int(limit))
    if values[0] == "ROLLING":
        return Rolling(int(limit), values[1])
    at = values.index("ROLLOVER") if "ROLLOVER" in values else len(values)
    period, rolls = values[:at], values[at:]
    words = dict(zip(rolls[::2], rolls[1::2]))
    rollover = rolls and Rollover(words["ROLLOVER"].rstrip("%"), int(words["MAX"]) if "MAX" in words else None,
                                  int(words.get("FOR", 1)))
    return Limit(int(limit), " ".join(word for word in period if word != "PRORATE"), "PRORATE" in period,
                 rollover or None)


def field_of(word, values):
    numbers = [int(value.rstrip("%")) for value in values if value.rstrip("%").isdigit()]
    if word == "REFUNDS":
        within = span(values[values.index("WITHIN") + 1]) if "WITHIN" in values else None
        return {"refunds": (int(values[1]) if values[0] == "MAX" else None, within)}
    if word == "GRACE":
        return {"grace": span(values[0])}
    if word == "WARN":
        return {"warn": tuple(sorted(set(numbers)))}
    if word == "OVERAGE":
        return {"overage": numbers[0] if numbers else True}
    if word == "BURST":
        return {"burst": numbers[0], "repay": "REPAY" in values}
    return {{"COST": "cost", "HOLDS": "holds_max"}[word]: numbers[0]}


def texts(entitlement):
    rules = [f"{rule.kind[0]} {rule.rule.word} {rule.rule.limit} {rule.period}"
             if isinstance(rule, (Rate, Throttle)) else rule.text() for rule in entitlement.rules]
    rest = Entitlement((), **{name: value for name, value in vars(entitlement).items() if name != "rules"}).text()
    return rules + ([rest] if rest else [])


def kinds(entitlement):
    """The kinds of its rules, each once."""
    others = {"COST": entitlement.cost, "WARN": entitlement.warn, "BURST": entitlement.burst,
              "GRACE": entitlement.grace, "OVERAGE": entitlement.overage, "REFUNDS": entitlement.refunds,
              "HOLDS": entitlement.holds_max}
    names = [rule.kind[0] for rule in entitlement.rules] + [word for word in others if others[word] is not None]
    return list(dict.fromkeys(names))


def span(text):
    """us of 90s, 5us, 20ms, 3d, 1w."""
    for unit, us in (("us", 1), ("ms", 1000), *SPANS.items()):
        if text.endswith(unit) and text[: -len(unit)].isdigit():
            return int(text[: -len(unit)]) * us
    return int(text) * 1_000_000


def instant(text):
    if text.endswith("us"):
        return int(text[:-2])
    if text.endswith("s") and text[:-1].isdigit():
        return int(text[:-1]) * 1_000_000
    if text.isdigit():
        return int(text) * 1000
    return (dt.datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH) // MICROSECOND
