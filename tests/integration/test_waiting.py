"""RL.ALLOW ... WAIT: a place in line, a charge and an answer when its moment has come; every way a client can leave.

    stored ──▶ first ──▶ second ──▶ last ──▶ newcomers        who leaves was never there; those behind move up
"""

import asyncio
import contextlib
import copy
import random
import resource
import signal
import threading
import time

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from conftest import NOON_MS, Quota
from model import Key, Rule
from servers import WRAPPER, Server, caught_up, wait_until


class Waiter(threading.Thread):
    """One client that sends a request and waits; its answer or its error."""

    def __init__(self, server, line, order=None):
        super().__init__(daemon=True)
        self.client = server.client(single_connection_client=True)
        self.id = self.client.client_id()
        self.line, self.order, self.answer, self.error = line, order, None, None
        before = server.client().info("clients")["blocked_clients"]
        self.start()
        wait_until(lambda: server.client().info("clients")["blocked_clients"] > before or not self.is_alive(),
                   "the client does not wait")

    def run(self):
        try:
            self.answer = self.client.execute_command(*self.line.split())
        except Exception as error:  # also what closing the socket under the reader raises
            self.error = str(error)
        if self.order is not None:
            self.order.append(self)

    def done(self):
        self.join(20)
        assert not self.is_alive(), "still waiting"
        return self.answer


def test_the_moment_comes_by_the_clock(quota, primary):
    assert quota("RL.ALLOW k 1 10s") == [1, 1, 0, 0, 10000, 0]
    first = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    second = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    assert quota("RL.ALLOW k 1 10s") == [0, 1, 0, 30000, 30000, 0]  # no request overtakes
    assert quota("RL.ALLOW k 1 10s WAIT 10s") == [0, 1, 0, 30000, 30000, 0]  # too long: denied, nothing taken
    assert quota.map("RL.INFO k")["taken_ms"] == 20000
    quota.advance("9999ms")
    assert first.is_alive() and second.is_alive()
    quota.advance("1ms")
    assert first.done() == [1, 1, 0, 0, 10000, 0]
    assert second.is_alive()
    quota.advance("10s")
    assert second.done() == [1, 1, 0, 0, 10000, 0]
    quota.advance("10s")
    assert quota("RL.ALLOW k 1 10s") == [1, 1, 0, 0, 10000, 0]


@pytest.mark.parametrize("rule, moments_s", [
    ("2 10s", [5, 10, 15]), ("TOKEN 2 10s", [5, 10, 15]), ("TOKEN 2 10s INTERVAL", [10, 10, 20]),
    ("LEAKY 2 10s", [5, 10, 15]), ("FIXED 2 10s", [10, 10, 20]), ("FIXED 2 10s FIRST", [10, 10, 20]),
    ("LOG 2 10s", [10, 10, 20]), ("SLIDING 2 10s", [15, 20, 30]), ("2 1s LOG 2 10s", [10, 10, 20])])
def test_places_are_given_first_come_first_served_and_never_too_many(quota, primary, rule, moments_s):
    assert quota(f"RL.ALLOW k {rule} COST 2")[0] == 2
    order = []
    waiters = [Waiter(primary, f"RL.ALLOW k {rule} WAIT 1h", order) for _ in moments_s]
    answered = []
    for second in range(1, 31):
        quota.advance("1s")
        due = [moment for moment in moments_s if moment <= second]
        for waiter in waiters[:len(due)]:
            assert waiter.done()[0] == 1
        assert all(waiter.is_alive() for waiter in waiters[len(due):]), f"too early at {second} s"
        answered = due
    assert answered == moments_s


def test_in_multi_scripts_and_pipelines(quota):
    quota("RL.ALLOW k 1 10s")
    with quota.client.pipeline(transaction=True) as multi:
        multi.execute_command("RL.ALLOW", "k", "1", "10s", "WAIT", "1m")
        multi.execute_command("RL.ALLOW", "k", "1", "10s", "WAIT", "1m", "PEEK")
        assert multi.execute() == [[1, 1, 0, 10000, 20000, 0], [1, 1, 0, 20000, 20000, 0]]
    script = "return redis.call('RL.ALLOW', KEYS[1], '1', '10s', 'WAIT', '1m')"
    assert quota.client.eval(script, 1, "k") == [1, 1, 0, 20000, 30000, 0]
    assert "WAIT does not go" in quota.error("RL.ALLOW k 1 10s WAIT 1m UPTO")
    assert "WAIT does not go" in quota.error("RL.ALLOW k 1 10s WAIT 1m FORCE")
    assert quota("RL.ALLOW k 1 10s COST 2 WAIT 1m")[3] == -1  # never is not waited for


