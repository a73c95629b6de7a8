"""The calls of a client, once for sync and async: each builds a command, and reads its reply.

    consume(…) ─▶ remembered denial? ─▶ send, repeat where an id makes it safe ─▶ verdict, source "server"
                                          │ no answer
                                          └─▶ on_error: closed  raise Unavailable
                                                        open    admitted, source "open"    ┐ queued by id, posted later
                                                        local   own GCRA, source "local"   ┘ by QUOTA.INGEST

Nothing is decided here but what "local" names. Durations, periods, instants and rules are passed on as they are
written; the server says what is wrong with them. Amounts are integers from 1.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import redis
from redis.crc import key_slot

from . import replies
from .errors import IdConflict, QuotaError, Resolved, Unavailable, typed
from .memory import Backlog, Denials, Local, Row
from .observe import Observer, arguments_of, awake, watched
from .rules import Named, Rule, Rules, duration_us, of_policy, of_resource, of_texts, words_of
from .steps import Call, NoReply, NotSent, Observed, Send, Sleep, Steps
from .verdict import Event, Granted, Leased, Refunded, Settled, Verdict, admitted_without

if TYPE_CHECKING:
    from .metrics import ClientMetrics

T = TypeVar("T")
Word = str | int
OnError = Literal["closed", "open", "local"]
# What is answered without the server, by "open" or "local"; True: it may have executed the command all the same.
Fallback = Callable[[OnError, bool], T]

RETRIES, RETRY_BASE_S = 3, 0.05
AWAY_S = 1.0
ROWS_OF_INGEST = 1000
PAGE = 1000
NAMES_S, NAMES_MAX = 60.0, 10_000

log = logging.getLogger("redis_quota")


class Auto:
    """The type of AUTO: an id is made for this call, so that it can be repeated."""


AUTO: Final = Auto()
Id = str | Auto | None


def new_id() -> str:
    """A UUID of version 7: 48 bits of Unix milliseconds, then 74 random ones."""
    stamp = now_ms()
    number = (stamp << 80) | (0x7 << 76) | (random_bits(12) << 64) | (0b10 << 62) | random_bits(62)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def random_bits(count: int) -> int:
    """From the system's source: ids of several processes must not meet."""
    return int.from_bytes(os.urandom(8)) >> (64 - count)


def options(**given: Any) -> list[Word]:
    """Words of options: True is the name alone; None, False and an empty value leave it out."""
    words: list[Word] = []
    for name, value in given.items():
        if value is None or value is False or value == "":
            continue
        words += [name.rstrip("_").upper(), *([] if value is True else value if isinstance(value, list) else [value])]
    return words


class Request(NamedTuple):
    """What a decision needs beside its command."""

    key: str  # the key that it is about
    words: tuple[Word, ...]
    shape: Callable[[Any], Any]
    repeatable: bool  # a second execution changes nothing
    wait_s: float = 0


