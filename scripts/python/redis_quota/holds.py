"""What is held for a while, as context managers: a reservation, a lease, and a client's own stock of units.

    with quota.reserve("acme", "tokens", 4000, ttl="10m") as hold:       hold.commit(5100, force=True)
    with quota.acquire("printers", 5, "30s") as lease:                   lease.token, lease.renew()
    with quota.lease("acme", "api_calls", chunk=50, age="10s") as stock: stock.take()

                   take take take …      age over, or the end
    CONSUME 50 UPTO ID c ─▶ 49 48 47 … ─▶ REFUND 47 OF c ID c-back        never over; under by at most a chunk a client

Each has a sync and an async class with the same methods; what they do stands once in the class that both share.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from . import replies
from .core import AUTO, Core, Id, OnError, Word, id_of, log, new_id, now_ms, without
from .errors import BadCommand, Denied, NoSuchId, QuotaError, Unavailable
from .memory import Row
from .observe import arguments_of, awake, watched
from .rules import duration_us
from .steps import Async, Call, Enter, Observed, Steps, Sync
from .verdict import Leased, Settled, Verdict, admitted_without

T = TypeVar("T")
OF_HELD = ("account", "resource", "amount", "key", "id", "cost")  # fields that observers are shown


class Held(Observed):
    """What begins and ends by steps."""

    quota: Core
    account: str
    resource: str
    called = ""  # what its beginning is called in spans and metrics

    def _seen(self, steps: Callable[..., Steps[T]], *args: Any, **options: Any) -> Steps[T]:
        """The steps of a method, with the client's observers around them."""
        made, name = steps(self, *args, **options), steps.__name__
        observers = awake(self.quota._observers)
        if not observers or name == "close":
            return made
        about: dict[str, Any] = {field: vars(self)[field] for field in OF_HELD if field in vars(self)}
        about |= arguments_of(steps, self, args, options)
        return watched(observers, self.called if name == "begin" else f"{self.called}.{name}", about, made)

    def _begin(self) -> Steps[None]:
        raise NotImplementedError

    def _end(self) -> Steps[None]:
        raise NotImplementedError

    @Call
    def begin(self) -> Steps[Self]:
        """What entering `with` does, where no block fits. `close` ends it."""
        yield from self._begin()
        return self

    @Call
    def close(self) -> Steps[None]:
        """What leaving `with` does."""
        yield from self._end()


class SyncHeld(Sync, Held):
    """`with`."""

    quota: Any

    def _perform_send(self, send: Any) -> Any:
        return self.quota._perform_send(send)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._drive(self._end())


class AsyncHeld(Async, Held):
    """`async with`."""

    quota: Any

    async def _perform_send(self, send: Any) -> Any:
        return await self.quota._perform_send(send)

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self._drive(self._end())