def test_a_queue_holds_the_client_until_its_turn(quota, primary):
    assert quota("RL.ALLOW k QUEUE 1 10s BURST 2 WAIT 1m")[:4] == [1, 3, 2, 0]
    waiter = Waiter(primary, "RL.ALLOW k QUEUE 1 10s BURST 2 WAIT 1m")
    assert quota("RL.ALLOW k QUEUE 1 10s BURST 2 WAIT 5s")[:4] == [1, 3, 0, 20000]  # too long to hold: reported instead
    quota.advance("10s")
    assert waiter.done()[0] == 1


# ---- leaving ---------------------------------------------------------------------------------------------------

# Rules under which two units are all there is; QUEUE: one is served, one waits.
ALGORITHMS = ["2 10s", "1 5s BURST 2", "TOKEN 2 10s", "TOKEN 2 10s INTERVAL", "TOKEN 9 10s BURST 9 INITIAL 2",
              "LEAKY 2 10s", "QUEUE 2 10s BURST 1", "FIXED 2 10s", "FIXED 2 10s FIRST", "SLIDING 2 10s", "LOG 2 10s",
              "2 1s LOG 2 10s", "FIXED 2 10s SLIDING 2 1m", "POLICY two"]
WAYS = ["close", "CLIENT KILL ID {}", "CLIENT UNBLOCK {} TIMEOUT", "CLIENT UNBLOCK {} ERROR"]


@pytest.fixture
def policies(quota):
    quota("RL.POLICY SET two 2 10s LOG 3 1m")
    yield quota
    quota("RL.POLICY DEL two")


def leave(quota, waiter, way):
    if way == "close":
        waiter.client.connection.disconnect()
    else:
        quota(way.format(waiter.id))
    if "UNBLOCK" in way:
        waiter.done()


def wait_for_line(quota, count):
    wait_until(lambda: quota.client.info("quota")["quota_waiting"] == count, f"not {count} clients wait")


def as_stored(quota, primary):
    """Everything that can be seen of the key."""
    return primary.digest(), quota.map("RL.INFO k"), quota("PEXPIRETIME k"), quota("MEMORY USAGE k")


@pytest.mark.parametrize("rule", ALGORITHMS)
@pytest.mark.parametrize("way", WAYS)
def test_with_none_left_the_key_is_as_if_none_had_come(policies, primary, rule, way):
    policies(f"RL.ALLOW k {rule} COST 2")
    before, verdict = as_stored(policies, primary), policies(f"RL.ALLOW k {rule} PEEK")
    waiters = [Waiter(primary, f"RL.ALLOW k {rule} COST {cost} WAIT 1d") for cost in (1, 2, 1)]
    assert policies.map("RL.INFO k")["waiting"] == 3
    assert policies(f"RL.ALLOW k {rule} PEEK") != verdict
    for at in (1, 0, 2):
        leave(policies, waiters[at], way)
    wait_for_line(policies, 0)
    assert as_stored(policies, primary) == before
    assert policies(f"RL.ALLOW k {rule} PEEK") == verdict


