"""The client while the server is away: repeats, on_error, and usage that is posted later, each unit once.

    server ── stop ──▶ admitted here, queued ── start (its AOF has what it knew) ──▶ INGEST by id: nothing twice

A door between client and server loses replies where a test needs that: the command has been executed then.
"""

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import redis
from redis_quota import (
    AUTO,
    AsyncQuota,
    BadCommand,
    IdConflict,
    Quota,
    Unavailable,
    memory,
)
from redis_quota.core import RETRY_BASE_S
from redis_quota.steps import NoReply, NotSent
from servers import wait_until

PLAN = ("pro", "api", ["LIMIT 100 day", "RATE 1000 1s"])


@pytest.fixture
def server(durable):
    """Running, empty, with an account `acme`."""
    durable.client().flushall()
    quota = Quota(durable.client())
    quota.set_plan(*PLAN)
    quota.open("acme", "pro")
    return durable


@contextlib.contextmanager
def away(server):
    server.stop(save=False)
    yield
    server.start_at(server.port)


def used(server):
    return Quota(server.client()).info("acme", "api")["rules"][0]["used"]


class Door:
    """Forwards to the server; the next `losing` replies to QUOTA commands end their connection instead."""

    def __init__(self, server):
        self.server, self.losing = server, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                inside = self.listening.accept()[0]
                threading.Thread(target=self.serve, args=(inside,), daemon=True).start()

    def serve(self, inside):
        lost = threading.Event()
        with contextlib.suppress(OSError), inside, socket.create_connection(
                ("127.0.0.1", self.server.port)) as outside:
            threading.Thread(target=self.bring_back, args=(outside, inside, lost), daemon=True).start()
            while request := inside.recv(65536):
                if self.losing and b"QUOTA" in request:
                    self.losing -= 1
                    lost.set()
                outside.sendall(request)

    def bring_back(self, outside, inside, lost):
        with contextlib.suppress(OSError):
            while (reply := outside.recv(65536)) and not lost.is_set():
                inside.sendall(reply)
            inside.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def door(server):
    made = Door(server)
    yield made
    made.listening.close()


def through(door, **options):
    return Quota(redis.Redis(port=door.port, socket_timeout=10), **options)


class Scripted(Quota):
    """Instead of a server: answers or failures in their order, and pauses that are written down."""

    def __init__(self, *answers, **options):
        super().__init__(redis.Redis(), **options)
        self.answers, self.sent, self.pauses = list(answers), [], []

    def _perform_send(self, send):
        self.sent.append(send.words)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


YES = [1, 10, 9, 0, 100, 0]


@pytest.mark.parametrize(("answers", "id", "attempts"), [
    ([NotSent("refused"), YES], None, 2),
    ([NotSent("refused")] * 3 + [YES], None, 4),
    ([NotSent("refused")] * 4, None, 4),
    ([NoReply("time-out"), YES], None, 1),  # it may have been charged
    ([NoReply("time-out"), YES], "req-1", 2),
    ([NoReply("time-out"), YES], AUTO, 2),
    ([NotSent("refused"), NoReply("time-out"), YES], None, 2),
    ([NoReply("time-out")] * 4, AUTO, 4)])
def test_only_what_is_safe_is_repeated(monkeypatch, answers, id, attempts):
    pauses = []
    monkeypatch.setattr("redis_quota.steps.time.sleep", pauses.append)
    quota = Scripted(*answers, dice=lambda: 0.75)
    succeeds = attempts <= len(answers) and answers[attempts - 1] is YES
    if succeeds:
        assert quota.consume("acme", "api", id=id).granted == 1
    else:
        with pytest.raises(Unavailable) as caught:
            quota.consume("acme", "api", id=id)
        assert caught.value.sent == any(isinstance(answer, NoReply) for answer in answers)
    assert len(quota.sent) == attempts
    assert len(set(quota.sent)) == 1  # the same id every time
    between = attempts - 1
    assert pauses[:between] == [RETRY_BASE_S * 2**n * 1.25 for n in range(between)]


def test_a_lost_reply_is_charged_once(server, door):
    quota = through(door)
    door.losing = 2
    assert quota.consume("acme", "api", 3, id=AUTO).granted == 3
    assert used(server) == 3
    door.losing = 1
    with pytest.raises(Unavailable) as caught:
        quota.consume("acme", "api", 3)
    assert caught.value.sent
    assert used(server) == 6  # it was charged, and the caller knows that it may have been


