"""The client against a real server whose clock is frozen: every call, sync and async, by RESP2 and by RESP3.

    test ─▶ Blocking(AsyncQuota) or Quota ─▶ redis-py ─▶ one server, emptied before each test
"""

import asyncio
import hashlib
import inspect
import threading

import pytest
import redis
import redis_quota
from redis_quota import AUTO, AsyncQuota, Denied, Quota, Verdict
from servers import wait_until

NOON = "2025-01-31T15:00:00Z"
NOON_MS = 1738335600000
DAY_MS = 86_400_000
DIGEST = hashlib.sha256(b"sk_acme_1").hexdigest()
TIMEOUT_S = 30


class Blocking:
    """An async object whose coroutines are run here and now, so that one test serves both."""

    def __init__(self, made, loop):
        self._made, self._loop = made, loop

    def _run(self, found):
        if inspect.isawaitable(found):
            async def finish():
                return await found
            found = self._loop.run_until_complete(finish())
        return Blocking(found, self._loop) if hasattr(found, "__aenter__") else found

    def __getattr__(self, name):
        found = getattr(self._made, name)
        return (lambda *words, **options: self._run(found(*words, **options))) if callable(found) else found

    def __bool__(self):
        return bool(self._made)

    def __enter__(self):
        self._run(self._made.__aenter__())
        return self

    def __exit__(self, *what):
        self._run(self._made.__aexit__(*what))

    def events(self, *words, **options):
        async def read():
            return [event async for event in self._made.events(*words, **options)]
        return self._run(read())


@pytest.fixture(scope="module")
def server(running):
    return running


@pytest.fixture(params=["sync-2", "sync-3", "async-2", "async-3"])
def quota(request, server):
    plain = server.client()
    plain.flushall()
    plain.execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    kind, protocol = request.param.split("-")
    options = {"port": server.port, "protocol": int(protocol), "socket_timeout": TIMEOUT_S}
    if kind == "sync":
        client = redis.Redis(**options)
        yield Quota(client)
        client.close()
        return
    loop = asyncio.new_event_loop()
    client = redis.asyncio.Redis(**options)
    yield Blocking(AsyncQuota(client), loop)
    loop.run_until_complete(client.aclose())
    loop.close()


@pytest.fixture
def acme(quota):
    """An account of 1000 calls a month and 10 a second, and 100 tokens a day."""
    quota.set_plan("pro", "api", ["LIMIT 1000 month", "RATE 10 1s", "CREDITS"])
    quota.set_plan("pro", "tokens", "LIMIT 100 day")
    quota.open("acme", "pro", zone="Europe/Berlin")
    return quota


def used(quota, resource, account="acme"):
    return quota.info(account, resource)["rules"][0]["used"]


def test_rate_limits(quota):
    assert quota.allow("user:42", "10 1s", cost=3) == Verdict(3, 10, 7, 0, 300, 0, "server")
    assert quota.allow("user:42", "10 1s", cost=9) == Verdict(0, 10, 7, 200, 300, 0, "server")
    assert quota.allow("user:42", ["10 1s"], cost=9).source == "cache"
    assert quota.allow("user:42", "10 1s", cost=8, peek=True).granted == 0
    assert quota.allow("user:42", "10 1s", cost=9, upto=True).granted == 7
    assert quota.allow("user:42", "10 1s", cost=2, force=True) == Verdict(2, 10, 0, 0, 1200, 0)
    assert quota.give_back("user:42", 12) == 12
    assert quota.allow("user:42", "10 1s", cost=9).granted == 9
    assert quota.allow("two", ["500 1m", "30000 1m"], cost=[1, 850]).granted == 1
    assert not quota.allow("burst", "1 1s", cost=2, block="1m")
    assert quota.allow("burst", "1 1s").wait_ms == 60_000
    quota.block("burst", "0")
    assert quota.allow("burst", "1 1s")
    with pytest.raises(ValueError, match="rules or a policy"):
        quota.allow("nothing")


