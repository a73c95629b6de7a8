"""redis-quota from Python with redis-py: one class, then a tour of it.

    REDIS_URL=redis://host:6379  CLUSTER_URL=redis://host:7000  python limits.py
"""
import os
import threading
from typing import NamedTuple

import redis
from redis.cluster import RedisCluster


class Verdict(NamedTuple):
    """What every limit replies; `if verdict:` is true where units were granted."""

    granted: int
    limit: int
    remaining: int
    wait_ms: int
    reset_ms: int
    rule: int

    def __bool__(self) -> bool:
        return self.granted > 0

    def headers(self, name: str = "default") -> dict[str, str]:
        """The RateLimit fields for a reply of status 200, or 429 where nothing was granted."""
        fields: dict[str, str] = {}
        in_s = -(-self.reset_ms // 1000) if self else max(1, -(-self.wait_ms // 1000))  # rounded up
        if not self and self.wait_ms >= 0:
            fields["Retry-After"] = str(in_s)
        if self.limit >= 0 and self.remaining >= 0:  # -1 is unlimited
            never = not self and self.wait_ms < 0
            fields["RateLimit"] = f'"{name}";r={self.remaining}' + ("" if never else f";t={in_s}")
        return fields


def connect(url: str, patience_s: float) -> redis.Redis:
    """A pool for all threads. redis-py repeats a command after a time-out unless that is switched off: without an id
    it could charge twice."""
    return redis.Redis.from_url(url, socket_timeout=patience_s, retry=None)


class Limits:
    """The calls of a service. `client` is shared by all threads; requests that wait open a connection of their own."""

    def __init__(self, client: redis.Redis | RedisCluster) -> None:
        self.client = client

    def allow(self, key: str, *rule: str, cost: int = 1) -> Verdict:
        return Verdict(*self.client.execute_command("RL.ALLOW", key, *rule, "COST", cost))

    def allow_all(self, rules: dict[str, tuple[str, ...]], cost: int = 1) -> list[Verdict]:
        """Every key admits or none is charged. In a cluster the keys have one hash tag: {acme}:user:7, {acme}:org."""
        words = [word for rule in rules.values() for word in ("WITH", *rule)]
        reply = self.client.execute_command("RL.MALLOW", len(rules), *rules, *words, "ALL", "COST", cost)
        return [Verdict(*verdict) for verdict in reply]

    def consume(self, account: str, resource: str, amount: int, request_id: str) -> Verdict:
        """A retry with the same id gets the same verdict and is charged nothing."""
        return Verdict(*self.client.execute_command("QUOTA.CONSUME", account, resource, amount, "ID", request_id))

    def refund(self, account: str, resource: str, amount: int, request_id: str) -> int:
        """Gives units of a consumption back; -> how many."""
        return self.client.execute_command("QUOTA.REFUND", account, resource, amount, "OF", request_id)[0]

    def reserve(self, account: str, job: str, resource: str, amount: int, ttl: str) -> Verdict:
        return Verdict(*self.client.execute_command("QUOTA.RESERVE", account, job, resource, amount, "TTL", ttl))

    def commit(self, account: str, job: str, amount: int) -> int:
        """Charges what the job used, also more than was reserved; -> units charged."""
        return self.client.execute_command("QUOTA.COMMIT", account, job, amount, "FORCE")[0]

    def used(self, account: str, resource: str) -> int:
        reply = self.client.execute_command("QUOTA.INFO", account, resource)
        info = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))
        rule = info[b"rules"][0]
        return (rule if isinstance(rule, dict) else dict(zip(rule[::2], rule[1::2])))[b"used"]


def lease(url: str, key: str, limit: int, ttl_s: int, wait_s: int, lease_id: str) -> int | None:
    """Waits on a connection of its own for a lease; -> its fencing token, None where none came free in time."""
    with connect(url, wait_s + 1) as client:
        reply = client.execute_command("RL.ACQUIRE", key, limit, f"{ttl_s}s", "ID", lease_id, "WAIT", f"{wait_s}s")
    return reply[7] if reply[0] else None


def set_plan_everywhere(cluster: RedisCluster, plan: str, resource: str, *rules: str) -> int:
    """Plans are not keys: every primary of a cluster has its own copy."""
    primaries = cluster.get_primaries()
    cluster.execute_command("QUOTA.PLAN SET", plan, resource, *rules, target_nodes=primaries)
    return len(primaries)


def main() -> None:
    url = os.environ["REDIS_URL"]
    client = connect(url, 0.25)
    limits = Limits(client)

    verdict = limits.allow("user:42", "10", "1h", cost=10)
    print(f"allow: granted {verdict.granted}, {verdict.remaining} of {verdict.limit} left")
    denied = limits.allow("user:42", "10", "1h")
    print(f"denied: 429 {', '.join(f'{name}: {value}' for name, value in denied.headers().items())}")

    client.execute_command("QUOTA.PLAN SET", "pro", "tokens", "LIMIT", 100000, "month")
    client.execute_command("QUOTA.OPEN", "acme", "pro")
    for _ in range(2):
        print(f"consume: granted {limits.consume('acme', 'tokens', 300, 'request-1').granted}")
    print(f"refund: {limits.refund('acme', 'tokens', 100, 'request-1')}")
    limits.reserve("acme", "job-1", "tokens", 4000, "10m")
    print(f"commit: {limits.commit('acme', 'job-1', 5100)}")
    print(f"used: {limits.used('acme', 'tokens')}")

    first = lease(url, "printer", 1, 60, 1, "a")
    second: list[int | None] = []
    waiting = threading.Thread(target=lambda: second.append(lease(url, "printer", 1, 60, 5, "b")))
    waiting.start()
    while client.info("quota")["quota_waiting"] == 0:  # the shared connection goes on meanwhile
        pass
    client.execute_command("RL.RELEASE", "printer", "a")
    waiting.join()
    assert first and second[0]
    print(f"lease: a token that grows: {str(first < second[0]).lower()}")

    cluster = RedisCluster.from_url(os.environ["CLUSTER_URL"])
    print(f"cluster: plan on {set_plan_everywhere(cluster, 'pro', 'tokens', 'LIMIT', '100000', 'month')} primaries")
    with cluster.pipeline() as batch:
        for number in range(9):
            batch.execute_command("QUOTA.OPEN", f"customer:{number}", "pro")
            batch.execute_command("QUOTA.CONSUME", f"customer:{number}", "tokens", 1, "ID", "request-1")
        verdicts = [Verdict(*reply) for reply in batch.execute()[1::2]]
    print(f"cluster: granted {sum(verdict.granted for verdict in verdicts)} in one pipeline")
    user, org = Limits(cluster).allow_all({"{acme}:user:7": ("10", "1h"), "{acme}:org": ("100", "1h")})
    print(f"cluster: {user.remaining} and {org.remaining} left")


if __name__ == "__main__":
    main()