def test_closed_refuses_when_no_connection_is_made(server):
    quota = Quota(server.client())
    with away(server):
        with pytest.raises(Unavailable) as caught:
            quota.consume("acme", "api")
        assert not caught.value.sent
        assert len(quota.backlog) == 0
    assert used(server) == 0
    assert quota.consume("acme", "api")


def test_usage_is_posted_to_the_cycle_of_its_own_instant(server):
    quota = Quota(server.client(), on_error="open")
    quota.set_plan("pro", "seconds", "LIMIT 100 1s")
    quota.consume("acme", "seconds", 1)
    with away(server):
        quota.consume("acme", "seconds", 4)
        (row,) = quota.backlog.begin()
        quota.backlog.end()
    wait_until(lambda: quota.info("acme", "seconds")["rules"][0]["start"] > row.at, "the cycle does not end")
    (cycle,) = [cycle for cycle in quota.history("acme", "seconds") if cycle["start"] <= row.at < cycle["end"]]
    assert cycle["used"] - 4 in (0, 1)


def test_open_admits_and_posts_once(server, door):
    """One admission that never reached the server, one whose reply was lost, then the server is back."""
    quota = through(door, on_error="open")
    quota.consume("acme", "api", 1)
    door.losing = 4
    assert quota.consume("acme", "api", 2).source == "open"  # it was charged, all four replies were lost
    assert used(server) == 3
    with away(server):
        verdict = quota.consume("acme", "api", 4, id="mine")
        assert (verdict.granted, verdict.limit, verdict.remaining, verdict.source) == (4, -1, -1, "open")
        assert quota.flush() == 2
    assert quota.flush() == 0
    assert used(server) == 7
    assert quota.flush() == 0
    with pytest.raises(IdConflict):
        quota.consume("acme", "api", 4, id="mine")  # already counted, as usage after the fact


def test_what_was_admitted_is_counted_beyond_the_limit_and_with_the_next_call(server):
    quota = Quota(server.client(), on_error="open")
    quota.consume("acme", "api", 90)
    with away(server):
        for _ in range(3):
            assert quota.consume("acme", "api", 10)
    assert quota.consume("acme", "api", check=True) is not None
    assert len(quota.backlog) == 0
    assert used(server) == 120
    assert not quota.consume("acme", "api")


def test_a_lost_reply_to_the_posting_is_no_second_charge(server, door):
    quota = through(door, on_error="open")
    with away(server):
        quota.consume("acme", "api", 5)
    door.losing = 1
    assert quota.flush() == 1
    assert used(server) == 5
    assert quota.flush() == 0
    assert used(server) == 5


def test_rows_that_cannot_be_counted_are_named_in_the_log(server, caplog):
    quota = Quota(server.client(), on_error="open")
    with away(server):
        quota.consume("stranger", "api", 5, id="lost")
        quota.consume("acme", "api", 5)
    assert quota.flush() == 0
    assert used(server) == 5
    assert "usage of stranger api 5 (id lost) cannot be counted" in caplog.text


def test_rows_that_may_not_be_posted_do_not_fail_the_call_before_them(server, caplog):
    """The right to QUOTA.INGEST is missing: the next call has been charged, so its verdict counts."""
    quota = Quota(redis.Redis(port=server.port, username="weak", password="secret"), on_error="open")
    with away(server):
        quota.consume("acme", "api", 5)
    server.client().execute_command("ACL", "SETUSER", "weak", "reset", "on", ">secret", "~*", "+quota.consume")
    assert quota.consume("acme", "api", 1).source == "server"
    assert (used(server), len(quota.backlog)) == (1, 1)
    assert "rows of usage to be posted later: 1" in caplog.text
    server.client().execute_command("ACL", "SETUSER", "weak", "+quota.ingest")
    assert quota.flush() == 0
    assert used(server) == 6


def test_a_full_backlog_closes(server, monkeypatch):
    monkeypatch.setattr(memory, "BACKLOG_MAX", 2)
    quota = Quota(server.client(), on_error="open")
    with away(server):
        assert [quota.consume("acme", "api").source for _ in range(2)] == ["open", "open"]
        with pytest.raises(Unavailable, match="no more usage"):
            quota.consume("acme", "api")
    assert quota.flush() == 0
    assert used(server) == 2