@pytest.mark.parametrize("rule", ALGORITHMS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gone", [0, 1])
def test_those_behind_move_up(policies, primary, rule, way, gone):
    """Four wait, the first or the second leaves: the rest is answered at the moments of three, and not before."""
    policies(f"RL.ALLOW k {rule} COST 2")
    moments, waiters = [], []
    for _ in range(4):
        moments.append(policies(f"RL.ALLOW k {rule} PEEK WAIT 1d")[3])
        waiters.append(Waiter(primary, f"RL.ALLOW k {rule} WAIT 1d"))
    leave(policies, waiters.pop(gone), way)
    wait_for_line(policies, 3)
    newcomer = policies(f"RL.ALLOW k {rule} PEEK WAIT 1d")
    assert newcomer[3] == moments[3]
    now = 0
    for at, moment in enumerate(moments[:3]):
        if moment - 1 > now:
            policies.advance(f"{moment - 1 - now}ms")
            now = moment - 1
            assert all(waiter.is_alive() for waiter in waiters[at:]), f"before {moment} ms"
        policies.advance(f"{moment - now}ms")
        now = moment
        assert waiters[at].done()[0] == 1
    assert policies(f"RL.ALLOW k {rule} PEEK WAIT 1d")[3] == moments[3] - now


def test_what_unblocked_clients_are_answered(quota, primary):
    quota("RL.ALLOW k 1 10s")
    first, second, third = [Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m") for _ in range(3)]
    quota("CLIENT UNBLOCK", str(second.id))
    assert second.done()[:4] == [0, 1, 0, 20000]
    quota("CLIENT UNBLOCK", str(first.id))
    assert first.done() == [0, 1, 0, 10000, 10000, 0]
    quota("CLIENT UNBLOCK", str(third.id), "ERROR")
    third.done()
    assert "UNBLOCKED" in third.error
    assert quota("RL.ALLOW k 1 10s PEEK") == [0, 1, 0, 10000, 10000, 0]


def test_49_of_50_leave(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiters = [Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h") for _ in range(50)]
    for waiter in waiters[:-1]:
        waiter.client.connection.disconnect()
    wait_for_line(quota, 1)
    assert quota("RL.ALLOW k 1 10s PEEK")[3] == 20000
    quota.advance("10s")
    assert waiters[-1].done() == [1, 1, 0, 0, 10000, 0]


# ---- the key changes meanwhile -----------------------------------------------------------------------------------

@pytest.mark.parametrize("what", ["DEL k", "UNLINK k", "FLUSHALL", "FLUSHDB ASYNC", "RENAME k moved", "MOVE k 9",
                                  "SWAPDB 0 9", "PEXPIREAT k 1"])
def test_a_key_that_goes_away_is_judged_anew(quota, primary, what):
    """The line is the name's: the first is admitted at once, the others behind it."""
    quota("RL.ALLOW k 1 10s")
    first, second, third = [Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h") for _ in range(3)]
    quota(what)
    assert first.done() == [1, 1, 0, 0, 10000, 0]
    second.client.connection.disconnect()
    wait_for_line(quota, 1)
    assert quota("RL.ALLOW k 1 10s PEEK") == [0, 1, 0, 20000, 20000, 0]
    if what.startswith("RENAME"):
        assert quota("RL.ALLOW moved 1 10s PEEK") == [0, 1, 0, 10000, 10000, 0]
    quota.advance("10s")
    assert third.done() == [1, 1, 0, 0, 10000, 0]
    quota("FLUSHALL")


def test_a_key_that_takes_the_name_is_what_counts(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h")
    quota.advance("4s")
    quota("RL.ALLOW other 1 10s")
    quota("RENAME other k")
    assert quota("RL.ALLOW k 1 10s PEEK")[3] == 20000
    quota.advance("9999ms")
    assert quota.map("RL.INFO k")["waiting"] == 1
    quota.advance("1ms")
    assert waiter.done() == [1, 1, 0, 0, 10000, 0]


@pytest.mark.parametrize("what", ["DEL k", "RENAME k moved", "FLUSHALL"])
def test_what_was_charged_with_a_line_goes_to_no_other_key(quota, primary, what):
    """Charged because another one was charged at once behind it; then the key is gone, and the client leaves."""
    quota("RL.ALLOW k 1 10s")
    first, second = [Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h") for _ in range(2)]
    with quota.client.pipeline(transaction=True) as multi:
        multi.execute_command("RL.ALLOW", "k", "1", "10s", "WAIT", "1h")
        assert multi.execute() == [[1, 1, 0, 30000, 40000, 0]]
    quota(what)
    assert first.done() == [1, 1, 0, 0, 10000, 0]  # under the name's new state
    leave(quota, second, "close")
    wait_for_line(quota, 0)
    assert quota("RL.ALLOW k 1 10s PEEK") == [0, 1, 0, 10000, 10000, 0]
    if what.startswith("RENAME"):
        assert quota("RL.ALLOW moved 1 10s PEEK") == [0, 1, 0, 40000, 40000, 0]


@pytest.mark.parametrize("line", ["SET k 1", "RL.ACQUIRE k 1 1h"])
def test_a_key_that_becomes_something_else(quota, primary, line):
    quota("RL.ALLOW k 1 10s")
    first, second = [Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h") for _ in range(2)]
    with quota.client.pipeline(transaction=True) as multi:
        multi.delete("k")
        multi.execute_command(*line.split())
        multi.execute()
    for waiter in (first, second):
        waiter.done()
        assert "WRONGTYPE" in waiter.error


def test_more_is_taken_than_the_line_knew(quota, primary):
    """FORCE and RL.BLOCK move all moments; who would be admitted too late is denied then, the others wait on."""
    quota("RL.ALLOW k 1 10s")
    hasty, patient = Waiter(primary, "RL.ALLOW k 1 10s WAIT 15s"), Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h")
    assert quota("RL.ALLOW k 1 10s FORCE")[0] == 1
    assert hasty.done() == [0, 1, 0, 20000, 20000, 0]
    assert quota("RL.ALLOW k 1 10s PEEK")[3] == 30000
    quota("RL.BLOCK k 25s")
    quota.advance("24999ms")
    assert patient.is_alive()
    quota("RL.REFUND k 1")
    quota.advance("1ms")
    assert patient.done() == [1, 1, 0, 0, 10000, 0]


def test_units_that_come_back_go_to_the_first(quota, primary):
    quota("RL.ALLOW k 2 20s COST 2")
    first, second = Waiter(primary, "RL.ALLOW k 2 20s COST 2 WAIT 1h"), Waiter(primary, "RL.ALLOW k 2 20s WAIT 1h")
    assert quota("RL.REFUND k 1") == 1
    assert quota("RL.ALLOW k 2 20s PEEK")[3] == 30000
    assert first.is_alive()
    quota("RL.REFUND k 1")
    assert first.done()[0] == 2 and second.is_alive()
    quota("RL.ALLOW k 2 20s COST 1 FORCE")
    quota("RL.BLOCK k 1h")
    quota("RL.BLOCK k 0")
    quota.advance("20s")
    assert second.done()[0] == 1


def test_newcomers_of_every_kind_are_judged_behind_the_line(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    assert quota("RL.ALLOW k 1 10s UPTO")[:4] == [0, 1, 0, 20000]
    assert quota("RL.ALLOW k -1 10s")[:4] == [0, -1, 0, 10000]
    assert quota("RL.MALLOW 2 k j WITH 1 10s ALL") == [[0, 1, 0, 20000, 20000, 0], [0, 1, 1, 0, 0, 0]]
    assert quota("RL.MALLOW 1 k WITH 1 10s") == [[0, 1, 0, 20000, 20000, 0]]
    assert quota("CL.THROTTLE k 0 1 10") == [1, 1, 0, 20, 20]
    assert quota.map("RL.INFO k")["taken_ms"] == 10000
    assert quota("RL.ALLOW k 1 10s BLOCK 1h")[3] == 3600_000  # a denial like any other: it blocks
    assert waiter.done() == [0, 0, 0, 3600_000, 3600_000, -1]


def test_rules_that_change_while_clients_wait(quota, primary):
    """Each brings its own; what was used is taken over when the client with other rules is the first."""
    quota("RL.ALLOW k 10 1d COST 10")
    waiter = Waiter(primary, "RL.ALLOW k TOKEN 10 10s WAIT 1h")  # ten units are owed: one comes back in a second
    quota.advance("1s")
    assert waiter.done() == [1, 10, 0, 0, 10000, 0]
    first, second = [Waiter(primary, f"RL.ALLOW k {rule} WAIT 1h") for rule in ("TOKEN 10 10s", "FIXED 10 1m")]
    quota.advance("1s")
    assert first.done()[0] == 1 and second.is_alive()
    quota.advance("58s")  # the minute is over
    assert second.done()[:3] == [1, 10, 9]


def test_a_policy_that_changes_while_clients_wait(policies, primary):
    """They are judged anew at once: slower, faster, permitted, or without a policy at all."""
    policies("RL.ALLOW k POLICY two COST 2")
    waiters = [Waiter(primary, f"RL.ALLOW k POLICY two SUBJECT {name} WAIT 1h") for name in "abcdef"]
    policies("RL.POLICY SET two 2 20s")
    policies.advance("9999ms")
    assert all(waiter.is_alive() for waiter in waiters)
    policies.advance("1ms")
    assert waiters[0].done()[0] == 1
    policies("RL.POLICY SET two 2 2s")
    policies.advance("1s")
    assert waiters[1].done()[0] == 1 and waiters[2].is_alive()
    policies("RL.POLICY PERMIT two c")
    assert waiters[2].done() == [1, -1, -1, 0, 0, -1]
    policies("RL.POLICY REFUSE two d")
    assert waiters[3].done()[0] == 0 and waiters[4].is_alive()
    policies("RL.POLICY DEL two")
    for waiter in waiters[4:]:
        waiter.done()
        assert waiter.error.startswith("NOPOLICY")
    policies("RL.POLICY SET two 2 10s")


def test_a_schedule_that_begins_while_clients_wait(quota, primary):
    """It is 15:00. A moment under the rules until 15:05 is none under those that follow: then it is found anew."""
    quota("RL.POLICY SET hours 10 10m SCHEDULE UTC mon-sun 14:00-15:00 5 50m SCHEDULE UTC mon-sun 15:05-18:00 5 50m")
    quota("QUOTA.CLOCK ADVANCE -10m")
    quota("RL.ALLOW k POLICY hours COST 5")  # they come back until 15:40
    quota.advance("10m")
    quota("RL.ALLOW k POLICY hours COST 10")
    hasty, patient = [Waiter(primary, f"RL.ALLOW k POLICY hours COST 5 WAIT {time}") for time in ("20m", "2h")]
    quota.advance("5m")
    assert hasty.done()[:4] == [0, 5, 1, 2100_000]
    quota.advance("34m")
    assert quota.map("RL.INFO k")["waiting"] == 1
    quota.advance("1m")
    assert patient.done()[:2] == [5, 5]
    quota("RL.POLICY DEL hours")


def test_in_shadow_none_waits(quota):
    quota("RL.POLICY SET quiet 1 10s SHADOW")
    quota("RL.ALLOW k POLICY quiet")
    assert quota("RL.ALLOW k POLICY quiet WAIT 1h")[:4] == [1, 1, 0, 0]
    quota("RL.POLICY DEL quiet")


def test_a_cost_for_each_rule(quota, primary):
    """500 calls and 30,000 tokens a minute: the tokens decide; what leaves after it was charged goes back by rule."""
    rules = "500 1m 30000 1m"
    quota(f"RL.ALLOW k {rules} COST 1 30000")
    first, second = [Waiter(primary, f"RL.ALLOW k {rules} COST {cost} WAIT 1h") for cost in ("1 500", "400 10000")]
    assert quota(f"RL.ALLOW k {rules} COST 0 1 PEEK WAIT 1h")[3] == 21_002
    leave(quota, first, "close")
    wait_for_line(quota, 1)
    with quota.client.pipeline(transaction=True) as multi:
        multi.execute_command("RL.ALLOW", "k", *rules.split(), "COST", 1, 20000, "WAIT", "1h")
        assert multi.execute()[0][:4] == [20000, 30000, 0, 60_000]
    leave(quota, second, "close")
    wait_for_line(quota, 0)
    wait_until(lambda: quota.map("RL.INFO k")["rules"][1]["reset_ms"] == 100_000, "they do not go back")


def test_costs_for_rules_of_a_policy_that_change(policies, primary):
    policies("RL.ALLOW k POLICY two COST 2")
    waiters = [Waiter(primary, f"RL.ALLOW k POLICY two COST {cost} WAIT 1h") for cost in ("1 1", "1")]
    policies("RL.POLICY SET two 2 10s")
    waiters[0].done()
    assert "another number of rules" in waiters[0].error
    policies.advance("5s")
    assert waiters[1].done()[0] == 1


def test_a_bucket_that_begins_with_a_client_that_waits(quota, primary):
    waiter = Waiter(primary, "RL.ALLOW k TOKEN 10 10s INITIAL 0 COST 5 WAIT 1h")
    quota.advance("4999ms")
    assert quota.map("RL.INFO k")["waiting"] == 1
    quota.advance("1ms")
    assert waiter.done()[:3] == [5, 10, 0]


def test_a_key_that_would_be_new_when_memory_is_full(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h")
    quota("CONFIG SET maxmemory 1")
    quota("DEL k")
    waiter.done()
    quota("CONFIG SET maxmemory 0")
    assert "maxmemory" in waiter.error and quota("EXISTS k") == 0


# ---- charged at once, behind those that wait --------------------------------------------------------------------

def test_what_is_charged_at_once_behind_a_line(quota, primary):
    """In MULTI the answer comes at once, with the moment behind the line; clients that leave then give units back."""
    quota("RL.ALLOW k FIXED 1 10s")
    first, second = [Waiter(primary, "RL.ALLOW k FIXED 1 10s WAIT 1h") for _ in range(2)]
    with quota.client.pipeline(transaction=True) as multi:
        multi.execute_command("RL.ALLOW", "k", "FIXED", "1", "10s", "WAIT", "1h")
        assert multi.execute() == [[1, 1, 0, 30000, 40000, 0]]
    assert quota("RL.ALLOW k FIXED 1 10s PEEK")[3] == 40000
    third = Waiter(primary, "RL.ALLOW k FIXED 1 10s WAIT 1h")
    quota.advance("10s")
    assert first.done() == [1, 1, 0, 0, 10000, 0]
    quota.advance("10s")
    assert second.done()[0] == 1
    quota.advance("19999ms")
    assert third.is_alive()
    quota.advance("1ms")
    assert third.done()[0] == 1


@pytest.mark.parametrize("after", ["", "RL.ALLOW k LOG 5 1h FORCE"])
def test_units_go_back_only_to_the_rules_they_were_taken_under(quota, primary, after):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1h")
    with quota.client.pipeline(transaction=True) as multi:
        multi.execute_command("RL.ALLOW", "k", "1", "10s", "WAIT", "1h")
        multi.execute()
    if after:
        quota(after)
    before = quota.map("RL.INFO k")["rules"]
    waiter.client.connection.disconnect()
    wait_for_line(quota, 0)
    wait_until(lambda: (quota.map("RL.INFO k")["rules"] == before) == bool(after), "units went where they should not")


def test_a_queue_admits_behind_those_it_holds(quota, primary):
    rule = "QUEUE 1 10s BURST 3"
    quota(f"RL.ALLOW k {rule}")
    first, second = [Waiter(primary, f"RL.ALLOW k {rule} WAIT 1h") for _ in range(2)]
    assert quota(f"RL.ALLOW k {rule}")[:4] == [1, 4, 0, 30000]  # it has its place, and acts then
    assert quota(f"RL.ALLOW k {rule}")[:2] == [0, 4]
    quota.advance("10s")
    assert first.done()[0] == 1 and second.is_alive()
    leave(quota, second, "close")
    wait_until(lambda: quota(f"RL.ALLOW k {rule} PEEK")[3] == 20000, "its place does not come back")


def test_who_leaves_gives_each_rule_its_own_cost_back(quota, primary):
    rules = "10 10s 1000 10s"
    quota(f"RL.ALLOW k {rules} COST 1 1000")
    waiter = Waiter(primary, f"RL.ALLOW k {rules} COST 2 600 WAIT 1m")
    assert quota(f"RL.ALLOW k {rules} COST 1 1 PEEK")[3] == 6010
    waiter.client.connection.disconnect()
    wait_until(lambda: primary.client().info("clients")["blocked_clients"] == 0, "the client is not gone")
    quota.advance("6010ms")
    assert quota(f"RL.ALLOW k {rules} COST 10 0 PEEK")[:3] == [10, 10, 10]
    assert quota(f"RL.ALLOW k {rules} COST 0 601 PEEK")[:3] == [601, 1000, 601]
    waiter = Waiter(primary, f"RL.ALLOW k {rules} COST 10 700 WAIT 1m")
    quota.advance("990ms")
    assert waiter.done() == [10, 10, 0, 0, 10000, 0]


def test_a_place_whose_moment_has_come_is_used(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    quota.advance("10s")
    waiter.done()
    waiter.client.close()
    assert quota("RL.ALLOW k 1 10s")[0] == 0


def test_by_the_real_clock_without_polling(quota, primary):
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ALLOW k 1 200ms")
    begun = time.monotonic()
    assert primary.client().execute_command("RL.ALLOW", "k", "1", "200ms", "WAIT", "5s")[0] == 1
    assert 0.1 < time.monotonic() - begun < 5
    wait_until(lambda: quota("DBSIZE") == 0, "the bucket stays")


@contextlib.contextmanager
def stalls(server, seconds):
    """Holds the server's process up again and again for a random time of up to so many seconds; 0 = never."""
    over = threading.Event()

    def hold_up():
        while seconds and not over.wait(random.uniform(0.0005, 0.01)):
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(random.uniform(0, seconds))
            server.process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=hold_up)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("stalled_s", [0, 0.01, 0.03], ids=["in time", "late", "later"])
@pytest.mark.parametrize("rule", ["1000 1s BURST 1", "QUEUE 1000 1s", "TOKEN 500 1s BURST 1", "TOKEN 500 1s BURST 3"])
def test_late_timers_win_no_unit(rule, stalled_s):
    """Keys that live for a millisecond have gone when the next is charged at its moment, which is a little ago."""
    server = Server().start()

    async def wait_again_and_again(until):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        granted = 0
        while time.monotonic() < until:
            writer.write(f"RL.ALLOW k {rule} WAIT 10s\r\n".encode())
            answer = [await reader.readline() for _ in range(7)]
            granted += answer[1] == b":1\r\n"
        writer.close()
        return granted

    async def all_of_them():
        until = time.monotonic() + 1
        return sum(await asyncio.gather(*(wait_again_and_again(until) for _ in range(30))))

    with stalls(server, stalled_s):
        begun = time.monotonic()
        granted = asyncio.run(all_of_them())
        took_s = time.monotonic() - begun
    rate, burst = 500 if "500" in rule else 1000, 3 if "BURST 3" in rule else 1
    assert 10 < granted <= took_s * rate + burst
    server.close()


@pytest.mark.parametrize("line", [
    "RL.ALLOW k 1000 1s BURST 1 WAIT 20ms", "RL.ACQUIRE l 1 5ms WAIT 6ms",
    "QUOTA.EVENTS READ AFTER $ WAIT 5ms TYPE quota.account.*"])
def test_clients_are_called_as_their_time_ends(line):
    """Both in one pass of a late server, which lives on: Redis 7.2 and Valkey do not bear it of their own timeouts."""
    server = Server().start()
    Quota(server.client())("QUOTA.PLAN SET p r LIMIT 1 day")

    def wait_again_and_again(until):
        client = server.client()
        while time.monotonic() < until:
            client.execute_command(*line.split())

    with stalls(server, 0.01):
        until = time.monotonic() + 2
        threads = [threading.Thread(target=wait_again_and_again, args=(until,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        quota, number = Quota(server.client()), 0
        while time.monotonic() < until:
            quota(f"QUOTA.OPEN a{number} p")
            number += 1
            time.sleep(0.002)
        for thread in threads:
            thread.join()
    assert server.client().ping()
    server.close()


def test_a_client_that_leaves_while_writes_are_paused(quota, primary):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    quota("CLIENT PAUSE 100000 WRITE")
    waiter.client.connection.disconnect()
    wait_until(lambda: quota.client.info("clients")["blocked_clients"] == 0, "still there")
    quota("CLIENT UNPAUSE")
    wait_until(lambda: quota("RL.ALLOW k 1 10s PEEK")[3] == 10000, "the place is not given back")


def test_a_long_wait_does_not_make_the_server_spin():
    """Redis 7.0 overflows when a module timer fires and the next is more than 35 minutes away: it fires ever again."""
    server = Server().start()
    for period in ("1h", "300ms"):
        server.client().execute_command("RL.ALLOW", period, "1", period)
    long, short = Waiter(server, "RL.ALLOW 1h 1 1h WAIT 2h"), Waiter(server, "RL.ALLOW 300ms 1 300ms WAIT 2h")
    assert short.done()[0] == 1
    before, begun = server.client().info("cpu")["used_cpu_user_main_thread"], time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 1, "a second")
    assert server.client().info("cpu")["used_cpu_user_main_thread"] - before < 0.3
    assert long.is_alive()
    server.close()


def test_ten_thousand_wait_while_the_server_rests():
    count = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 500)), hard))
    server = Server(maxclients=str(count + 50)).start()
    quota = Quota(server.client())
    quota("QUOTA.CLOCK FREEZE", str(NOON_MS))
    quota("RL.ALLOW k 1 1s")

    async def request_and_wait():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"RL.ALLOW k 1 1s WAIT 1d\r\n")
        answer = [await reader.readline() for _ in range(7)]
        writer.close()
        return answer[:2]

    async def all_of_them():
        requests = [asyncio.create_task(request_and_wait()) for _ in range(count)]
        while server.client().info("clients")["blocked_clients"] < count:
            await asyncio.sleep(0.05)
        before, begun = server.client().info("cpu")["used_cpu_user_main_thread"], time.monotonic()
        while time.monotonic() - begun < 1:  # how busy the server is while all of them wait
            await asyncio.sleep(0.1)
        busy = server.client().info("cpu")["used_cpu_user_main_thread"] - before
        assert server.client().info("quota")["quota_waiting"] == count
        quota.advance("1d")
        return busy, await asyncio.gather(*requests)

    async def all_of_them_leave():
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(count)]
        for _, writer in opened:
            writer.write(b"RL.ALLOW k 1 1s WAIT 1d\r\n")
        while server.client().info("clients")["blocked_clients"] < count - 1:  # the first may be admitted
            await asyncio.sleep(0.05)
        before = server.client().info("cpu")["used_cpu_user_main_thread"]
        for _, writer in opened:
            writer.close()
        while server.client().info("clients")["blocked_clients"] > 0:
            await asyncio.sleep(0.05)
        return server.client().info("cpu")["used_cpu_user_main_thread"] - before

    busy, answers = asyncio.run(all_of_them())
    assert answers == [[b"*6\r\n", b":1\r\n"]] * count
    assert busy < (1 if WRAPPER else 0.1), f"{busy} s of CPU in a second of waiting"
    print(f"{count} waiting clients: {busy:.3f} s of CPU in a second")
    busy = asyncio.run(all_of_them_leave())
    assert busy < 2, f"{busy} s of CPU while {count} leave"  # a line that is looked through each time takes longer
    assert quota("RL.ALLOW k 1 1s PEEK")[0] == 1 or quota("RL.ALLOW k 1 1s PEEK")[3] <= 1000
    server.close()


def test_a_demoted_primary_lets_its_waiters_go():
    old, new = Server().start(), Server().start()
    new.follow(old)
    quota = Quota(old.client())
    quota("QUOTA.CLOCK FREEZE", str(NOON_MS))
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(old, "RL.ALLOW k 1 10s WAIT 1m")
    caught_up(old, new)
    new.client().execute_command("REPLICAOF", "NO", "ONE")
    old.follow(new)
    waiter.join(20)
    assert "UNBLOCKED" in waiter.error
    fresh = Quota(new.client())
    fresh("QUOTA.CLOCK FREEZE", str(NOON_MS))
    assert fresh("RL.ALLOW k 1 10s PEEK")[3] == 10000  # nothing was charged for a client that did not get its answer
    old.close()
    new.close()


class Waiting(RuleBasedStateMachine):
    """Clients that come, wait and leave, against the exact model: a waiter is answered at its moment, never before.

    The model's key has only what is charged; places are found in copies of it, with the charges of those ahead."""

    quota = primary = None  # set by the test: one server for all examples

    @initialize(rules=st.sampled_from([[Rule("GCRA", 2, 10_000_000)], [Rule("FIXED", 3, 10_000_000)],
                                       [Rule("LOG", 2, 10_000_000)], [Rule("SLIDING", 2, 10_000_000)],
                                       [Rule("GCRA", 2, 10_000_000), Rule("LOG", 3, 30_000_000)],
                                       [Rule("FIXED", 4, 20_000_000), Rule("GCRA", 2, 5_000_000)]]))
    def begin(self, rules):
        self.quota("FLUSHALL")
        self.quota("QUOTA.CLOCK FREEZE", str(NOON_MS))
        self.rules, self.key, self.now, self.waiting = rules, Key(), NOON_MS * 1000, []

    def text(self):
        return " ".join(rule.text() for rule in self.rules)

    def behind_the_line(self):
        key = copy.deepcopy(self.key)
        for cost, until, _ in self.waiting:
            assert key.request(self.rules, cost, "WAIT", self.now, until - self.now)[0] == cost
        return key

    @rule(cost=st.integers(1, 2), patience_s=st.integers(1, 40))
    def request_and_wait(self, cost, patience_s):
        expected = self.behind_the_line().request(self.rules, cost, "WAIT", self.now, patience_s * 1_000_000)
        line = f"RL.ALLOW k {self.text()} COST {cost} WAIT {patience_s}s"
        if expected[0] and expected[3] > 0:
            self.waiting.append((cost, self.now + patience_s * 1_000_000, Waiter(self.primary, line)))
        else:
            assert self.quota(line) == expected
            if expected[0]:
                self.key.request(self.rules, cost, "", self.now)

    @rule(cost=st.integers(1, 3), mode=st.sampled_from(["", "PEEK", "UPTO"]))
    def request(self, cost, mode):
        line = f"RL.ALLOW k {self.text()} COST {cost} {mode}"
        expected = self.behind_the_line().request(self.rules, cost, mode, self.now)
        assert self.quota(line) == expected
        if expected[0] and mode != "PEEK":
            assert not self.waiting, "a request overtakes"
            self.key.request(self.rules, cost, mode, self.now)

    @rule(cost=st.integers(1, 2))
    def force(self, cost):
        """Those whose moment is beyond their time then are denied, the others wait on."""
        line = f"RL.ALLOW k {self.text()} COST {cost} FORCE"
        assert self.quota(line) == self.key.request(self.rules, cost, "FORCE", self.now)
        key = copy.deepcopy(self.key)
        for entry in list(self.waiting):
            units, until, waiter = entry
            if key.request(self.rules, units, "WAIT", self.now, until - self.now)[0] == 0:
                assert waiter.done()[0] == 0
                self.waiting.remove(entry)
        assert all(waiter.is_alive() for _, _, waiter in self.waiting)

    @rule(what=st.sampled_from(["DEL k", "FLUSHALL", "RENAME k elsewhere", "SET k 1"]))
    def go_away(self, what):
        if self.quota("EXISTS k") == 0:
            return
        with self.quota.client.pipeline(transaction=True) as multi:
            multi.execute_command(*what.split())
            multi.delete("k", "elsewhere")
            multi.execute()
        self.key = Key()
        self.advance(0)

    @rule(seconds=st.integers(1, 12))
    def advance(self, seconds):
        end = self.now + seconds * 1_000_000
        self.quota.advance(f"{seconds}s")
        while self.waiting:
            cost, until, waiter = self.waiting[0]
            wait_ms = copy.deepcopy(self.key).request(self.rules, cost, "WAIT", self.now, until - self.now)[3]
            if self.now + wait_ms * 1000 > end:
                break
            self.now += wait_ms * 1000
            assert waiter.done()[0] == self.key.request(self.rules, cost, "", self.now)[0] == cost
            del self.waiting[0]
        self.now = end
        assert all(waiter.is_alive() for _, _, waiter in self.waiting), "answered too early"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data):
        entry = data.draw(st.sampled_from(self.waiting))
        first = entry is self.waiting[0]
        self.waiting.remove(entry)
        self.quota("CLIENT UNBLOCK", str(entry[2].id))
        assert entry[2].done()[0] == 0
        if first and self.waiting:  # the next may be admitted at once: a smaller cost
            self.advance(0)

    def teardown(self):
        for _, _, waiter in getattr(self, "waiting", []):
            waiter.client.connection.disconnect()
        wait_until(lambda: self.primary.client().info("clients")["blocked_clients"] == 0, "a client still waits")


def test_any_coming_waiting_and_leaving_agrees_with_the_model(quota, primary):
    Waiting.quota, Waiting.primary = quota, primary
    run_state_machine_as_test(Waiting, settings=settings(
        max_examples=150, stateful_step_count=20, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck)))