def test_many_keys_and_tables(quota):
    both = quota.mallow({"{a}user": "10 1s", "{a}org": "5 1m SLIDING 6 1h"}, all=True, cost=5)
    assert {key: verdict.remaining for key, verdict in both.items()} == {"{a}user": 5, "{a}org": 0}
    assert not any(quota.mallow({"{a}user": "10 1s", "{a}org": "5 1m SLIDING 6 1h"}, all=True).values())
    quota.table("t", "2 1m")
    assert [quota.take("t", "joe").granted for _ in range(3)] == [1, 1, 0]
    assert quota.take("t", "joe").source == "cache"
    assert [verdict.granted for verdict in quota.mtake("t", ["joe", "ann"]).values()] == [0, 1]


def test_policies(quota):
    quota.set_policy("public", "100 1m SCHEDULE UTC daily 14:00-16:00 20 1m")
    quota.execute("RL.POLICY", "REFUSE", "public", "198.51.100.0/24")
    assert quota.allow("ip:1", policy="public", address="10.0.0.1") == Verdict(1, 20, 19, 0, 3000, 100)
    assert not quota.allow("ip:2", policy="public", address="198.51.100.9")
    assert quota.policy("public")["schedules"] == [{"when": "UTC daily 14:00-16:00", "rules": ["GCRA 20 1m"]}]
    names = quota.rule_names("policy", "public")
    assert {number: (named.name, named.rule.limit) for number, named in names.items()} == {
        0: ("public", 100), 100: ("public", 20)}
    with pytest.raises(redis_quota.NoPolicy):
        quota.allow("ip:3", policy="unknown")


def test_consumption_is_charged_once_by_its_id(acme):
    assert acme.consume("acme", "api", 3, id="req-1") == Verdict(3, 10, 7, 0, 300, 1)
    assert acme.consume("acme", "api", 3, id="req-1") == Verdict(3, 10, 7, 0, 300, 1)
    assert acme.consume("acme", "api", 2, id=AUTO).granted == 2
    assert acme.consume("acme", "api", 1, check=True).granted == 1
    assert used(acme, "api") == 5
    assert acme.consume("acme", "api", 9) == Verdict(0, 10, 5, 400, 500, 1)
    assert acme.consume("acme", "api", 9).source == "cache"
    assert acme.consume("acme", "api", 9, id="req-2").source == "server"  # it may have been admitted before
    assert acme.refund("acme", "api", 3, of="req-1", id="back") == (3, 0, 998)
    assert acme.refund("acme", "api", 3, of="req-1", id="back") == (3, 0, 998)
    assert acme.consume("acme", "api", 8).granted == 8  # units came back, so the denial is forgotten
    assert used(acme, "api") == 10
    with pytest.raises(redis_quota.IdConflict):
        acme.consume("acme", "api", 4, id="req-1")
    with pytest.raises(redis_quota.RefundExceeds):
        acme.refund("acme", "api", 1, of="req-1")


def test_several_resources(acme):
    assert {name: verdict.granted for name, verdict in acme.mconsume(
        "acme", {"api": 1, "tokens": 60}, id="job").items()} == {"api": 1, "tokens": 60}
    assert not any(acme.mconsume("acme", {"api": 1, "tokens": 60}).values())
    assert [bool(verdict) for verdict in acme.mconsume("acme", {"tokens": 60, "api": 1}, any=True).values()] == [
        False, True]
    assert all(acme.check("acme", {"api": 1, "tokens": 40}).values())
    assert not any(acme.check("acme", {"api": 1, "tokens": 60}).values())  # as one request: all or none
    assert acme.refund_all("acme", of="job") == [(1, 0, 999), (60, 0, 100)]
    held = acme.hold("acme", "h", {"api": 2, "tokens": 10}, ttl="1m")
    assert [verdict.granted for verdict in held.values()] == [2, 10]
    assert [row.charged for row in acme.commit_hold("acme", "h", 1, 10)] == [1, 10]


def test_a_reservation_is_committed_or_released(acme):
    with acme.reserve("acme", "tokens", 40, ttl="10m") as hold:
        assert hold
        assert acme.info("acme", "tokens")["rules"][0]["held"] == 40
        assert hold.extend("20m") == NOON_MS + 20 * 60_000
        assert hold.commit(51, force=True) == (51, 0, 49)
        assert hold.commit(51, force=True) == (51, 0, 49)
    assert used(acme, "tokens") == 51
    with acme.reserve("acme", "tokens", 40, ttl="10m") as hold:
        assert hold.verdict.granted == 40
    assert acme.info("acme", "tokens")["rules"][0]["held"] == 0
    with acme.reserve("acme", "tokens", 50, ttl="10m") as denied:
        assert not denied
        with pytest.raises(Denied, match="tokens"):
            denied.commit(1)
    with pytest.raises(KeyError), acme.reserve("acme", "tokens", 40, ttl="10m"):
        raise KeyError
    assert acme.info("acme", "tokens")["rules"][0] | {"start": 0, "end": 0} == {
        "rule": 0, "kind": "LIMIT", "period": "day", "limit": 100, "used": 51, "held": 0, "remaining": 49,
        "start": 0, "end": 0, "rolled": 0}