class HoldCore(Held):
    """Units reserved until they are committed; true where they were. Left without commit they are released.

    `verdict`: the answer, from entry on. `id`: the reservation's id; a second `reserve` with it is the same one.
    """

    called = "reserve"

    def __init__(self, quota: Core, account: str, resource: str, amount: int, *, ttl: str, id: Id = AUTO,
                 upto: bool = False, key: str | None = None, scope: str | None = None,
                 on_error: OnError | None = None) -> None:
        self.quota, self.account, self.resource, self.amount = quota, account, resource, amount
        self.id, self._ttl, self._upto, self._key, self._scope = id_of(id) or new_id(), ttl, upto, key, scope
        self._mode: OnError = on_error or quota.on_error
        self.verdict: Verdict | None = None
        self._is_ours = True  # nothing was done that a release would undo wrongly

    def __bool__(self) -> bool:
        return bool(self.verdict)

    @property
    def _is_apart(self) -> bool:
        """Admitted without the server, which may know no such reservation."""
        return bool(self.verdict) and self.verdict is not None and self.verdict.source != "server"

    def _begin(self) -> Steps[None]:
        self._at = now_ms()
        try:
            verdicts = yield from self.quota._hold(
                self.account, self.id, {self.resource: self.amount}, self.quota._retries(self._mode), ttl=self._ttl,
                upto=self._upto, apikey=self._key, scope=self._scope)
            self.verdict = verdicts[self.resource]
        except Unavailable as error:
            if self._mode == "closed":
                raise
            self.verdict = without(error, lambda mode, _sent: self.quota._admit_here(
                mode, [self._row(self.amount)], self._key)[0], self._mode)
        else:
            if self._mode == "local":
                yield from self.quota._learn("account", self.account, self.resource)

    def _row(self, amount: int) -> Row:
        """Usage as of the reservation's beginning; a commit that arrives charges it, too."""
        first = ("QUOTA.COMMIT", self.account, self.id, amount, "FORCE")
        return Row(self.account, self.resource, amount, self.id, self._at, first)

    @Call
    def commit(self, amount: int | None = None, *, force: bool = False) -> Steps[Settled]:
        """Charges `amount` (default: all that is reserved) and releases the remainder; with `force` also more.

        A repeat answers the same. Raises Denied where nothing was reserved, BadCommand for more without `force`,
        Resolved where it has ended. Without an answer it is posted later where on_error is "open" or "local"; else it
        raises Unavailable: call it again, the reservation is kept.
        """
        if not self.verdict:
            raise Denied(f"nothing of {self.resource} was reserved for {self.account}", self.verdict)
        self._is_ours = False
        used = self.verdict.granted if amount is None else amount
        if self._is_apart:
            return (yield from self._commit_later(used, force))
        try:
            rows = yield from self.quota._commit(self.account, self.id, [] if amount is None else [amount], force,
                                                 self.quota._retries(self._mode))
            return rows[0]
        except Unavailable:
            if self._mode == "closed" or not self.quota.backlog.has_room(1):
                raise
        return (yield from self._commit_later(used, force))

    def _commit_later(self, amount: int, force: bool) -> Steps[Settled]:
        """By the commit where the server has the reservation, else as usage of its beginning."""
        held = self.verdict.granted if self.verdict else 0
        if amount > held and not force:
            raise BadCommand(f"amount: reservation '{self.id}' holds {held}; with FORCE more can be committed")
        if amount:
            self.quota.backlog.add(self._row(amount))
            yield from self.quota._post()
        else:
            yield from self._try_release()
        return Settled(amount, max(held - amount, 0), -1)

    def _try_release(self) -> Steps[None]:
        """One attempt: without it the reservation expires by itself."""
        try:
            yield from self.quota._call("QUOTA.RELEASE", self.account, self.id, key=self.account, retries=0)
            self.quota._denials.forget(self.account)
        except (QuotaError, Unavailable) as error:
            log.debug("reservation %s is not released: %s", self.id, error)

    @Call
    def extend(self, duration: str) -> Steps[int]:
        """It expires so long from now; -> its expiry in Unix ms. One that was admitted without the server expires
        nowhere: its usage is counted whenever it is committed."""
        try:
            return (yield from Core.extend_hold.steps(self.quota, self.account, self.id, duration))
        except (NoSuchId, Unavailable):
            if not self._is_apart:
                raise
            return now_ms() + (duration_us(duration) or 0) // 1000

    @Call
    def release(self) -> Steps[None]:
        """Gives all of it back now."""
        yield from self._end()

    def _end(self) -> Steps[None]:
        """Where the server is away meanwhile, the reservation expires by itself."""
        if self.verdict and self._is_ours:
            self._is_ours = False
            yield from self._try_release()


class LeaseCore(Held):
    """A lease of RL.ACQUIRE; true where it was granted. `token` is its fencing token, 0 where it was denied."""

    called = "acquire"

    def __init__(self, quota: Core, key: str, limit: int, ttl: str, *, id: Id = AUTO, cost: int = 1,
                 wait: str | None = None) -> None:
        self.quota, self.key, self.limit, self.ttl, self.cost, self._wait = quota, key, limit, ttl, cost, wait
        self.id, self.token, self.verdict = id_of(id) or new_id(), 0, None

    verdict: Verdict | None

    def __bool__(self) -> bool:
        return bool(self.verdict)

    def _begin(self) -> Steps[None]:
        leased: Leased = yield from Core.take_lease.steps(self.quota, self.key, self.limit, self.ttl, id=self.id,
                                                          cost=self.cost, wait=self._wait)
        self.verdict, self.token = leased.verdict, leased.token

    @Call
    def renew(self, ttl: str | None = None) -> Steps[int]:
        """It lasts `ttl` (default: as at first) from now on; -> its expiry in Unix ms. Raises NoSuchId where it has
        ended."""
        return (yield from Core.renew.steps(self.quota, self.key, self.id, ttl or self.ttl, token=self.token))

    @Call
    def release(self) -> Steps[None]:
        """Ends it now."""
        yield from self._end()

    def _end(self) -> Steps[None]:
        if not self.verdict:
            return
        self.verdict = None
        try:
            yield from Core.release.steps(self.quota, self.key, self.id, token=self.token)
        except (NoSuchId, Unavailable) as error:  # another one has it by now, or it ends by itself
            log.debug("lease %s is not released: %s", self.id, error)