class Core(Observed):
    """State of one client; `Quota` and `AsyncQuota` add how steps are performed."""

    _new_lock: Callable[[], Any]

    def _set_up(self, on_error: OnError, clients: int, clock: Callable[[], float], dice: Callable[[], float],
                metrics: "ClientMetrics | None") -> None:
        self.on_error: OnError = on_error
        self._clock, self._dice = clock, dice
        self._denials, self._local, self.backlog = Denials(clock), Local(clients, clock), Backlog()
        self._names: dict[tuple[str, ...], tuple[float, dict[int, Named]]] = {}
        self._is_cluster = False
        self._away_until = -1.0  # calls with another answer make one attempt until then
        self._observers = observers_of(metrics)
        if metrics:
            metrics.attach(self.backlog)

    def _seen(self, steps: Callable[..., Steps[T]], *args: Any, **options: Any) -> Steps[T]:
        """The steps of a call, with the observers around them."""
        made = steps(self, *args, **options)
        if not (observers := awake(self._observers)):
            return made
        return watched(observers, steps.__name__, arguments_of(steps, self, args, options), made)

    # ---- sending ----------------------------------------------------------------------------------------------------

    def _send(self, send: Send, repeatable: bool, retries: int = RETRIES) -> Steps[Any]:
        """The reply. Repeats 3 times after 50 ms x 2^n, plus or minus half: always where no connection was made, after
        a lost reply only a repeatable command. Raises Unavailable when no attempt was answered."""
        was_sent = False
        for attempt in range(retries + 1):
            try:
                return (yield send)
            except NotSent as error:
                why: Exception = error
            except NoReply as error:
                why, was_sent = error, True
                if not repeatable:
                    break
            except QuotaError as error:
                if not error.repeatable or attempt == retries:
                    raise
                why = error
            if attempt < retries:
                yield Sleep(RETRY_BASE_S * 2**attempt * (0.5 + self._dice()))
        if isinstance(why, QuotaError):
            raise why
        self._away_until = self._clock() + AWAY_S
        raise Unavailable(str(why), was_sent) from None

    def _call(self, *words: Word, key: str | None = None, node: Any = None, repeatable: bool = False,
              wait_s: float = 0, retries: int = RETRIES) -> Steps[Any]:
        """One command, and behind it the posting of what was admitted while the server was away."""
        reply = yield from self._send(Send(words, key, node, wait_s), repeatable, retries)
        if len(self.backlog):
            yield from self._post()
        return reply

    def _write(self, *words: Word, key: str, repeatable: bool = False, retries: int = RETRIES) -> Steps[Any]:
        """A command that may give units back or change rules: denials of this key are forgotten."""
        reply = yield from self._call(*words, key=key, repeatable=repeatable, retries=retries)
        self._denials.forget(key)
        return reply

    def _retries(self, mode: OnError) -> int:
        """How often a call is repeated that is answered in this way without the server."""
        return 0 if mode != "closed" and self._clock() < self._away_until else RETRIES

    def _decide(self, request: Request, on_error: OnError | None, fallback: Fallback[T]) -> Steps[Any | T]:
        """The decoded reply; without one what `fallback` says, which is not called where the call fails closed. It
        raises Undecided where it cannot say anything.

        Where there is a fallback, calls do not repeat for a second after one that has found no server.
        """
        mode = on_error or self.on_error
        try:
            reply = yield from self._call(*request.words, key=request.key, repeatable=request.repeatable,
                                          wait_s=request.wait_s, retries=self._retries(mode))
        except Unavailable as error:
            if mode == "closed":
                raise
            log.warning("the server is away, decided %s: %s", mode, error)
            return without(error, fallback, mode)
        return request.shape(reply)

    # ---- rate limits ------------------------------------------------------------------------------------------------

    @Call
    def allow(self, key: str, rules: Rules | None = None, *, policy: str | None = None, subject: str | None = None,
              address: str | None = None, cost: int | Sequence[int] = 1, upto: bool = False, peek: bool = False,
              force: bool = False, wait: str | None = None, block: str | None = None,
              on_error: OnError | None = None) -> Steps[Verdict]:
        """Checks rate limits on a key by `rules` ("10 1s", or several) or by a `policy`; -> the verdict.

        `cost`: units, or one number for each rule. `upto` grants what is left, `peek` changes nothing, `force` takes
        them into debt. `wait`: stand in line for at most so long, on a connection of its own. `block`: after a denial
        refuse everything on the key for so long. Raises BadCommand, NoPolicy, WrongType; Unavailable where the call
        fails closed.
        """
        if not policy and not rules:
            raise ValueError("allow needs rules or a policy")
        what = ["POLICY", policy, *options(subject=subject, address=address)] if policy else words_of(rules or "")
        costs = [cost] if isinstance(cost, int) else list(cost)
        name = tuple(what)
        if isinstance(cost, int) and not (force or upto or peek or wait or block):
            known = self._denials.find(key, name, cost)
            if known is not None:
                return known
        words = ("RL.ALLOW", key, *what, "COST", *costs,
                 *options(upto=upto, peek=peek, force=force, wait=wait, block=block))
        wait_s = seconds(wait)

        def decided_here(mode: OnError, _sent: bool) -> Verdict:
            most = max(costs)
            if mode == "open":
                return admitted_without(most)
            known = self._names_known("policy", policy) if policy else of_texts("", rules or "")
            return self._local.admit_all([((key, name), numbered(known), most)], charge=not peek)[0]

        verdict = yield from self._decide(Request(key, words, replies.verdict, peek, wait_s), on_error, decided_here)
        if not verdict and verdict.source == "server" and isinstance(cost, int) and not (force or peek or block):
            self._denials.keep(key, name, 1 if upto else cost, verdict)
        if policy and (on_error or self.on_error) == "local":
            yield from self._learn("policy", policy)
        return verdict

    @Call
    def mallow(self, limits: Mapping[str, Rules], *, all: bool = False, cost: int = 1, peek: bool = False,
               on_error: OnError | None = None) -> Steps[dict[str, Verdict]]:
        """Checks many keys in one call, each by its rules; with `all` every key admits or none is charged.

        In a cluster the keys have one hash tag. At most 1,000 keys. Raises Unavailable where the call fails closed.
        """
        keys = list(limits)
        withs = [word for key in keys for word in ("WITH", *words_of(limits[key]))]
        words = ("RL.MALLOW", len(keys), *keys, *withs, *options(all=all, cost=cost, peek=peek))

        def decided_here(mode: OnError, _sent: bool) -> dict[str, Verdict]:
            if mode == "open":
                return dict.fromkeys(keys, admitted_without(cost))
            requests = [((key, tuple(words_of(limits[key]))), numbered(of_texts("", limits[key])), cost)
                        for key in keys]
            together = [requests] if all else [[request] for request in requests]
            found = [verdict for some in together for verdict in self._local.admit_all(some, charge=not peek)]
            return dict(zip(keys, found, strict=True))

        return (yield from self._decide(Request(keys[0], words, each_of(keys), peek), on_error, decided_here))

    @Call
    def table(self, key: str, rules: Rules) -> Steps[None]:
        """Makes a limiter table, one set of rules for any number of subjects, or changes its rules."""
        yield from self._write("RL.TABLE", key, *words_of(rules), key=key, repeatable=True)

    @Call
    def take(self, key: str, subject: str, *, cost: int = 1, upto: bool = False, peek: bool = False,
             force: bool = False, on_error: OnError | None = None) -> Steps[Verdict]:
        """Checks a table's rules for one subject; -> the verdict. "local" knows no table: it fails closed there."""
        words = ("RL.TAKE", key, subject, *options(cost=cost, upto=upto, peek=peek, force=force))
        plain = not (upto or peek or force)
        known = self._denials.find(key, ("take", subject), cost) if plain else None
        if known is not None:
            return known
        verdict = yield from self._decide(
            Request(key, words, replies.verdict, peek), on_error,
            lambda mode, _sent: self._open_only(mode, admitted_without(cost)))
        if plain and not verdict:
            self._denials.keep(key, ("take", subject), cost, verdict)
        return verdict

    @Call
    def mtake(self, key: str, subjects: Sequence[str], *, cost: int = 1, peek: bool = False,
              on_error: OnError | None = None) -> Steps[dict[str, Verdict]]:
        """Checks a table's rules for many subjects, each for itself; -> a verdict for each. At most 1,000. "local"
        fails closed, as for `take`."""
        words = ("RL.MTAKE", key, len(subjects), *subjects, *options(cost=cost, peek=peek))
        return (yield from self._decide(
            Request(key, words, each_of(subjects), peek), on_error,
            lambda mode, _sent: self._open_only(mode, dict.fromkeys(subjects, admitted_without(cost)))))

    @Call
    def give_back(self, key: str, amount: int, *, rule: int | None = None, age: str | None = None) -> Steps[int]:
        """Gives units back to a key's rate limits; -> units returned. `age`: they were taken that long ago."""
        return int((yield from self._write("RL.REFUND", key, amount, *options(rule=rule, age=age), key=key)))

    @Call
    def block(self, key: str, duration: str) -> Steps[None]:
        """Refuses everything on a key for a while; "0" ends that."""
        yield from self._write("RL.BLOCK", key, duration, key=key, repeatable=True)

    # ---- leases, breakers -------------------------------------------------------------------------------------------

    @Call
    def take_lease(self, key: str, limit: int, ttl: str, *, id: Id = AUTO, cost: int = 1,
                   wait: str | None = None) -> Steps[Leased]:
        """Takes a lease where the units held at once stay within `limit`; -> verdict, id, fencing token.

        `acquire` is the same as a context manager. `wait`: stand in line for at most so long.
        """
        name = id_of(id)
        reply = yield from self._call("RL.ACQUIRE", key, limit, ttl, *options(id=name, cost=cost, wait=wait), key=key,
                                      repeatable=name is not None,
                                      wait_s=seconds(wait))
        return replies.leased(reply)

    @Call
    def renew(self, key: str, id: str, ttl: str, *, token: int | None = None) -> Steps[int]:
        """A lease lasts `ttl` from now on; -> its expiry in Unix ms. With `token` only if the lease still has it."""
        return int((yield from self._call("RL.RENEW", key, id, ttl, *options(token=token), key=key, repeatable=True)))

    @Call
    def release(self, key: str, id: str, *, token: int | None = None) -> Steps[bool]:
        """Ends a lease; -> whether there was a live one. With `token` only if the lease still has it."""
        return bool((yield from self._call("RL.RELEASE", key, id, *options(token=token), key=key, repeatable=True)))

    @Call
    def breaker(self, key: str, settings: str = "") -> Steps[Verdict]:
        """Whether a call may be made through a circuit breaker; `settings` as RL.BREAKER takes them.

        ("FAILURES 5 OPEN 30s"). Say with `report` what became of the call.
        """
        return replies.verdict((yield from self._call("RL.BREAKER", key, *settings.split(), key=key)))

    @Call
    def report(self, key: str, ok: bool, *, took: str | None = None) -> Steps[str]:
        """Reports a call to a circuit breaker, and how long it took; -> the state after it."""
        words = ("RL.BREAKER", key, "REPORT", "OK" if ok else "FAIL", *options(took=took))
        return str(replies.text((yield from self._call(*words, key=key))))

    # ---- consumption ------------------------------------------------------------------------------------------------

    @Call
    def consume(self, account: str, resource: str, amount: int = 1, *, id: Id = None, key: str | None = None,
                scope: str | None = None, upto: bool = False, check: bool = False, force: bool = False,
                sticky: bool = False, on_error: OnError | None = None) -> Steps[Verdict]:
        """Uses units of a resource where its rates, limits and credits admit them; -> the verdict.

        `id`: a repeat with it is charged once; AUTO makes one. `key`: the SHA-256 of an API key, which `scope` has to
        be granted to. `upto` grants what is left, `check` changes nothing, `force` charges whatever the limits say,
        `sticky` remembers a denial under the id, too. Raises NoAccount, NoResource, Suspended, NoKey, NoScope,
        IdConflict; Unavailable where the call fails closed.
        """
        mode = on_error or self.on_error
        given = isinstance(id, str)
        name = id_of(AUTO if id is None and mode != "closed" and not check else id)
        plain, what = not (given or upto or check or force or sticky), (resource, key, scope)
        known = self._denials.find(account, what, amount) if plain else None
        if known is not None:
            return known
        words = ("QUOTA.CONSUME", account, resource, amount, *options(
            id=name, upto=upto, check=check, force=force, sticky=sticky, apikey=key, scope=scope))
        at = now_ms()

        def decided_here(mode: OnError, _sent: bool) -> Verdict:
            return self._admit(mode, [Row(account, resource, amount, str(name), at)], check, key)[0]

        verdict = yield from self._decide(
            Request(account, words, replies.verdict, check or name is not None), on_error, decided_here)
        if verdict.source == "server":
            if not verdict and not (given or check or sticky):
                self._denials.keep(account, what, 1 if upto else amount, verdict)
            if mode == "local":
                yield from self._learn("account", account, resource)
        return verdict

    @Call
    def mconsume(self, account: str, amounts: Mapping[str, int], *, any: bool = False, id: Id = None,
                 check: bool = False, sticky: bool = False, key: str | None = None, scope: str | None = None,
                 on_error: OnError | None = None) -> Steps[dict[str, Verdict]]:
        """Uses units of several resources: all or none, or with `any` the first that admits; -> a verdict for each.

        Options and errors are those of `consume`.
        """
        mode = on_error or self.on_error
        name = id_of(AUTO if id is None and mode != "closed" and not check else id)
        words = ("QUOTA.MCONSUME", account, len(amounts), *(word for row in amounts.items() for word in row),
                 *options(any=any, id=name, check=check, sticky=sticky, apikey=key, scope=scope))
        rows = [Row(account, resource, amount, str(name), now_ms()) for resource, amount in amounts.items()]
        in_doubt = [replace(row, first=words) for row in rows]
        self.backlog.put_behind(rows, words)  # what is queued under this id may be charged by the caller's repeat

        def decided_here(mode: OnError, sent: bool) -> dict[str, Verdict]:
            given = in_doubt if sent else rows
            verdicts = self._admit_first(mode, given, check, key) if any else self._admit(mode, given, check, key)
            return dict(zip(amounts, verdicts, strict=True))

        verdicts = yield from self._decide(
            Request(account, words, each_of(amounts), check or name is not None), on_error, decided_here)
        if mode == "local":
            for resource, verdict in verdicts.items():
                if verdict.source == "server":
                    yield from self._learn("account", account, resource)
        return verdicts

    @Call
    def check(self, account: str, amounts: Mapping[str, int], *, key: str | None = None,
              scope: str | None = None) -> Steps[dict[str, Verdict]]:
        """What requests for units would be answered; nothing is charged. A verdict for each resource."""
        rows = [word for row in amounts.items() for word in row]
        reply = yield from self._call("QUOTA.CHECK", account, *rows, *options(apikey=key, scope=scope), key=account,
                                      repeatable=True)
        return dict(zip(amounts, map(replies.verdict, reply), strict=True))

    @Call
    def refund(self, account: str, resource: str, amount: int, *, of: str | None = None, id: Id = None,
               reason: str = "") -> Steps[Refunded]:
        """Gives units back, to the cycles of the consumption `of`; -> what went back, what did not, what remains."""
        name = id_of(id)
        reply = yield from self._write("QUOTA.REFUND", account, resource, amount,
                                       *options(of=of, id=name, reason=reason), key=account,
                                       repeatable=name is not None)
        return Refunded(*reply)

    @Call
    def refund_all(self, account: str, of: str, *, id: Id = None, reason: str = "") -> Steps[list[Refunded]]:
        """Gives back all that is left of the consumption `of`, of every resource that it had."""
        name = id_of(id)
        reply = yield from self._write("QUOTA.REFUND", account, "ALL", *options(of=of, id=name, reason=reason),
                                       key=account, repeatable=name is not None)
        rows = reply if reply and isinstance(reply[0], list) else [reply]
        return [Refunded(*row) for row in rows]

    @Call
    def hold(self, account: str, id: str, amounts: Mapping[str, int], *, ttl: str, upto: bool = False,
             key: str | None = None, scope: str | None = None) -> Steps[dict[str, Verdict]]:
        """Reserves units of one or several resources, all or none; -> a verdict for each.

        `reserve` is the same for one resource as a context manager. Always fails closed.
        """
        return (yield from self._hold(account, id, amounts, RETRIES, ttl=ttl, upto=upto, apikey=key, scope=scope))

    def _hold(self, account: str, id: str, amounts: Mapping[str, int], retries: int,
              **given: Any) -> Steps[dict[str, Verdict]]:
        rows = [word for row in amounts.items() for word in row]
        reply = yield from self._call("QUOTA.RESERVE", account, id, *rows, *options(**given), key=account,
                                      repeatable=True, retries=retries)
        verdicts = [reply] if len(amounts) == 1 else reply
        return dict(zip(amounts, map(replies.verdict, verdicts), strict=True))

    @Call
    def commit_hold(self, account: str, id: str, *amounts: int, force: bool = False) -> Steps[list[Settled]]:
        """Charges a reservation or parts of it, in the order of its resources; with `force` also more. Always fails
        closed."""
        return (yield from self._commit(account, id, amounts, force, RETRIES))

    def _commit(self, account: str, id: str, amounts: Sequence[int], force: bool,
                retries: int) -> Steps[list[Settled]]:
        reply = yield from self._write("QUOTA.COMMIT", account, id, *amounts, *options(force=force), key=account,
                                       repeatable=True, retries=retries)
        return [Settled(*row) for row in (reply if isinstance(reply[0], list) else [reply])]

    @Call
    def release_hold(self, account: str, id: str) -> Steps[list[Settled]]:
        """Releases a reservation: its units go back."""
        reply = yield from self._write("QUOTA.RELEASE", account, id, key=account, repeatable=True)
        return [Settled(*row) for row in (reply if isinstance(reply[0], list) else [reply])]

    @Call
    def extend_hold(self, account: str, id: str, duration: str) -> Steps[int]:
        """A live reservation expires so long from now; -> its expiry in Unix ms."""
        return int((yield from self._call("QUOTA.EXTEND", account, id, duration, key=account, repeatable=True)))

    # ---- accounts, plans, policies ----------------------------------------------------------------------------------

    @Call
    def open(self, account: str, plan: str, *, anchor: Word | None = None, zone: str | None = None,
             expires: Word | None = None, then: str | None = None, parent: str | None = None,
             reason: str = "") -> Steps[None]:
        """Opens an account on a plan; the same again changes nothing. Raises NoPlan, NoAccount (of the parent)."""
        yield from self._write("QUOTA.OPEN", account, plan, *options(
            anchor=anchor, zone=zone, expires=expires, then=then, parent=parent, reason=reason), key=account,
            repeatable=True)

    @Call
    def switch(self, account: str, plan: str, *, how: Literal["PRORATE", "FULL", "END"] = "PRORATE",
               at: Word | None = None, restart: bool = False, reason: str = "") -> Steps[None]:
        """Moves an account to another plan, now or `at` an instant. `restart`: its running cycles close at once."""
        yield from self._write("QUOTA.SWITCH", account, plan, how, *options(at=at, restart=restart, reason=reason),
                               key=account)

    @Call
    def info(self, account: str, *resources: str) -> Steps[dict[str, Any]]:
        """An account as of now: plan, state, and by resource its rules. Of one resource named alone its map."""
        reply = yield from self._call("QUOTA.INFO", account, *resources, key=account, repeatable=True)
        shape = replies.resource if len(resources) == 1 else replies.account
        return shape(reply)  # type: ignore[no-any-return]

    @Call
    def grant(self, account: str, id: str, resource: str, amount: int, *, effective: Word | None = None,
              expires: Word | None = None, priority: int | None = None, promo: bool = False, every: str | None = None,
              once: bool = False, reason: str = "") -> Steps[Granted]:
        """Gives credits; the same id again gives no more. -> credits left, and units that paid for overage."""
        reply = yield from self._write("QUOTA.GRANT", account, id, resource, amount, *options(
            effective=effective, expires=expires, priority=priority, promo=promo, every=every, once=once,
            reason=reason), key=account, repeatable=True)
        return Granted(*reply)

    @Call
    def void(self, account: str, id: str, *, reason: str = "") -> Steps[int]:
        """Ends a grant; -> units taken out. What is held or spent stays."""
        return int((yield from self._write("QUOTA.VOID", account, id, *options(reason=reason), key=account)))

    @Call
    def grants(self, account: str, resource: str | None = None) -> Steps[list[dict[str, Any]]]:
        """All grants of an account, or of one resource, in the order in which they were given."""
        found, cursor = list[dict[str, Any]](), None
        while True:
            reply = yield from self._call("QUOTA.GRANTS", account, *options(
                resource=resource, count=PAGE, after=cursor), key=account, repeatable=True)
            cursor, rows = replies.page(reply)
            found += rows
            if cursor is None:
                return found

    @Call
    def history(self, account: str, resource: str, *, period: str | None = None, since: Word | None = None,
                until: Word | None = None, count: int | None = None,
                with_plan: bool = False) -> Steps[list[dict[str, Any]]]:
        """Closed cycles of a resource, the newest first; `since` and `until` bound when they begin."""
        given = options(period=period, from_=since, to=until, count=count, withplan=with_plan)
        return (yield from self._list("QUOTA.HISTORY", account, resource, *given))

    @Call
    def forecast(self, account: str, resource: str) -> Steps[list[dict[str, Any]]]:
        """The running cycles carried on at their rate, a map for each LIMIT."""
        return (yield from self._list("QUOTA.FORECAST", account, resource))

    @Call
    def bill(self, account: str, at: Word | None = None) -> Steps[list[dict[str, Any]]]:
        """What the cycles cost in which `at` lies (default: now), in millionths; a map for each priced resource."""
        return (yield from self._list("QUOTA.BILL", account, *options(at=at)))

    def _list(self, command: str, account: str, *words: Word) -> Steps[list[dict[str, Any]]]:
        reply = yield from self._call(command, account, *words, key=account, repeatable=True)
        found: list[dict[str, Any]] = replies.maps(reply)
        return found

    @Call
    def verify(self, account: str, key: str, scope: str | None = None) -> Steps[None]:
        """Returns where the API key (its SHA-256) lives and has the scope. Raises NoKey, NoScope."""
        yield from self._call("QUOTA.APIKEY", "VERIFY", account, key, *options(scope=scope), key=account,
                              repeatable=True)

    @Call
    def set_plan(self, plan: str, resource: str, rules: Rules) -> Steps[int]:
        """Sets the rules of one resource of a plan on every primary; -> the revision, the largest of theirs."""
        return (yield from self._everywhere("QUOTA.PLAN", "SET", plan, resource, *words_of(rules)))

    @Call
    def set_policy(self, name: str, rules: Rules) -> Steps[int]:
        """Defines a policy on every primary; -> the revision, the largest of theirs."""
        return (yield from self._everywhere("RL.POLICY", "SET", name, *words_of(rules)))

    @Call
    def policy(self, name: str) -> Steps[dict[str, Any]]:
        """A policy: rules, schedules, exceptions. Raises NoPolicy."""
        found: dict[str, Any] = replies.policy((yield from self._call("RL.POLICY", "GET", name, repeatable=True)))
        return found

    def _everywhere(self, *words: Word) -> Steps[int]:
        reply = yield from self._call(*words, node="all")
        return int(max(reply) if isinstance(reply, list) else reply)

    @Call
    def read_events(self, after: str = "0-0", *, count: int = 100, wait: str | None = None,
                    account: str | None = None, type: str | None = None, node: Any = None) -> Steps[list[Event]]:
        """Events behind an id, at most `count`; `wait` for one at most so long. `node`: a primary of a cluster.

        `events` iterates over them.
        """
        reply = yield from self._call(
            "QUOTA.EVENTS", "READ", *options(after=after, count=count, wait=wait, account=account, type=type),
            node=node, repeatable=True, wait_s=seconds(wait))
        return [replies.event(row) for row in reply]

    @Call
    def execute(self, *words: Word, key: str | None = None, repeatable: bool = False) -> Steps[Any]:
        """Any other command: its reply as redis-py gives it, errors as our classes. `key` routes it in a cluster."""
        return (yield from self._call(*words, key=key, repeatable=repeatable))

    # ---- names of rules, for header fields and for "local" ----------------------------------------------------------

    @Call
    def rule_names(self, kind: Literal["account", "policy"], name: str, resource: str = "") -> Steps[dict[int, Named]]:
        """By verdicts' numbers: names and rules of an account's resource, or of a policy; kept for a minute."""
        return (yield from self._learn(kind, name, *([resource] if resource else [])))

    def _learn(self, kind: str, name: str, *resource: str) -> Steps[dict[int, Named]]:
        kept = self._names.get((kind, name, *resource))
        if kept and self._clock() - kept[0] < NAMES_S:
            return kept[1]
        try:
            if kind == "policy":
                found = of_policy(replies.policy((yield Send(("RL.POLICY", "GET", name)))))
            else:
                reply = yield Send(("QUOTA.INFO", name, *resource), name)
                found = of_resource(resource[0], replies.resource(reply)["rules"])
        except (NotSent, NoReply) as error:
            log.debug("rules of %s %s are not known: %s", kind, name, error)
            return kept[1] if kept else {}
        except redis.RedisError as error:  # such as no right to read them: what was decided stays
            log.warning("rules of %s %s are not known: %s", kind, name, error)
            found = kept[1] if kept else {}
        if len(self._names) >= NAMES_MAX:
            self._names.clear()
        self._names[kind, name, *resource] = self._clock(), found
        return found

    def _names_known(self, *name: str) -> dict[int, Named]:
        kept = self._names.get(name)
        return kept[1] if kept else {}

    # ---- while the server is away -----------------------------------------------------------------------------------

    def _open_only(self, mode: OnError, answer: T) -> T:
        if mode != "open":
            raise Undecided("this call cannot be decided without the server")
        return answer

    def _admit_here(self, mode: OnError, rows: Sequence[Row], key: str | None, charge: bool = True) -> list[Verdict]:
        """An admission of all rows, or none, by this process; not of what could not be queued, nor of what comes with
        an API key, which cannot be verified here."""
        if key:
            raise Undecided("only the server knows the API keys")
        if not self.backlog.has_room(len(rows)):
            raise Undecided("no more usage can be remembered for the server")
        if mode == "open":
            return [admitted_without(row.amount) for row in rows]
        return self._local.admit_all([
            ((row.account, row.resource), numbered(self._names_known("account", row.account, row.resource)),
             row.amount) for row in rows], charge)

    def _admit(self, mode: OnError, rows: Sequence[Row], check: bool, key: str | None) -> list[Verdict]:
        """The same; what is admitted is queued."""
        verdicts = self._admit_here(mode, rows, key, charge=not check)
        if all(verdicts) and not check:
            self.backlog.add(*rows)
        return verdicts

    def _admit_first(self, mode: OnError, rows: Sequence[Row], check: bool, key: str | None) -> list[Verdict]:
        """The same of the first row that is admitted: those behind it are not used."""
        verdicts = list[Verdict]()
        for row in rows:
            verdicts += self._admit(mode, [row], check, key)
            if verdicts[-1]:
                break
        unused = Verdict(0, -1, -1, 0, -1, -1, verdicts[-1].source)
        return verdicts + [unused] * (len(rows) - len(verdicts))

    @Call
    def flush(self) -> Steps[int]:
        """Posts what was admitted without the server; -> how many rows are still to be posted.

        Every call that the server answers does this, too. Call it before the process ends.
        """
        yield from self._post()
        return len(self.backlog)

    def _post(self) -> Steps[None]:
        """One INGEST for at most 1,000 rows; in a cluster one for each slot. Rows that were counted before answer 0, or
        IDCONFLICT where the first attempt had arrived: both are done. Without an answer they stay."""
        rows = self.backlog.begin()
        try:
            rows = yield from self._post_first(rows)
            for batch in batches(rows, self._is_cluster):
                words = [word for row in batch for word in row.words()]
                reply = yield Send(("QUOTA.INGEST", *words), batch[0].account)
                self.backlog.done(row for row, answer in zip(batch, reply, strict=True) if is_settled(row, answer))
        except (NotSent, NoReply, redis.RedisError) as error:  # the call before it has its reply, whatever this says
            log.warning("rows of usage to be posted later: %d (%s)", len(rows), error)
        finally:
            self.backlog.end()


    def _post_first(self, rows: list[Row]) -> Steps[list[Row]]:
        """Repeats the commands that may have charged rows already; -> the rows that are to be posted all the same."""
        left = [row for row in rows if not row.first]
        for first in dict.fromkeys(row.first for row in rows if row.first):
            about = [row for row in rows if row.first == first]
            try:
                was_charged = has_charged((yield Send(first, about[0].account)))
            except QuotaError as error:
                if error.status == Unavailable.status:
                    continue  # they wait for the next time
                was_charged = isinstance(error, Resolved) and "committed" in error.text
            if was_charged:
                self.backlog.done(about)
            else:
                self.backlog.put_behind(about, ())
                left += about
        return left