def test_leases_have_fencing_tokens_and_are_waited_for(quota, server):
    with quota.acquire("printer", 1, "30s", id="a") as first:
        assert first
        assert first.token == NOON_MS * 1000
        assert first.renew("1m") == NOON_MS + 60_000
        assert not quota.take_lease("printer", 1, "30s").verdict
        with quota.acquire("printer", 1, "30s") as second:
            assert not second
        waiting = threading.Thread(target=release_when_waited_for, args=(server,))
        waiting.start()
        third = quota.take_lease("printer", 1, "30s", id="b", wait="20s")
        waiting.join()
        assert third.token > first.token
        with pytest.raises(redis_quota.NoSuchId):
            first.renew()
    assert quota.release("printer", "b", token=third.token)
    assert not quota.release("printer", "b")


def release_when_waited_for(server):
    client = server.client()
    wait_until(lambda: client.info("quota")["quota_waiting"] == 1, "no client waits")
    client.execute_command("RL.RELEASE", "printer", "a")


def test_breakers(quota):
    assert quota.breaker("backend", "FAILURES 2 OPEN 30s")
    assert quota.report("backend", ok=True, took="5ms") == "closed"
    assert [quota.report("backend", ok=False) for _ in range(2)] == ["closed", "open"]
    assert quota.breaker("backend", "FAILURES 2 OPEN 30s").wait_ms == 30_000


def test_accounts_credits_and_reports(acme):
    assert acme.info("acme")["zone"] == "Europe/Berlin"
    assert acme.grant("acme", "g1", "api", 50, expires="3month", priority=3, reason="welcome") == (50, 0)
    assert acme.grant("acme", "g2", "api", 5, promo=True) == (55, 0)
    assert [(row["id"], row["left"], row["priority"]) for row in acme.grants("acme", "api")] == [
        ("g1", 50, 3), ("g2", 5, 50)]
    assert acme.void("acme", "g2") == 5
    acme.set_plan("max", "api", "LIMIT 5000 month PRICE usd TIER 100 0.5 TIER * 0.1 OVERAGE")
    acme.switch("acme", "max", how="FULL", reason="paid")
    assert acme.info("acme", "api")["rules"][0]["limit"] == 5000
    acme.consume("acme", "api", 5100, id="bulk")
    assert acme.forecast("acme", "api")[0]["used"] == 5050  # 50 were served by credits
    assert acme.bill("acme")[0]["quantity"] == 50
    acme.execute("QUOTA.CLOCK", "ADVANCE", "40d")
    assert [row["used"] for row in acme.history("acme", "api", period="month", count=1)] == [5050]
    assert [row["revision"] for row in acme.history("acme", "api", count=1, with_plan=True)] == [1]
    with pytest.raises(redis_quota.NoPlan):
        acme.open("other", "unknown")


def test_grants_are_read_page_by_page(acme, monkeypatch):
    monkeypatch.setattr("redis_quota.core.PAGE", 2)
    for number in range(5):
        acme.grant("acme", f"g{number}", "api", 1)
    assert [row["id"] for row in acme.grants("acme")] == [f"g{number}" for number in range(5)]


def test_api_keys(acme):
    acme.execute("QUOTA.APIKEY", "SET", "acme", DIGEST, "SCOPES", 1, "write", key="acme")
    acme.verify("acme", DIGEST, "write")
    assert acme.consume("acme", "api", key=DIGEST, scope="write")
    with pytest.raises(redis_quota.NoScope):
        acme.verify("acme", DIGEST, "admin")
    with pytest.raises(redis_quota.NoKey):
        acme.consume("acme", "api", key="0" * 64)
    assert used(acme, "api") == 1


