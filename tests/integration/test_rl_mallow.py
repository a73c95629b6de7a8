"""RL.MALLOW: many keys, one or many sets of rules, each for itself or all or none; clusters refuse other slots."""

import pytest
import redis

from conftest import Quota
from servers import Server, wait_until


def test_each_key_for_itself(quota):
    assert quota("RL.MALLOW 3 a b a WITH 2 10s COST 2") == [
        [2, 2, 0, 0, 10000, 0], [2, 2, 0, 0, 10000, 0], [0, 2, 0, 10000, 10000, 0]]
    assert quota("RL.MALLOW 2 c b WITH 2 10s PEEK") == [[1, 2, 2, 0, 0, 0], [0, 2, 0, 5000, 10000, 0]]
    assert quota("EXISTS c") == 0


def test_one_set_of_rules_for_each_key(quota):
    assert quota("RL.MALLOW 2 a b WITH 5 1s 9 1m WITH FIXED 3 1h COST 3") == [
        [3, 5, 2, 0, 600, 0], [3, 3, 0, 0, 3600000, 0]]
    assert quota("RL.ALLOW a 5 1s 9 1m PEEK")[2] == 2


def test_all_or_none(quota):
    quota("RL.ALLOW b 3 1h COST 2")
    denied = quota("RL.MALLOW 3 a b c WITH 3 1h ALL COST 2")
    assert denied == [[0, 3, 3, 0, 0, 0], [0, 3, 1, 1200000, 2400000, 0], [0, 3, 3, 0, 0, 0]]
    assert quota("EXISTS a c") == 0
    assert [verdict[0] for verdict in quota("RL.MALLOW 3 a b c WITH 3 1h ALL PEEK")] == [1, 1, 1]
    assert [verdict[0] for verdict in quota("RL.MALLOW 3 a b c WITH 3 1h ALL")] == [1, 1, 1]
    assert [quota(f"RL.ALLOW {key} 3 1h PEEK")[2] for key in "abc"] == [2, 0, 2]


def test_a_key_that_cannot_be_decided(quota):
    quota("SET string 1")
    first, wrong, last = quota("RL.MALLOW 3 a string c WITH 3 1h")
    assert (first[0], last[0]) == (1, 1)
    assert isinstance(wrong, redis.ResponseError) and "wrong kind" in str(wrong)
    assert "wrong kind" in quota.error("RL.MALLOW 2 d string WITH 3 1h ALL")
    assert "OVERFLOW" in quota.error("RL.MALLOW 2 d e WITH 1 1w BURST 9223372036854775807 COST 9223372036854775807 ALL")
    assert quota("EXISTS d e") == 0


@pytest.mark.parametrize("words, says", [
    ("0 WITH 1 1s", "numkeys '0'"), ("1001 a WITH 1 1s", "numkeys '1001'"), ("x a WITH 1 1s", "numkeys 'x'"),
    ("9 a b WITH 1 1s", "numkeys is greater"), ("1 a 1 1s WITH", "'1' where WITH is expected"),
    ("2 a b WITH 1 1s WITH 1 1s WITH 1 1s", "once for all keys"), ("2 a a WITH 1 1s ALL", "given twice"),
    ("1 a WITH 1 1s COST 0", "cost '0'"), ("1 a WITH 1 1s FORCE", "'FORCE'"),
    ("1 a WITH 1 1s ALL ALL", "given already"),
    ("1 a WITH x 1s", "limit 'x'"), ("1 a WITH 1", "period is missing")])
def test_wrong_words_are_named_and_change_nothing(quota, words, says):
    assert says in quota.error(f"RL.MALLOW {words}") or "wrong number" in quota.error(f"RL.MALLOW {words}")
    assert quota("EXISTS a b") == 0


def test_a_thousand_keys(quota):
    keys = [f"key:{i}" for i in range(1000)]
    assert sum(verdict[0] for verdict in quota("RL.MALLOW 1000", *keys, *"WITH 5 1h ALL COST 5".split())) == 5000
    assert sum(verdict[0] for verdict in quota("RL.MALLOW 1000", *keys, *"WITH 5 1h".split())) == 0


def test_keys_are_seen_by_the_server(quota):
    assert quota.raw("COMMAND GETKEYS RL.MALLOW 3 a b c WITH 3 1h ALL") == [b"a", b"b", b"c"]


def test_a_cluster_refuses_keys_of_several_slots():
    server = Server(cluster_enabled="yes").start()
    quota = Quota(server.client())
    quota("CLUSTER ADDSLOTSRANGE 0 16383")
    wait_until(lambda: b"cluster_state:ok" in quota.raw("CLUSTER INFO"), "no cluster")
    assert [verdict[0] for verdict in quota("RL.MALLOW 2 {user}:a {user}:b WITH 3 1h ALL")] == [1, 1]
    assert "slot" in quota.error("RL.MALLOW 2 a b WITH 3 1h")
    server.close()


def test_a_key_that_refuses_stores_what_its_new_rules_take_over(quota):
    quota("RL.ALLOW b TOKEN 10 1d COST 10")
    denied = quota("RL.MALLOW 2 a b WITH TOKEN 10 1m COST 3 ALL")  # b owes ten units from now on, at ten a minute
    assert denied == [[0, 10, 10, 0, 0, 0], [0, 10, 0, 18000, 60000, 0]]
    quota.advance("17999ms")
    assert quota("RL.MALLOW 2 a b WITH TOKEN 10 1m COST 3 PEEK ALL")[1][0] == 0
    quota.advance("1ms")
    assert [verdict[0] for verdict in quota("RL.MALLOW 2 a b WITH TOKEN 10 1m COST 3 ALL")] == [3, 3]


def test_terse(quota):
    assert quota("RL.MALLOW 3 k l k WITH 2 1s COST 2 TERSE") == [2, 2, -1000]
    assert quota("RL.MALLOW 2 k m WITH 2 1s TERSE ALL") == [-500, 0]
    assert quota("RL.MALLOW 2 k m WITH 2 1s TERSE ALL COST 3 PEEK") == [None, None]
