"""quotactl acl: the rights of people and programs, as ACL SETUSER lines.

    ROLES, PROGRAMS ──▶ quotactl acl operator ──▶ ACL SETUSER operator reset on >… ~tenant:* …
        └───▶ docs/operations/acl.md, forwarding.md, monitoring.md: the same lines, written there by make docs

    consumer, operator, auditor    each command of the module belongs to one of them
    forwarder, exporter            what these programs send, and nothing else
    admin                          all of it, on all keys

Commands are named one by one: Redis 7.0 puts no module's command into a category.
"""

from __future__ import annotations

import click

from .base import Session, command

CLIENT = "+ping +client|setname +client|id +multi +exec +discard"  # what client libraries need of the server
CLUSTER = "+cluster|slots +cluster|shards +cluster|nodes +readonly"
ROLES: dict[str, tuple[str, ...]] = {
    "consumer": (
        "+quota.consume +quota.mconsume +quota.reserve +quota.commit +quota.release +quota.extend",
        "+quota.ingest",
        "+rl.allow +rl.mallow +rl.take +rl.mtake +rl.acquire +rl.renew +rl.release +rl.breaker +rl.adapt",
        "+rl.throttle +cl.throttle",
        f"{CLIENT} +wait",
    ),
    "operator": (
        "+quota.open +quota.switch +quota.override +quota.suspend +quota.resume +quota.close +quota.settle",
        "+quota.set +quota.reset +quota.refund +quota.grant +quota.void +quota.transfer",
        "+quota.plan|set +quota.plan|del +quota.plan|cancel",
        "+quota.apikey|set +quota.apikey|rotate +quota.apikey|revoke",
        "+quota.parent +quota.detach +quota.weight",
        "+rl.refund +rl.block +rl.table +rl.policy|set +rl.policy|del +rl.policy|override",
        "+rl.policy|permit +rl.policy|refuse +rl.policy|lift",
        f"{CLIENT} +wait",
    ),
    "auditor": (
        "+quota.info +quota.history +quota.forecast +quota.bill +quota.record +quota.holds",
        "+quota.grants +quota.members",
        "+quota.health",
        "+quota.cycle +quota.check",
        "+quota.plan|get +quota.plan|list +quota.plan|check +quota.plan|help",
        "+quota.apikey|verify +quota.apikey|list +quota.apikey|help",
        "+rl.info +rl.peek +rl.breaker.info +rl.adapt.info +rl.leases",
        "+rl.policy|get +rl.policy|list +rl.policy|exceptions +rl.policy|check +rl.policy|help",
        f"{CLIENT} +scan +info +type",
    ),
}
# Programs of this package: the keys that they use besides those of accounts, and their commands.
FORWARDER_KEYS = "quota:forward:*"
PROGRAMS: dict[str, tuple[str, ...]] = {
    "forwarder": (
        "+quota.events|read +quota.events|info +quota.violations +quota.settle +quota.info +quota.cycle",
        "+rl.acquire +rl.renew +rl.release",
        "+get +set +exists +hgetall +hset +hsetnx +hdel +hincrby +hmget +zadd +zrem +zcard +zrangebyscore",
        "+sadd +xadd +xlen +watch +unwatch",
        f"{CLIENT} +scan +select",
    ),
    "exporter": (
        "+quota.health +quota.events|info +quota.info +quota.plan|get +quota.plan|list",
        "+rl.policy|get +rl.policy|list +rl.policy|exceptions",
        f"{CLIENT} +info +smembers +get +exists +select",
    ),
}
CLUSTER_OF_PROGRAMS = "+cluster|myid +role +hgetall"
# What shows every tenant, and what quotactl besides needs of the server.
ADMIN = (
    "+quota.violations +quota.events|read +quota.events|info +quota.events|help",
    "+type +role +config|get +cluster|slots +cluster|shards +cluster|nodes +cluster|myid +asking",
    "+smembers +srem +unlink +xrange +xdel",
    *PROGRAMS["forwarder"][2:4],
)
ALL = "~*"
READ_ONLY = frozenset({"auditor", "exporter"})


def without_client(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The commands of the module alone."""
    return tuple(line for line in lines if not line.startswith(CLIENT))


def lines_of(role: str, user: str, keys: str, secret: str, in_cluster: bool = False) -> list[str]:
    """The ACL SETUSER lines of a role. `keys` is a pattern of keys, `secret` what ACL SETUSER takes: >password or
    #digest."""
    readable = "%R" if role in READ_ONLY else ""
    pattern = f"{readable}~{keys}"
    if role in PROGRAMS and keys != "*":
        pattern += f" {readable}~{FORWARDER_KEYS}"
    if role == "admin":
        given = [line for lines in ROLES.values() for line in without_client(lines)]
        given += [*ADMIN, f"{CLIENT} +wait +scan +info"]
        pattern = ALL
    else:
        given = [*{**ROLES, **PROGRAMS}[role], *([CLUSTER] if in_cluster else [])]
        given += [CLUSTER_OF_PROGRAMS] if in_cluster and role in PROGRAMS else []
    return [f"ACL SETUSER {user} reset on {secret} {pattern}", *(f"ACL SETUSER {user} {line}" for line in given)]


@command()
@click.argument("role", type=click.Choice([*ROLES, *PROGRAMS, "admin"]))
@click.option("--user", metavar="NAME", help="The user's name. Default: the role's.")
@click.option("--keys", metavar="PATTERN", default="tenant:*", show_default=True,
              help="The keys that the user may use; an admin may use all.")
@click.option("--secret", metavar=">PASSWORD|#DIGEST", help="As ACL SETUSER takes it. Default: >ROLE-secret, which is "
                                                            "for you to replace.")
@click.option("--cluster", "in_cluster", is_flag=True, help="With the commands that clients of a cluster need.")
def acl(session: Session, role: str, user: str | None, keys: str, secret: str | None, in_cluster: bool) -> None:
    """Prints the ACL SETUSER lines of a consumer, an operator, an auditor, an admin, the forwarder or the exporter.

    For redis-cli: quotactl acl operator --keys 'acct:*' | redis-cli. Give the lines to every node, then ACL SAVE.
    """
    lines = lines_of(role, user or role, keys, secret or f">{role}-secret", in_cluster)
    if session.json:
        session.emit(lines)
    for line in lines:
        session.say(line)