def test_local_decides_by_a_share_of_the_known_limits(server):
    quota = Quota(server.client(), on_error="local", clients=4)
    quota.consume("acme", "api", 1)  # and it learns the rules
    quota.set_policy("p", "8 1m")
    quota.allow("user:1", policy="p")
    with away(server):
        granted = [quota.consume("acme", "api", 5).granted for _ in range(6)]
        assert granted == [5, 5, 5, 5, 5, 0]  # 100 a day / 4
        denied = quota.consume("acme", "api", 5)
        assert (denied.limit, denied.remaining, denied.source) == (25, 0, "local")
        assert [quota.allow("user:1", policy="p").granted for _ in range(3)] == [1, 1, 0]
        assert [quota.allow("k", "8 1m", cost=2).granted for _ in range(2)] == [2, 0]
        assert quota.allow("k", "8 1m", on_error="open").source == "open"
        with pytest.raises(Unavailable, match="rules are not known"):
            quota.consume("stranger", "api")
        with pytest.raises(Unavailable):
            quota.consume("acme", "api", on_error="closed")
        with pytest.raises(Unavailable, match="API keys"):
            quota.consume("acme", "api", key="0" * 64)
        for call in (lambda: quota.take("t", "x"), lambda: quota.allow("k", policy="unknown"),
                     lambda: quota.mtake("t", ["x"]), lambda: quota.mconsume("acme", {"api": 1, "unseen": 1}),
                     lambda: quota.consume("stranger", "api"),
                     lambda: quota.reserve("stranger", "api", 1, ttl="1m").__enter__()):
            with pytest.raises(Unavailable) as caught:
                call()
            assert not caught.value.sent
    assert quota.flush() == 0
    assert used(server) == 26


def test_a_reservation_that_began_without_the_server_is_charged_later(server, door):
    quota = through(door, on_error="open")
    door.losing = 4
    with quota.reserve("acme", "api", 10, ttl="10m") as hold:  # made, but all replies were lost
        assert hold.verdict.source == "open"
        assert hold.commit(13, force=True) == (13, 0, -1)
    rule = Quota(server.client()).info("acme", "api")["rules"][0]
    assert (rule["used"], rule["held"]) == (13, 0)
    with away(server):
        with quota.reserve("acme", "api", 10, ttl="10m") as hold:
            hold.commit(2)
        with quota.reserve("acme", "api", 10, ttl="10m") as unused:
            assert unused
        with pytest.raises(Unavailable), quota.reserve("acme", "api", 10, ttl="10m", on_error="closed"):
            pass
    assert quota.flush() == 0
    assert used(server) == 15


def history_of(server, account, id):
    """What the server remembers of an id: operation and what was granted of each resource."""
    record = server.client(protocol=3, decode_responses=True).execute_command("QUOTA.RECORD", account, id)
    return {(row["operation"], part["resource"]): part["granted"] for row in record or [] for part in row["resources"]}


@pytest.fixture
def both(server):
    """The server, whose account has tokens besides."""
    Quota(server.client()).set_plan("pro", "tokens", "LIMIT 1000 day")
    return server


def used_of(server):
    resources = Quota(server.client()).info("acme")["resources"]
    return {name: resources[name]["rules"][0]["used"] for name in ("api", "tokens")}


def test_several_resources_are_posted_under_one_id(both):
    quota = Quota(both.client(), on_error="open")
    with away(both):
        verdicts = quota.mconsume("acme", {"api": 2, "tokens": 300}, id="call-1")
        assert {(verdict.granted, verdict.source) for verdict in verdicts.values()} == {(2, "open"), (300, "open")}
        first = quota.mconsume("acme", {"tokens": 50, "api": 1}, any=True)
        assert [verdict.granted for verdict in first.values()] == [50, 0]
        assert quota.mconsume("acme", {"api": 1}, check=True)["api"]
        with pytest.raises(Unavailable):
            quota.mconsume("acme", {"api": 1}, on_error="closed")
        with pytest.raises(Unavailable, match="API keys"):
            quota.mconsume("acme", {"api": 1}, key="0" * 64)
        assert len(quota.backlog) == 3
    assert quota.flush() == 0
    assert used_of(both) == {"api": 2, "tokens": 350}
    assert history_of(both, "acme", "call-1") == {("consume", "api"): 2, ("consume", "tokens"): 300}


@pytest.mark.parametrize("arrives", [True, False])
def test_several_resources_whose_reply_was_lost_are_charged_once(both, door, arrives):
    """Ids of MCONSUME are not those of INGEST: it is sent again, and INGEST follows where it is denied."""
    quota = through(door, on_error="open")
    amounts = {"api": 60, "tokens": 5}
    if not arrives:
        Quota(both.client()).consume("acme", "api", 50)  # then the limit denies what is not known yet
    door.losing = 4
    assert quota.mconsume("acme", amounts, id="call-2")["api"].source == "open"
    assert used_of(both)["api"] == (60 if arrives else 50)
    assert quota.flush() == 0
    assert used_of(both) == {"api": 60 if arrives else 110, "tokens": 5}
    operation = "mconsume" if arrives else "consume"
    assert history_of(both, "acme", "call-2") == {(operation, name): amount for name, amount in amounts.items()}