class StockCore(Held):
    """Units of an account that this client took at once and counts down by itself.

    A chunk is charged when it is taken, so all clients together never use more than the limits admit. What is unused
    goes back when the chunk is `age` old, when it cannot serve a request, and at the end: meanwhile others miss it, at
    most a chunk for each client. Take chunks that are small against the limit: at most remaining / (2 x clients).
    Without the server what a client holds is used up; then `on_error` answers, and what it admits is posted later.
    """

    called = "lease"

    def __init__(self, quota: Core, account: str, resource: str, *, chunk: int = 50, age: str = "10s",
                 on_error: OnError | None = None) -> None:
        age_us = duration_us(age)
        if chunk < 1 or not age_us:
            raise ValueError(f"chunk is 1 or more and age a duration, not {chunk} and '{age}'")
        self.quota, self.account, self.resource, self.chunk = quota, account, resource, chunk
        self._age_s, self._lock, self._mode = age_us / 1e6, quota._new_lock(), on_error or quota.on_error
        self._left, self._id, self._since, self._last = 0, "", 0.0, admitted_without(0)
        self._own_id = ""  # of a request beside the stock
        self._is_going_back = False  # a refund was sent, and whether it has arrived is not known: nothing is taken
        self._pending: tuple[str, int] | None = None  # a chunk whose answer was lost: sent again with its id

    @property
    def left(self) -> int:
        """Units that this client still holds."""
        return self._left

    @Call
    def take(self, amount: int = 1) -> Steps[Verdict]:
        """Uses units, of the stock where it has them, else of a new chunk; -> the verdict, source "lease".

        `limit` and `remaining` are as of the last chunk. Denials are the server's. Raises what `consume` raises.
        """
        yield Enter(self._lock)
        self._own_id = ""
        try:
            return (yield from self._take(amount))
        except Unavailable as error:
            if self._mode == "closed":
                raise
            # No chunk's id: what a chunk whose answer was lost has charged is given back, or used, later.
            row = Row(self.account, self.resource, amount, self._own_id or new_id(), now_ms())
            return without(error, lambda mode, _sent: self.quota._admit(mode, [row], False, None)[0], self._mode)
        finally:
            self._lock.release()

    def _take(self, amount: int) -> Steps[Verdict]:
        is_old = self.quota._clock() - self._since >= self._age_s
        if self._is_going_back or (self._left and (self._left < amount or is_old)):
            yield from self._give_back()
        if self._left < amount:
            without_stock = yield from self._refill(amount)
            if without_stock:
                return without_stock[0]
        self._left -= amount
        return Verdict(amount, self._last.limit, self._last.remaining, 0, self._last.reset_ms, self._last.rule, "lease")

    def _act(self, *words: Word) -> Steps[Any]:
        """A command of this account that may be repeated."""
        return (yield from self.quota._write(*words, key=self.account, repeatable=True,
                                             retries=self.quota._retries(self._mode)))

    def _refill(self, amount: int) -> Steps[list[Verdict]]:
        """Takes a chunk that has `amount` units; where the server has fewer left -> [the verdict of a request for that
        amount alone]."""
        self._pending = self._pending or (new_id(), max(self.chunk, amount))
        id, wanted = self._pending
        began = self.quota._clock()
        verdict = replies.verdict((yield from self._act("QUOTA.CONSUME", self.account, self.resource, wanted, "ID", id,
                                                        "UPTO")))
        self._pending = None
        if not verdict:
            return [verdict]
        self._id, self._left, self._since, self._last = id, verdict.granted, began, verdict
        if self._mode == "local":
            yield from self.quota._learn("account", self.account, self.resource)
        if self._left >= amount:
            return []
        yield from self._give_back()
        self._own_id = new_id()  # units may have come back meanwhile: what is granted now is charged
        return [replies.verdict((yield from self._act("QUOTA.CONSUME", self.account, self.resource, amount, "ID",
                                                      self._own_id)))]

    def _give_back(self) -> Steps[None]:
        """Repeats are harmless: the refund has an id of its own for each chunk."""
        if self._left:
            self._is_going_back = True
            try:
                yield from self._act("QUOTA.REFUND", self.account, self.resource, self._left, "OF", self._id, "ID",
                                     f"{self._id}-back")
            except QuotaError as error:  # such as a plan's REFUNDS MAX: what is not taken back stays used
                log.warning("%d units of %s stay used: %s", self._left, self.resource, error)
            self._left = 0
        self._is_going_back = False

    def _begin(self) -> Steps[None]:
        """A chunk is taken with the first request."""
        yield from ()

    def _end(self) -> Steps[None]:
        """Where the server is away it raises Unavailable, with "open" and "local" it is logged; what is left stays
        used unless `close` is called again."""
        yield Enter(self._lock)
        try:
            if self._pending:
                yield from self._refill(0)
            yield from self._give_back()
        except Unavailable as error:
            if self._mode == "closed":
                raise
            log.warning("%d units of %s stay used: %s", self._left or self.chunk, self.resource, error)
        finally:
            self._lock.release()


class Hold(HoldCore, SyncHeld):
    """A reservation."""


class AsyncHold(HoldCore, AsyncHeld):
    """A reservation."""


class Lease(LeaseCore, SyncHeld):
    """A lease."""


class AsyncLease(LeaseCore, AsyncHeld):
    """A lease."""


class Stock(StockCore, SyncHeld):
    """A client's own units."""


class AsyncStock(StockCore, AsyncHeld):
    """A client's own units."""
