"""Another module has names of ours already, or comes for them later: neither keeps the other from its work.

    other.so, quota.so    ours stays away from what is taken, says so, and has everything else
    quota.so, other.so    the other one's load is its own affair: it finds the names taken, ours goes on

The other module is the few lines below, made by the machine's compiler.
"""

import os
import subprocess

import pytest

from conftest import NOON, Quota, assert_equal_digests
from servers import MODULE, ROOT, Server

NAMES = ("CL.THROTTLE", "RL.THROTTLE")
OTHER = """
#include "redismodule.h"
static int answer(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argv;
    return RedisModule_ReplyWithLongLong(ctx, argc);
}
int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    (void)argv;
    (void)argc;
    if (RedisModule_Init(ctx, "other", 1, REDISMODULE_APIVER_1)) return REDISMODULE_ERR;
    if (RedisModule_CreateCommand(ctx, "CL.THROTTLE", answer, "readonly", 0, 0, 0)) return REDISMODULE_ERR;
    return RedisModule_CreateCommand(ctx, "RL.THROTTLE", answer, "readonly", 0, 0, 0);
}
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The path of the other module."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "other.c").write_text(OTHER, encoding="utf-8")
    header = os.path.dirname(os.environ.get("REDISMODULE_H", str(ROOT / ".deps" / "redismodule.h")))
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-isystem", header, "-o", folder / "other.so",
                    folder / "other.c"], check=True)
    return str(folder / "other.so")


class ServerOfBoth(Server):
    """The other module is loaded first: a line of --loadmodule before that of ours."""

    def __init__(self, other, **options):
        super().__init__(loadmodule=other, **options)


def commands_of(quota, module):
    return {name.decode().upper() for name in quota.raw(f"COMMAND LIST FILTERBY MODULE {module}")}


@pytest.fixture
def ours():
    server = Server(enable_module_command="local").start()
    yield server
    server.close()


def test_a_name_that_is_taken_costs_us_that_command_and_no_other(other, ours):
    first, replica = ServerOfBoth(other, appendonly="yes"), Server(appendonly="yes")
    with_both = first.start()
    replica.start().follow(with_both)
    try:
        quota = Quota(with_both.client())
        for name in NAMES:
            assert f"{name} is taken already: that command is not ours on this server" in with_both.log()
        assert commands_of(quota, "other") == set(NAMES)
        everything = commands_of(Quota(ours.client()), "quota")
        assert commands_of(quota, "quota") == everything - set(NAMES) and set(NAMES) < everything
        quota("QUOTA.CLOCK FREEZE", NOON)
        assert quota("CL.THROTTLE k 15 30 60") == 5  # the other one's answer: how many words
        quota("QUOTA.PLAN SET p r LIMIT 10 day")
        quota("QUOTA.OPEN a p")
        assert quota("QUOTA.CONSUME a r 4 ID x") == quota("QUOTA.CONSUME a r 4 ID x")
        assert quota("RL.ALLOW k 10 1s COST 3") == [3, 10, 7, 0, 300, 0]
        assert quota("RL.ACQUIRE l 5 30s ID i")[:3] == [1, 5, 4]
        quota("RL.POLICY SET api 100 1m")
        assert quota("RL.ALLOW by POLICY api")[:2] == [1, 100]
        assert quota("RL.BREAKER b")[0] == quota("RL.ADAPT d 10 1000")[0] == 1
        assert_equal_digests(with_both, replica)  # the replica has no such module, and needs none
    finally:
        replica.close()
        with_both.close()


def test_who_comes_later_finds_the_names_taken_and_we_go_on(other, ours):
    quota = Quota(ours.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    before = quota("CL.THROTTLE k 15 30 60")
    everything = commands_of(quota, "quota")
    modules = [module[b"name"] for module in quota.client.module_list()]  # some servers have modules of their own
    assert "Error loading the extension" in quota.error("MODULE LOAD", other)
    assert [module[b"name"] for module in quota.client.module_list()] == modules
    assert b"quota" in modules and b"other" not in modules
    assert commands_of(quota, "quota") == everything
    assert quota("CL.THROTTLE k 15 30 60")[2] == before[2] - 1
    assert quota("RL.THROTTLE k 15 30 60 0")[2] == before[2] - 1
    quota("QUOTA.PLAN SET p r LIMIT 10 day")
    quota("QUOTA.OPEN a p")
    assert quota("QUOTA.CONSUME a r 4")[:3] == [4, 10, 6]
    digest = ours.digest()
    quota("DEBUG RELOAD")
    assert ours.digest() == digest


def test_our_own_module_is_not_loaded_twice(ours):
    quota = Quota(ours.client())
    quota("QUOTA.CLOCK FREEZE", NOON)
    assert quota("RL.ALLOW k 10 1s")[2] == 9
    assert "Error loading the extension" in quota.error("MODULE LOAD", MODULE)
    assert quota("RL.ALLOW k 10 1s")[2] == 8