class Undecided(Exception):
    """This process cannot decide in place of the server."""


def without(away: Unavailable, fallback: Fallback[T], mode: OnError) -> T:
    """What the fallback says. Unavailable where it is Undecided, as to what was sent like `away`."""
    try:
        return fallback(mode, away.sent)
    except Undecided as why:
        raise Unavailable(f"the server gave no answer, and {why}", away.sent) from away


FIRST_OTHER_PART = 100  # a verdict's numbers from here on: schedules of a policy, accounts above


def numbered(names: Mapping[int, Named]) -> list[tuple[int, Rule]]:
    """The rules that "local" goes by. Undecided: there is none."""
    found = [(number, named.rule) for number, named in names.items() if named.rule and number < FIRST_OTHER_PART]
    if not found:
        raise Undecided("the rules are not known here")
    return found


def each_of(names: Iterable[str]) -> Callable[[Any], dict[str, Verdict]]:
    """The shape of a reply that has a verdict for each of these."""
    return lambda reply: dict(zip(names, map(replies.verdict, reply), strict=True))


def has_charged(reply: Any) -> bool:
    """Whether a repeated command has charged its units, now or before: COMMIT has, MCONSUME unless all are denied."""
    verdicts = reply if isinstance(reply[0], list) else [reply]
    return any(verdict[0] for verdict in verdicts)