def test_events(acme):
    before = [event.id for event in acme.events()]
    acme.execute("QUOTA.SUSPEND", "acme", key="acme")
    with pytest.raises(redis_quota.Suspended):
        acme.consume("acme", "api")
    found = list(acme.events(before[-1], count=1))
    assert [(event.fields["type"], event.fields["account"]) for event in found] == [
        ("quota.account.suspended", "acme")]
    assert list(acme.events(found[-1].id, wait="1ms")) == []
    assert len(acme.read_events("0-0", count=2)) == 2


@pytest.mark.parametrize("protocol", [2, 3])
def test_other_errors_are_redis_pys(server, protocol):
    client = server.client(protocol=protocol)
    quota = Quota(client)
    client.set("text", 1)
    with pytest.raises(redis_quota.WrongType, match="rl-bucket"):
        quota.allow("text", "10 1s")
    with pytest.raises(redis_quota.BadCommand, match="period"):
        quota.allow("k", "10 1M")
    client.execute_command("ACL", "SETUSER", "weak", "on", ">secret", "+ping")
    weak = Quota(redis.Redis(port=server.port, protocol=protocol, username="weak", password="secret"))
    with pytest.raises(redis.exceptions.NoPermissionError):
        weak.allow("k", "10 1s")


def test_a_stock_is_taken_once_and_given_back(acme):
    with acme.lease("acme", "tokens", chunk=30) as stock:
        verdicts = [stock.take() for _ in range(5)]
        assert {verdict.source for verdict in verdicts} == {"lease"}
        assert (used(acme, "tokens"), stock.left) == (30, 25)
    assert used(acme, "tokens") == 5
    with acme.lease("acme", "tokens", chunk=80) as stock:
        assert stock.take(90).granted == 90  # more than a chunk: it is fetched as it is
        assert stock.take(6).granted == 0
        assert stock.take(6).source == "server"
        assert stock.take(5).granted == 5  # what is left is less than a chunk
    assert used(acme, "tokens") == 100
    with pytest.raises(ValueError, match="chunk"):
        acme.lease("acme", "tokens", chunk=0)


def test_a_stock_goes_back_when_it_is_old(server):
    server.client().flushall()
    now = [0.0]
    quota = Quota(server.client(), clock=lambda: now[0])
    quota.set_plan("pro", "tokens", "LIMIT 100 day")
    quota.open("acme", "pro")
    with quota.lease("acme", "tokens", chunk=30, age="10s") as stock:
        stock.take()
        now[0] = 9.9
        stock.take()
        assert used(quota, "tokens") == 30
        now[0] = 10.0
        stock.take()
        assert (used(quota, "tokens"), stock.left) == (32, 29)
    assert used(quota, "tokens") == 3


CLIENTS, THREADS, CHUNK, LIMIT = 4, 3, 25, 1000


def test_stocks_of_many_clients_are_never_over_and_under_by_a_chunk_each(server):
    """Each client has three threads on one stock; all take until they are refused."""
    server.client().flushall()
    first = Quota(server.client())
    first.set_plan("pro", "tokens", f"LIMIT {LIMIT} day")
    first.open("acme", "pro")
    granted, refused = [], []

    def work(stock):
        while verdict := stock.take():
            granted.append(verdict.granted)
        refused.append(used(first, "tokens"))

    stocks = [Quota(server.client()).lease("acme", "tokens", chunk=CHUNK) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=work, args=(stock,)) for stock in stocks for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == CLIENTS * THREADS
    assert LIMIT - CLIENTS * CHUNK <= sum(granted) <= LIMIT
    for stock in stocks:
        stock.close()
    assert used(first, "tokens") == sum(granted)


def test_a_stock_of_tasks_fetches_one_chunk_at_a_time(server):
    async def work():
        client = redis.asyncio.Redis(port=server.port)
        quota = AsyncQuota(client)
        await quota.open("acme", "pro")
        async with quota.lease("acme", "tokens", chunk=CHUNK) as stock:
            verdicts = await asyncio.gather(*(stock.take() for _ in range(CHUNK)))
            assert stock.left == 0
        info = await quota.info("acme", "tokens")
        await client.aclose()
        return sum(verdict.granted for verdict in verdicts), info["rules"][0]["used"]

    server.client().flushall()
    Quota(server.client()).set_plan("pro", "tokens", f"LIMIT {LIMIT} day")
    assert asyncio.run(work()) == (CHUNK, CHUNK)
