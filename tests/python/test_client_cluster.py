"""The client and three primaries: routing by account, plans on all of them, one primary away.

    Quota(RedisCluster) ── account ─▶ the primary of its slot          set_plan ─▶ every primary
"""

import asyncio

import pytest
import redis
from redis.asyncio.cluster import RedisCluster as AsyncCluster
from redis_quota import AsyncQuota, Quota, Unavailable
from servers import wait_until
from test_cluster import Cluster

ACCOUNTS = [f"customer:{number}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster():
    started = Cluster(replicas=0).start()
    started.on_primaries("QUOTA.CLOCK RESUME")  # a primary that comes back goes by the true time, too
    yield started
    started.close()


def test_calls_reach_the_primary_of_their_account(cluster):
    quota = Quota(cluster.client())
    assert quota.set_plan("pro", "api", "LIMIT 100 month") == 1
    assert quota.set_policy("public", "10 1h") == 1
    for account in ACCOUNTS:
        quota.open(account, "pro")
        assert quota.consume(account, "api", 3, id="req-1").granted == 3
        assert quota.allow(account + ":rate", policy="public").remaining == 9
    both = quota.mallow({"{acme}:user": "10 1h", "{acme}:org": "100 1h"}, all=True)
    assert [verdict.remaining for verdict in both.values()] == [9, 99]
    assert {cluster.shard_of(account) for account in ACCOUNTS} == {0, 1, 2}
    opened = [event.fields["account"] for node in quota.client.get_primaries()
              for event in quota.events(node=node, type="quota.account.opened")]
    assert sorted(opened) == sorted(ACCOUNTS)


def test_async_calls_do_the_same(cluster):
    async def work():
        client = AsyncCluster(host="127.0.0.1", port=cluster.primaries[0].port)
        quota = AsyncQuota(client)
        await quota.set_plan("async", "api", "LIMIT 100 month")
        for account in ACCOUNTS:
            await quota.open(f"{account}:a", "async")
        verdicts = await asyncio.gather(*(quota.consume(f"{account}:a", "api", 2) for account in ACCOUNTS))
        async with quota.reserve(f"{ACCOUNTS[0]}:a", "api", 5, ttl="1m") as hold:
            settled = await hold.commit()
        await client.aclose()
        return {verdict.granted for verdict in verdicts}, settled

    assert asyncio.run(work()) == ({2}, (5, 0, 93))


def test_one_primary_away_and_back_is_charged_once(cluster):
    """Accounts of the others go on; those of the lost one are admitted here and posted by slot."""
    quota = Quota(cluster.client(), on_error="open")
    quota.set_plan("away", "api", "LIMIT 100 month")
    accounts = [f"{account}:away" for account in ACCOUNTS]
    for account in accounts:
        quota.open(account, "away")
    gone = cluster.primaries[2]
    lost = [account for account in accounts if cluster.shard_of(account) == 2]
    gone.stop(save=True)
    try:
        sources = {account: quota.consume(account, "api", 1).source for account in accounts}
        assert lost
        assert {account for account, source in sources.items() if source == "open"} == set(lost)
        with pytest.raises(Unavailable):
            quota.consume(lost[0], "api", 1, on_error="closed")
    finally:
        gone.start_at(gone.port)
    wait_until(lambda: quota.flush() == 0, "usage is not posted")
    assert {account: quota.info(account, "api")["rules"][0]["used"] for account in accounts} == dict.fromkeys(
        accounts, 1)


def test_keys_of_different_slots_are_refused_as_redis_does(cluster):
    quota = Quota(cluster.client())
    with pytest.raises(redis.RedisError, match="slot"):
        quota.mallow({"a": "10 1h", "b": "10 1h"})