def is_settled(row: Row, answer: Any) -> bool:
    """Whether a row needs no further attempt; one that can never be counted is logged."""
    if not isinstance(answer, Exception):
        return True
    error = typed(answer)
    if isinstance(error, IdConflict):
        return True  # the first attempt had arrived
    if isinstance(error, QuotaError) and (error.status == Unavailable.status or "future" in error.text):
        return False
    log.error("usage of %s %s %d (id %s) cannot be counted: %s", row.account, row.resource, row.amount, row.id, error)
    return True


def batches(rows: Sequence[Row], is_cluster: bool) -> Iterable[list[Row]]:
    """Rows of one INGEST each."""
    by_slot: dict[int, list[Row]] = {}
    for row in rows:
        by_slot.setdefault(key_slot(row.account.encode()) if is_cluster else 0, []).append(row)
    for group in by_slot.values():
        for first in range(0, len(group), ROWS_OF_INGEST):
            yield group[first:first + ROWS_OF_INGEST]


def observers_of(metrics: "ClientMetrics | None") -> list[Observer]:
    """Spans, where opentelemetry-api is installed, and the metrics that were given."""
    try:
        from .spans import Spans  # noqa: PLC0415
        found: list[Observer] = [Spans()]
    except ImportError:
        found = []
    return [*found, *([metrics] if metrics else [])]


def id_of(id: Id) -> str | None:
    """The id to send."""
    return new_id() if isinstance(id, Auto) else id


def now_ms() -> int:
    """Unix milliseconds: the instant of usage that is counted later."""
    return time.time_ns() // 1_000_000


def seconds(wait: str | None) -> float:
    """How long the server may hold a reply back."""
    return ((duration_us(wait) or 0) / 1e6) if wait else 0