def test_a_caller_who_repeats_what_is_queued_is_charged_once(both):
    quota = Quota(both.client(), on_error="open")
    with away(both):
        for _ in range(2):
            quota.mconsume("acme", {"api": 2, "tokens": 3}, id="again")
        assert len(quota.backlog) == 2
    assert quota.mconsume("acme", {"api": 2, "tokens": 3}, id="again")["api"].source == "server"
    assert (len(quota.backlog), used_of(both)) == (0, {"api": 2, "tokens": 3})


def test_local_admits_several_resources_or_none(both):
    quota = Quota(both.client(), on_error="local", clients=2)
    quota.mconsume("acme", {"api": 1, "tokens": 1})  # and it learns the rules
    with away(both):
        assert all(quota.mconsume("acme", {"api": 30, "tokens": 100}).values())
        denied = quota.mconsume("acme", {"api": 30, "tokens": 100})
        assert [verdict.granted for verdict in denied.values()] == [0, 0]
        assert denied["tokens"].remaining == 400
        first = quota.mconsume("acme", {"api": 30, "tokens": 100}, any=True)
        assert [verdict.granted for verdict in first.values()] == [0, 100]
        assert all(quota.mallow({"k": "4 1m", "l": "4 1m"}, all=True, cost=2).values())
        assert not any(quota.mallow({"k": "4 1m", "m": "2 1m"}, all=True, cost=1).values())  # k has its half
        assert [bool(verdict) for verdict in quota.mallow({"k": "4 1m", "m": "4 1m"}).values()] == [False, True]
        assert all(quota.mallow({"n": "2 1m"}, peek=True)["n"] for _ in range(3))
    assert quota.flush() == 0
    assert used_of(both) == {"api": 31, "tokens": 201}


def test_rate_limits_are_answered_and_not_posted(server):
    """A rate forgets within its period: there is nothing to post."""
    quota = Quota(server.client(), on_error="open")
    quota.table("t", "1 1m")
    with away(server):
        answers = [quota.allow("k", "1 1m", cost=9), *quota.mallow({"k": "1 1m", "l": "1 1m"}, all=True).values(),
                   quota.take("t", "x", cost=9), *quota.mtake("t", ["x", "y"]).values()]
        assert {(bool(verdict), verdict.source) for verdict in answers} == {(True, "open")}
        assert len(quota.backlog) == 0


def test_a_commit_without_the_server_is_posted(server, door):
    """The reservation is the server's: its commit is sent again, and answers the same if it has arrived."""
    quota = through(door, on_error="open")
    with quota.reserve("acme", "api", 10, ttl="10m") as hold:
        door.losing = 4
        assert hold.commit(4) == (4, 6, -1)
        assert used(server) == 4
    with quota.reserve("acme", "api", 10, ttl="10m") as other:
        assert len(quota.backlog) == 0
        with away(server):
            with pytest.raises(BadCommand, match="holds 10"):
                other.commit(12)
            assert other.commit(12, force=True) == (12, 0, -1)
    assert quota.flush() == 0
    rule = quota.info("acme", "api")["rules"][0]
    assert (rule["used"], rule["held"]) == (16, 0)
    with quota.reserve("acme", "api", 10, ttl="10m", on_error="closed") as last, away(server), \
            pytest.raises(Unavailable):
        last.commit()


def test_a_commit_of_what_the_server_has_forgotten_is_usage(server):
    """It lost the reservation, such as a replica that was promoted before it knew it."""
    quota = Quota(server.client(), on_error="open")
    with quota.reserve("acme", "api", 10, ttl="10m") as hold, away(server):
        assert hold.commit(7).charged == 7
    server.client().flushall()
    Quota(server.client()).open("acme", "pro", anchor=hold._at - 1000)
    assert quota.flush() == 0
    assert history_of(server, "acme", hold.id) == {("consume", "api"): 7}


def test_a_reservation_without_the_server_is_extended_in_name_only(server):
    quota = Quota(server.client(), on_error="open")
    with away(server), quota.reserve("acme", "api", 1, ttl="1m") as hold:
        assert hold.extend("10m") > hold._at + 500_000
        hold.commit()
    assert quota.flush() == 0
    assert used(server) == 1


