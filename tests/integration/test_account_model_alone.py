"""The slow model against itself, without a server: what has to hold for any account, whatever the module does.

    lazy   ───────────────────────────────▶ │       the same commands; time and plans are written down at every event
    eager  ──┴────┴─────┴──────┴─────┴────▶ │ equal?   of the one, at the commands of the other

If the model were wrong here, the module that agrees with it would be, too.
"""

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from account_model import FOREVER, Entitlement, Limit, Part, Refused, Silent, allowance, figures
from account_streams import STEPS, accounts_drawn
from subjects import ModelQuota
from test_account_model import DRAWN, IN_A_STREAM, OPERATIONS, SEED, Stream, follow, follow_both, makes_accounts_differ

EXAMPLES = max(OPERATIONS // 6 // IN_A_STREAM, 1)


class Alone(Stream):
    """The stream of test_account_model.py with no server behind it."""

    def __init__(self, drawn):
        self.replies, self.counts = [], {}
        super().__init__(None, drawn)
        self.eager = self.account.copy()

    def type(self, line, *words):
        self.lines.append(line)
        return self.replies.pop() if self.replies else 1

    def set_plan(self, name, resource, entitlement, apply, effective):
        at = self.now + effective if effective else None
        self.host.set_plan(self.plan(name), resource, entitlement, self.now, apply, at)
        self.lines.append(f"PLAN SET {name} {resource} {entitlement.text()} {apply} {effective}")

    def delete_resource(self, name, resource):
        self.host.delete_resource(self.plan(name), resource, self.now)
        self.lines.append(f"PLAN DEL {name} {resource}")

    def call(self, name, line, words):
        self.lines.append(line)
        answers = []
        for account in (self.account, self.eager):
            try:
                answers.append(account.call(name, self.now, *words))
            except Silent as silent:
                answers.append(str(silent))
        assert answers[0] == answers[1], self.difference(*answers)
        kind = answers[0] if isinstance(answers[0], str) else "answered"
        self.counts[name, kind] = self.counts.get((name, kind), 0) + 1
        return answers[0]

    def write_down(self, to):
        """Every event up to there is written into the eager account."""
        for _ in range(40):
            at = self.next_event()
            if at == self.now or at > to:
                return
            self.clock(at)
            self.eager = self.eager.look(at)
            self.eager.settled = self.eager.now
            self.eager.dirty = False


def seen(account, now):
    info, histories = figures(account.look(now))
    return info, histories


@seed(SEED)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def test_lazy_equals_eager(drawn, steps):
    stream = Alone(drawn)
    for step in steps:
        if makes_accounts_differ(step):
            continue
        if step[0] in ("advance", "boundary"):
            stream.write_down(stream.now + step[1] if step[0] == "advance" else stream.next_event())
        stream.step(step)
        assert seen(stream.account, stream.now) == seen(stream.eager, stream.now), "\n".join(stream.lines)


@seed(SEED + 1)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def test_nothing_is_minted(drawn, steps):
    """Refunds of a cycle never exceed what was charged in it; nothing is below zero, whatever the clock does."""
    stream = Alone(drawn)
    for step in steps:
        stream.step(step)
        for slot in stream.account.slots.values():
            for cycle in [*slot.past, *slot.windows.values()]:
                lines = "\n".join(stream.lines)
                assert cycle.used >= 0 and cycle.refunded <= cycle.charged, f"{cycle}\n{lines}"
                assert cycle.debt >= 0 and cycle.start < cycle.end, f"{cycle}\n{lines}"
                assert all(left >= 0 for _, left in cycle.ledger.marks), f"{cycle}\n{lines}"
            for log in slot.logs.values():
                assert all(units > 0 for _, units in log.entries)


@seed(SEED + 2)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def test_a_promised_wait_is_kept(drawn, steps):
    """What is denied now is admitted after the wait if no other request comes, and not a millisecond earlier."""
    stream = Alone(drawn)
    for step in steps:
        stream.step(step)
        if step[0] == "consume" and step[3] == "":
            keep_promise(stream, step[1], step[2])


def keep_promise(stream, resource, amount):
    account = stream.account.copy()
    if account.look(stream.now).stops(FOREVER):
        return  # rules change
    try:
        verdict = account.call("consume", stream.now, resource, amount)  # not CHECK: that begins no bucket
    except Silent:
        return
    if not isinstance(verdict, list) or verdict[0]:
        return
    lines = "\n".join(stream.lines)
    if verdict[3] == -1:
        for days in (1, 40, 400):
            assert check(account, stream.now + days * 86_400_000_000, resource, amount)[0] == 0, lines
    else:
        then = stream.now + verdict[3] * 1000
        assert check(account, then, resource, amount)[0] == amount, f"{verdict}\n{lines}"
        assert check(account, then - 1001, resource, amount)[0] == 0, f"{verdict}\n{lines}"


def check(account, now, resource, amount):
    try:
        return account.look(now).consume(resource, amount, "CHECK")
    except (Refused, Silent) as error:
        return str(error)


@seed(SEED + 3)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def test_lines_say_what_the_model_is_called_with(drawn, steps):
    """The driver against a model that reads the lines as they are typed: what it types, and how it compares."""
    follow(ModelQuota(), drawn, steps)


@seed(SEED + 4)
@settings(max_examples=EXAMPLES, **DRAWN)
@given(drawn=accounts_drawn(), steps=STEPS)
def test_touching_an_account_changes_nothing_that_shows(drawn, steps):
    follow_both(ModelQuota(), drawn, steps)


# ---- limits second by second ----

CHANGES = st.lists(st.tuples(st.integers(0, 59), st.one_of(st.none(), st.builds(
    Limit, st.sampled_from([-1, 0, 1, 7, 10, 100]), st.just("60s"), st.booleans())), st.booleans()), max_size=6)


@seed(SEED)
@settings(max_examples=500, **DRAWN)
@given(changes=CHANGES, anchor=st.integers(-5, 59))
def test_limits_are_sums_over_seconds(changes, anchor):
    """A cycle of sixty seconds as a list of them: FULL paints all, PRORATE those that are left."""
    seconds, parts = [None] * 60, []
    for at, rule, full in sorted(changes, key=lambda change: change[0]):
        since = 0 if full else at
        seconds[since:] = [rule] * (60 - since)
        parts.append(Part(at, rule and Entitlement((rule,)), full))
    last, began = seconds[-1], max(anchor, 0)
    worth = [0 if rule is None else last.limit if rule.limit == -1 and last else rule.limit for rule in seconds]
    worth = [units if rule is None or rule.limit != -1 or last else 0 for rule, units in zip(seconds, worth)]
    before = 0 if seconds[0] and seconds[0].prorate else worth[0]
    total = sum([before] * began + worth[began:])
    expected = -1 if last and last.limit == -1 else (2 * total + 60) // 120
    assert allowance(parts, "60s", 0, 60, anchor) == expected
