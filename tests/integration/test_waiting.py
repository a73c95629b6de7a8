"""RL.ALLOW ... WAIT: a place taken now, an answer when its moment has come; every way a waiting client can leave."""

import asyncio
import resource
import threading
import time

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from conftest import NOON_MS, Quota
from model import Key, Rule
from servers import Server, caught_up, wait_until


class Waiter(threading.Thread):
    """One client that asks and waits; its answer or its error."""

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
    assert quota("RL.ALLOW k 1 10s") == [0, 1, 0, 30000, 30000, 0]  # nobody overtakes
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
    assert quota("RL.ALLOW k QUEUE 1 10s BURST 2 WAIT 5s")[:4] == [1, 3, 0, 20000]  # too long to hold: told instead
    quota.advance("10s")
    assert waiter.done()[0] == 1


@pytest.mark.parametrize("leave", ["close", "CLIENT KILL ID", "CLIENT UNBLOCK TIMEOUT", "CLIENT UNBLOCK ERROR"])
def test_a_client_that_leaves_gives_its_place_back(quota, primary, leave):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    assert quota("RL.ALLOW k 1 10s PEEK")[3] == 20000
    if leave == "close":
        waiter.client.connection.disconnect()
    elif leave == "CLIENT KILL ID":
        quota("CLIENT KILL ID", str(waiter.id))
    else:
        quota("CLIENT UNBLOCK", str(waiter.id), leave.split()[-1])
    wait_until(lambda: quota("RL.ALLOW k 1 10s PEEK")[3] == 10000, "the place is not given back")
    if leave == "CLIENT UNBLOCK TIMEOUT":
        assert waiter.done() == [0, 1, 0, 10000, 10000, 0]
    if leave == "CLIENT UNBLOCK ERROR":
        waiter.done()
        assert "UNBLOCKED" in waiter.error
    quota.advance("10s")
    assert quota("RL.ALLOW k 1 10s")[0] == 1


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


@pytest.mark.parametrize("what", ["DEL k", "FLUSHALL", "UNLINK k", "SET k 1"])
def test_deleting_the_key_leaves_the_waiter_its_moment(quota, primary, what):
    quota("RL.ALLOW k 1 10s")
    waiter = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    second = Waiter(primary, "RL.ALLOW k 1 10s WAIT 1m")
    quota(what)
    second.client.connection.disconnect()  # gives back to a key that is not there any more
    quota.advance("10s")
    assert waiter.done()[0] == 1
    quota("DEL k")


def test_by_the_real_clock_without_polling(quota, primary):
    quota("QUOTA.CLOCK RESUME")
    quota("RL.ALLOW k 1 200ms")
    begun = time.monotonic()
    assert primary.client().execute_command("RL.ALLOW", "k", "1", "200ms", "WAIT", "5s")[0] == 1
    assert 0.1 < time.monotonic() - begun < 5
    wait_until(lambda: quota("DBSIZE") == 0, "the bucket stays")


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

    async def ask_and_wait():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"RL.ALLOW k 1 1s WAIT 1d\r\n")
        answer = [await reader.readline() for _ in range(7)]
        writer.close()
        return answer[:2]

    async def all_of_them():
        asks = [asyncio.create_task(ask_and_wait()) for _ in range(count)]
        while server.client().info("clients")["blocked_clients"] < count:
            await asyncio.sleep(0.05)
        before, begun = server.client().info("cpu")["used_cpu_user_main_thread"], time.monotonic()
        while time.monotonic() - begun < 1:  # how busy the server is while all of them wait
            await asyncio.sleep(0.1)
        busy = server.client().info("cpu")["used_cpu_user_main_thread"] - before
        assert server.client().info("quota")["quota_waiting"] == count
        quota.advance("1d")
        return busy, await asyncio.gather(*asks)

    busy, answers = asyncio.run(all_of_them())
    assert answers == [[b"*6\r\n", b":1\r\n"]] * count
    assert busy < 0.1, f"{busy} s of CPU in a second of waiting"
    print(f"{count} waiting clients: {busy:.3f} s of CPU in a second")
    server.close()


def test_a_demoted_primary_lets_its_waiters_go_and_keeps_the_queue(request):
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
    assert fresh("RL.ALLOW k 1 10s PEEK")[3] == 20000  # the place stays taken: nobody is admitted twice
    old.close()
    new.close()


class Waiting(RuleBasedStateMachine):
    """Clients that come, wait and leave, against the exact model: who waits is answered at his moment, never before."""

    quota = primary = None  # set by the test: one server for all examples

    @initialize(rule=st.sampled_from([Rule("GCRA", 2, 10_000_000), Rule("FIXED", 3, 10_000_000),
                                      Rule("LOG", 2, 10_000_000), Rule("SLIDING", 2, 10_000_000)]))
    def begin(self, rule):
        self.quota("FLUSHALL")
        self.quota("QUOTA.CLOCK FREEZE", str(NOON_MS))
        self.rule, self.key, self.now, self.waiting = rule, Key(), NOON_MS * 1000, []

    @rule(cost=st.integers(1, 2), patience_s=st.integers(1, 40))
    def ask_and_wait(self, cost, patience_s):
        expected = self.key.ask([self.rule], cost, "WAIT", self.now, patience_s * 1_000_000)
        line = f"RL.ALLOW k {self.rule.text()} COST {cost} WAIT {patience_s}s"
        if expected[0] and expected[3] > 0:
            self.waiting.append((self.now + expected[3] * 1000, cost, Waiter(self.primary, line)))
        else:
            assert self.quota(line) == expected

    @rule(cost=st.integers(1, 3), mode=st.sampled_from(["", "PEEK", "UPTO"]))
    def ask(self, cost, mode):
        line = f"RL.ALLOW k {self.rule.text()} COST {cost} {mode}"
        assert self.quota(line) == self.key.ask([self.rule], cost, mode, self.now)

    @rule(seconds=st.integers(1, 12))
    def advance(self, seconds):
        self.now += seconds * 1_000_000
        self.quota.advance(f"{seconds}s")
        due = [entry for entry in self.waiting if entry[0] <= self.now]
        self.waiting = [entry for entry in self.waiting if entry[0] > self.now]
        for _, cost, waiter in due:
            assert waiter.done()[0] == cost
        assert all(waiter.is_alive() for _, _, waiter in self.waiting), "answered too early"

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data):
        entry = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(entry)
        self.quota("CLIENT UNBLOCK", str(entry[2].id))
        assert entry[2].done()[0] == 0
        self.key.refund(entry[1], self.now)

    def teardown(self):
        for _, _, waiter in getattr(self, "waiting", []):
            waiter.client.connection.disconnect()
        wait_until(lambda: self.primary.client().info("clients")["blocked_clients"] == 0, "somebody still waits")


def test_any_coming_waiting_and_leaving_agrees_with_the_model(quota, primary):
    Waiting.quota, Waiting.primary = quota, primary
    run_state_machine_as_test(Waiting, settings=settings(
        max_examples=150, stateful_step_count=20, deadline=None, derandomize=True,
        suppress_health_check=list(HealthCheck)))