def test_what_a_stock_admits_beside_its_chunks_is_charged():
    """Five are wanted, three are left, so they go back; other units come back, too, and now five are granted."""
    quota = Scripted([3, 10, 0, 0, 0, 0], [3, 0, 3], [5, 10, 0, 0, 0, 0])
    verdict = quota.lease("acme", "api", chunk=5).take(5)
    assert (verdict.granted, verdict.source) == (5, "server")
    taken, back, own = quota.sent
    assert (taken[-1], back[0], own[:5]) == ("UPTO", "QUOTA.REFUND", ("QUOTA.CONSUME", "acme", "api", 5, "ID"))
    lost = Scripted([3, 10, 0, 0, 0, 0], [3, 0, 3], NoReply("lost"), on_error="open")
    lost._away_until = lost._clock() + 60
    assert lost.lease("acme", "api", chunk=5).take(5).source == "open"
    (row,) = lost.backlog.begin()
    assert (row.id, row.amount) == (lost.sent[-1][-1], 5)  # the same id: if it has arrived, it is not charged again


def test_a_stock_goes_on_without_the_server(server):
    """What it holds is used up, then each unit is admitted by itself and posted."""
    quota = Quota(server.client(), on_error="open")
    with quota.lease("acme", "api", chunk=3) as stock:
        assert stock.take().source == "lease"
        with away(server):
            assert [stock.take().source for _ in range(4)] == ["lease", "lease", "open", "open"]
            assert stock.take(5).granted == 5
        assert stock.take().source == "lease"
        assert len(quota.backlog) == 0
    assert used(server) == 1 + 4 + 5 + 1


def test_a_stock_that_cannot_give_back_uses_nothing_of_it(server, door):
    """The refund may have arrived: the units are another one's by then."""
    quota = through(door, on_error="open")
    stock = quota.lease("acme", "api", chunk=10).begin()
    stock.take()
    door.losing = 4
    assert stock.take(20).source == "open"  # 9 are too few: they went back, and no reply says so
    assert used(server) == 1
    with away(server):
        assert stock.take().source == "open"
        stock.close()
    assert stock.take().source == "lease"
    stock.close()
    assert used(server) == 1 + 20 + 1 + 1


def test_a_stock_whose_answer_was_lost_is_no_lost_chunk(server, door):
    quota = through(door)
    with quota.lease("acme", "api", chunk=30) as stock:
        door.losing = 4
        with pytest.raises(Unavailable):
            stock.take()
        assert used(server) == 30
        assert stock.take().granted == 1
        assert used(server) == 30
    assert used(server) == 1
    quota = through(door, on_error="open")
    with quota.lease("acme", "api", chunk=30) as stock:
        door.losing = 4
        assert stock.take().source == "open"
        assert stock.take().source == "lease"
        assert used(server) == 1 + 30 + 1
    assert used(server) == 1 + 1 + 1


def test_async_does_the_same(server):
    async def work():
        client = redis.asyncio.Redis(port=server.port)
        quota = AsyncQuota(client, on_error="open")
        server.stop()
        verdicts = await asyncio.gather(*(quota.consume("acme", "api") for _ in range(5)))
        server.start_at(server.port)
        left = await quota.flush()
        await client.aclose()
        return [verdict.source for verdict in verdicts], left

    assert asyncio.run(work()) == (["open"] * 5, 0)
    assert used(server) == 5


def test_a_cancelled_call_leaves_no_reply_for_the_next_one(server):
    async def work():
        client = redis.asyncio.Redis(port=server.port, max_connections=1)
        quota = AsyncQuota(client)
        server.client().execute_command("CLIENT", "PAUSE", 300, "WRITE")
        call = asyncio.create_task(quota.consume("acme", "api", 7))
        await asyncio.sleep(0.05)  # it has been sent, and its reply is still to come
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        verdict = await quota.consume("acme", "api")
        await client.aclose()
        return verdict.granted

    assert asyncio.run(work()) == 1


THREADS, CALLS = 6, 40


def test_under_load_with_the_server_killed_every_admission_is_counted_once(server):
    """Threads consume while the server is killed and comes back: what they were granted is what was charged."""
    quota = Quota(server.client(), on_error="open")
    quota.set_plan("pro", "api", "LIMIT 1000000 day")
    granted, seen = [], threading.Barrier(THREADS + 1)

    def work():
        for call in range(CALLS):
            if call == CALLS // 4:
                seen.wait()
            verdict = quota.consume("acme", "api", 2)
            granted.append(verdict)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    seen.wait()
    server.kill()
    time.sleep(0.5)
    server.start_at(server.port)
    for thread in threads:
        thread.join()
    assert quota.flush() == 0
    assert len(granted) == THREADS * CALLS
    assert "open" in {verdict.source for verdict in granted}
    assert used(server) == sum(verdict.granted for verdict in granted) == 2 * THREADS * CALLS
