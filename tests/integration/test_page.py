"""Lists by pages: [COUNT n] [AFTER cursor] ──▶ [cursor or null, items], whatever comes or goes between two pages."""

import pytest

from conftest import as_map, clear_policies, paged, text


class List:
    """One of the lists: how an entry is made and taken away, and by what it is known."""

    def __init__(self, line, make, take, name="id", ready=()):
        self.line, self.make, self.take, self.name, self.ready = line, make, take, name, ready


LISTS = {
    "leases": List("RL.LEASES k", "RL.ACQUIRE k -1 1h ID {}", "RL.RELEASE k {}"),
    "holds": List("QUOTA.HOLDS a", "QUOTA.RESERVE a {} r 1 TTL 1h", "QUOTA.RELEASE a {}",
                  ready=("QUOTA.PLAN SET p r LIMIT 100000 month", "QUOTA.OPEN a p")),
    "plans": List("QUOTA.PLAN LIST", "QUOTA.PLAN SET {} r LIMIT 1 day", "RL._PLAN {}", "plan"),
    "policies": List("RL.POLICY LIST", "RL.POLICY SET {} 1 1s", "RL.POLICY DEL {}", "name"),
    "overrides": List("RL.POLICY EXCEPTIONS api OVERRIDE", "RL.POLICY OVERRIDE api {} 1 1s",
                      "RL.POLICY OVERRIDE api {}", "subject", ("RL.POLICY SET api 1 1s", "RL.POLICY PERMIT api other")),
    "subjects": List("RL.POLICY EXCEPTIONS api PERMIT", "RL.POLICY PERMIT api {}", "RL.POLICY LIFT api {}", "subject",
                     ("RL.POLICY SET api 1 1s", "RL.POLICY REFUSE api other", "RL.POLICY OVERRIDE api x 1 1s")),
}


@pytest.fixture
def policies(accounts):
    clear_policies(accounts)
    yield accounts
    clear_policies(accounts)


@pytest.fixture(params=LISTS)
def some(request, policies):
    kept = LISTS[request.param]
    for line in kept.ready:
        policies(line)
    return kept


def page_of(quota, some, words=""):
    cursor, items = quota(f"{some.line} {words}")
    return cursor, [as_map(item)[some.name] for item in items]


def take(quota, some, name):
    quota(some.take.format(name), *([""] if "_PLAN" in some.take else []))


def test_pages_are_joined_without_gap_or_repetition(policies, some):
    names = [f"n{number:03}" for number in range(257)]
    for name in names:
        policies(some.make.format(name))
    assert page_of(policies, some)[1] == names[:100]  # 100 is the default
    for count in (1, 100, 256, 257, 1000):
        found, after = [], ""
        while after is not None:
            cursor, page = page_of(policies, some, f"COUNT {count} {after}")
            assert len(page) == min(count, len(names) - len(found))
            found += page
            after = None if cursor is None else f"AFTER {text(cursor)}"
        assert found == names
        if count == 1:
            assert page_of(policies, some, "COUNT 257")[0] is None  # exactly all of them: nothing follows
    for name in names:
        take(policies, some, name)
    assert page_of(policies, some) == (None, [])


def test_what_comes_or_goes_moves_no_page(policies, some):
    for name in ("b", "d", "f", "h"):
        policies(some.make.format(name))
    cursor, page = page_of(policies, some, "COUNT 2")
    assert page == ["b", "d"]
    take(policies, some, "d")  # the cursor itself
    take(policies, some, "f")
    for name in ("a", "c", "j"):
        policies(some.make.format(name))
    rest = page_of(policies, some, f"AFTER {text(cursor)}")
    taken_later = ["a", "c"] if "LEASES" in some.line else []  # leases stand in the order in which they were taken
    assert rest == (None, ["h", *taken_later, "j"])
    for name in ("a", "b", "c", "h", "j"):
        take(policies, some, name)


@pytest.mark.parametrize("words, says", [
    ("COUNT 0", "count '0'"), ("COUNT 1001", "count '1001'"), ("COUNT -1", "count '-1'"), ("COUNT x", "count 'x'"),
    ("COUNT", "count is missing"), ("AFTER", "after is missing"), ("COUNT 1 COUNT 1", "given already"),
    ("LIMIT 5", "'LIMIT'"), ("7", "'7'")])
def test_what_is_no_page_is_an_error(policies, some, words, says):
    assert says in policies.error(f"{some.line} {words}")


def test_exceptions_of_all_kinds_in_one_list(policies):
    policies("RL.POLICY SET api 1 1s")
    for line in ("OVERRIDE api b 5 1m", "PERMIT api b", "REFUSE api a", "PERMIT api 10.0.0.0/8",
                 "REFUSE api 2001:db8::/32", "PERMIT api gone EX 1s", "OVERRIDE api gone 1 1s EX 1s",
                 "REFUSE api 10.9.0.0/16 EX 1s"):
        policies(f"RL.POLICY {line}")
    policies.advance("1s")
    everything = [
        {"subject": "b", "until": 0, "rules": ["GCRA 5 1m"]}, {"subject": "a", "until": 0, "list": "refuse"},
        {"subject": "b", "until": 0, "list": "permit"}, {"range": "10.0.0.0/8", "until": 0, "list": "permit"},
        {"range": "2001:db8::/32", "until": 0, "list": "refuse"}]
    assert paged(policies, "RL.POLICY EXCEPTIONS api") == everything
    cursors, found, after = [], [], ""
    while after is not None:
        cursor, page = policies(f"RL.POLICY EXCEPTIONS api COUNT 1 {after}")
        found += [as_map(item) for item in page]
        cursors.append(cursor and text(cursor))
        after = None if cursor is None else f"AFTER {text(cursor)}"
    assert found == everything
    assert cursors == ["o:b", "s:a", "s:b", "r:10.0.0.0/8", None]
    kinds = {"PERMIT": [2, 3], "REFUSE": [1, 4], "OVERRIDE": [0]}
    for kind, rows in kinds.items():
        assert paged(policies, f"RL.POLICY EXCEPTIONS api {kind}") == [everything[row] for row in rows]
    for cursor in ("b", "x:b", "o", "r:b", "r:10.0.0.1/8", ":"):
        assert "is not a cursor of this list" in policies.error(f"RL.POLICY EXCEPTIONS api AFTER {cursor}")
    assert "is not a cursor of this list" in policies.error("RL.LEASES k AFTER x")
    assert "no policy 'none'" in policies.error("RL.POLICY EXCEPTIONS none")


def test_odd_names_are_cursors_too(policies):
    names = [b"\0", b"\0\0", b"\r\n", b"a b", b"\xff" * 128]
    for name in names:
        policies("RL.POLICY SET", name, "1", "1s")
    found, after = [], ()
    while after is not None:
        cursor, page = policies("RL.POLICY LIST COUNT 1", *after)
        found += [dict(zip(page[0][::2], page[0][1::2]))[b"name"] if isinstance(page[0], list) else page[0][b"name"]]
        after = None if cursor is None else ("AFTER", cursor)
    assert found == names
