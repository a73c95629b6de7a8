"""API keys: who may spend from an account, for what, how fast; verified and charged in one step."""

import contextlib
import hashlib

import pytest

from conftest import NOON_MS, Quota, as_fields, as_map, assert_equal_digests, text
from servers import Server, caught_up, wait_until, writes_no_file

HOUR_MS = 3_600_000


def digest(secret):
    return hashlib.sha256(secret.encode()).hexdigest()


ONE, TWO, THREE = (digest(secret) for secret in ("sk_acme_one", "sk_acme_two", "sk_acme_three"))


@pytest.fixture
def acme(accounts):
    accounts("QUOTA.PLAN SET pro calls RATE 50 10s LIMIT 100 month")
    accounts("QUOTA.PLAN SET pro images LIMIT 10 month")
    accounts(f"QUOTA.OPEN a pro ANCHOR {NOON_MS}")
    return accounts


def plain(key):
    """One key of the list as text; as_map would take two scopes for a map."""
    return {text(name): [text(one) for one in value] if isinstance(value, list) else text(value)
            for name, value in as_fields(key).items()}


def paged_keys(quota, account="a", count=100):
    """All pages: the reply is a cursor and a page."""
    found, after = [], ""
    while True:
        cursor, page = quota(f"QUOTA.APIKEY LIST {account} COUNT {count} {after}")
        found += [plain(key) for key in page]
        if cursor is None:
            return found
        after = f"AFTER {text(cursor)}"


# ---- what is answered -----------------------------------------------------------------------------------------

STREAMS = {
    "a key is verified and charged in one step": [
        (f"APIKEY SET a {ONE}", b"OK"), (f"CONSUME a calls 1 APIKEY {ONE}", [1, 50, 49, 0, 200, 0]),
        (f"MCONSUME a 2 calls 2 images 3 APIKEY {ONE.upper()}", [[2, 50, 47, 0, 600, 0],
                                                                [3, 10, 7, 0, 2419200000, 0]]),
        (f"RESERVE a h calls 4 TTL 1h APIKEY {ONE}", [4, 50, 43, 0, 1400, 0]),
        (f"CHECK a calls 5 APIKEY {ONE}", [[5, 50, 43, 0, 1400, 0]]), ("COMMIT a h", [4, 0, 93])],
    "unknown keys": [
        (f"CONSUME a calls 1 APIKEY {ONE}", "NOKEY the account has no such API key"),
        (f"CHECK a calls 1 APIKEY {ONE}", "NOKEY the account has no such API key"),
        (f"MCONSUME a 1 calls 1 APIKEY {ONE}", "NOKEY the account has no such API key"),
        (f"RESERVE a x calls 1 TTL 1h APIKEY {ONE}", "NOKEY the account has no such API key"),
        (f"APIKEY VERIFY a {ONE}", "NOKEY the account has no such API key"),
        (f"APIKEY ROTATE a {ONE} {TWO}", "NOKEY the account has no such API key"),
        (f"APIKEY REVOKE a {ONE}", 0)],
    "what was revoked does not come back": [
        (f"APIKEY SET a {ONE}", b"OK"), (f"APIKEY REVOKE a {ONE[:8]}", 1), (f"APIKEY REVOKE a {ONE}", 0),
        (f"CONSUME a calls 1 APIKEY {ONE}", "NOKEY the API key was revoked"),
        (f"APIKEY SET a {ONE}", "NOKEY the API key was revoked"),
        (f"APIKEY ROTATE a {ONE} {TWO}", "NOKEY the API key was revoked")],
    "a rotation with a grace": [
        (f"APIKEY SET a {ONE}", b"OK"), (f"APIKEY ROTATE a {ONE[:8]} {TWO} GRACE 1h", NOON_MS + HOUR_MS),
        (f"APIKEY VERIFY a {ONE}", b"OK"), (f"APIKEY VERIFY a {TWO}", b"OK"), ("+1h", 0),
        (f"CONSUME a calls 1 APIKEY {ONE}", "NOKEY the API key was rotated"), (f"APIKEY VERIFY a {TWO}", b"OK"),
        (f"APIKEY ROTATE a {TWO} {THREE}", NOON_MS + HOUR_MS),
        (f"APIKEY VERIFY a {TWO}", "NOKEY the API key was rotated")],
    "the old one ends with its expiry at the latest": [
        (f"APIKEY SET a {ONE} EXPIRES 30m", b"OK"), (f"APIKEY ROTATE a {ONE} {TWO} GRACE 1h", NOON_MS + HOUR_MS // 2),
        (f"APIKEY ROTATE a {TWO} {TWO}", "the new API key is known to the account already"), ("+30m", 0),
        (f"APIKEY VERIFY a {TWO}", "NOKEY the API key has expired"),
        (f"APIKEY SET a {TWO} EXPIRES {NOON_MS + HOUR_MS}", b"OK"), (f"APIKEY VERIFY a {TWO}", b"OK")],
    "scopes": [
        (f"APIKEY SET a {ONE} SCOPES 2 read write", b"OK"), (f"APIKEY VERIFY a {ONE} SCOPE write", b"OK"),
        (f"CONSUME a calls 1 APIKEY {ONE} SCOPE read", [1, 50, 49, 0, 200, 0]),
        (f"CONSUME a calls 1 APIKEY {ONE} SCOPE admin", "NOSCOPE the API key lacks the scope 'admin'"),
        (f"APIKEY VERIFY a {ONE} SCOPE admin", "NOSCOPE the API key lacks the scope 'admin'"),
        (f"APIKEY SET a {TWO}", b"OK"), (f"APIKEY VERIFY a {TWO} SCOPE admin", b"OK")],
    "its rates come with the number 90 and up, and bound all resources together": [
        (f"APIKEY SET a {ONE} RATE 5 1m RATE 6 1h", b"OK"),
        (f"CONSUME a calls 2 APIKEY {ONE}", [2, 5, 3, 0, 24000, 90]),
        (f"MCONSUME a 2 calls 2 images 2 APIKEY {ONE}", [[0, 5, 3, 12000, 24000, 90], [0, 5, 3, 12000, 24000, 90]]),
        (f"MCONSUME a 2 calls 2 images 1 APIKEY {ONE}", [[2, 5, 0, 0, 60000, 90], [1, 5, 0, 0, 60000, 90]]), ("+1m", 0),
        (f"CONSUME a images 2 APIKEY {ONE}", [0, 6, 1, 540000, 2940000, 91]),
        (f"CONSUME a images 2 APIKEY {ONE} UPTO", [1, 6, 0, 0, 3540000, 91]),
        (f"CONSUME a images 2 APIKEY {ONE} FORCE", [2, 6, 0, 0, 4740000, 91]),
        ("CONSUME a images 1", [1, 10, 5, 0, 2419140000, 0])],
    "a retry brings a live key": [
        (f"APIKEY SET a {ONE}", b"OK"), (f"CONSUME a calls 1 ID x APIKEY {ONE}", [1, 50, 49, 0, 200, 0]),
        (f"CONSUME a calls 1 ID x APIKEY {ONE}", [1, 50, 49, 0, 200, 0]),
        ("CONSUME a calls 1 ID x", [1, 50, 49, 0, 200, 0]),  # the key is no content of an id
        (f"APIKEY REVOKE a {ONE}", 1), (f"CONSUME a calls 1 ID x APIKEY {ONE}", "NOKEY the API key was revoked"),
        (f"APIKEY SET a {TWO} SCOPES 1 read", b"OK"),
        (f"CONSUME a calls 1 ID x APIKEY {TWO} SCOPE write", "NOSCOPE"),
        (f"CONSUME a calls 1 ID x APIKEY {TWO} SCOPE read", [1, 50, 49, 0, 200, 0])],
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams(acme, name):
    for line, expected in STREAMS[name]:
        if line[0] == "+":
            acme("QUOTA.CLOCK ADVANCE", line[1:])
        elif isinstance(expected, str):
            assert acme.error(f"QUOTA.{line}").startswith(expected), line
        else:
            assert acme(f"QUOTA.{line}") == expected, line


@pytest.mark.parametrize("line, text", [
    (f"CONSUME a calls 1 APIKEY {ONE[:8]}", "APIKEY is not the 64 hexadecimal digits of a key's SHA-256"),
    (f"CONSUME a calls 1 APIKEY {ONE[:-1]}g", "APIKEY is not the 64 hexadecimal digits"),
    ("CONSUME a calls 1 SCOPE read", "SCOPE"), (f"APIKEY VERIFY a {ONE[:8]}", "digest is not the 64"),
    ("APIKEY SET a secret", "digest is not the 64"), (f"APIKEY REVOKE a {ONE[:7]}", "8 to 64 hexadecimal digits"),
    (f"APIKEY ROTATE a {ONE[:7]} {TWO}", "old is not 8 to 64"),
    (f"APIKEY ROTATE a {ONE} {TWO[:8]}", "new is not the 64"), (f"APIKEY SET a {ONE} SCOPES 0", "numscopes"),
    (f"APIKEY SET a {ONE} SCOPES 2 read", "numscopes is greater than the number of scopes"),
    (f"APIKEY SET a {ONE} NAME " + 129 * "n", "name"), (f"APIKEY SET a {ONE} SCOPES 1 " + 129 * "s", "scope"),
    (f"APIKEY SET a {ONE} RATE 5 1m INITIAL 2", "INITIAL"),
    (f"APIKEY SET a {ONE} EXPIRES 1000", "expires '1000' is too small"),
    (f"APIKEY SET absent {ONE}", "NOACCOUNT"), ("APIKEY LIST absent", "NOACCOUNT"),
    (f"APIKEY VERIFY absent {ONE}", "NOACCOUNT"), ("APIKEY LIST a AFTER x", "cursor")])
def test_what_cannot_be_meant_is_an_error(acme, line, text):
    error = acme.error(f"QUOTA.{line}")
    assert text in error, error
    assert "secret" not in error  # it may be the key itself, sent by mistake
    assert paged_keys(acme) == []


def test_servers_know_where_the_account_stands(acme):
    """In a cluster and for access rights: behind the subcommand."""
    for line in (f"SET a {ONE}", f"ROTATE a {ONE} {TWO}", f"REVOKE a {ONE}", f"VERIFY a {ONE}", "LIST a"):
        assert acme.raw(f"COMMAND GETKEYS QUOTA.APIKEY {line}") == [b"a"], line
    assert acme.raw(f"COMMAND GETKEYS QUOTA.CHECK a calls 1 APIKEY {ONE}") == [b"a"]


def test_digits_that_name_several(acme):
    twin = ONE[:10] + 54 * "0"
    acme(f"QUOTA.APIKEY SET a {ONE}")
    acme(f"QUOTA.APIKEY SET a {twin}")
    assert "several API keys" in acme.error(f"QUOTA.APIKEY REVOKE a {ONE[:8]}")
    assert "several API keys" in acme.error(f"QUOTA.APIKEY ROTATE a {ONE[:10]} {TWO}")
    assert acme(f"QUOTA.APIKEY REVOKE a {ONE[:11]}") == 1
    assert acme(f"QUOTA.APIKEY REVOKE a {ONE[:8]}") == 1  # the other one alone lives


# ---- what is kept -----------------------------------------------------------------------------------------

def test_the_list_says_all_but_the_digest(acme):
    acme(f"QUOTA.APIKEY SET a {ONE} NAME ci SCOPES 2 read write EXPIRES 90d RATE 5 1m")
    acme(f"QUOTA.APIKEY SET a {TWO}")
    acme("QUOTA.CLOCK ADVANCE 90m")
    acme(f"QUOTA.CONSUME a calls 1 APIKEY {TWO}")
    acme(f"QUOTA.APIKEY REVOKE a {ONE[:8]}")
    assert paged_keys(acme) == paged_keys(acme, count=1) == [
        {"id": ONE[:8], "name": "ci", "scopes": ["read", "write"], "rates": ["RATE GCRA 5 1m"], "created": NOON_MS,
         "expires": NOON_MS + 90 * 60_000, "used": -1, "state": "revoked"},
        {"id": TWO[:8], "name": "", "scopes": None, "rates": [], "created": NOON_MS, "expires": -1,
         "used": NOON_MS + HOUR_MS, "state": "active"}]
    acme(f"QUOTA.APIKEY ROTATE a {TWO} {THREE} GRACE 1m")
    assert [key["state"] for key in paged_keys(acme)] == ["revoked", "rotating", "active"]
    acme("QUOTA.CLOCK ADVANCE 1m")
    assert [key["state"] for key in paged_keys(acme)] == ["revoked", "rotated", "active"]


def test_what_operators_did_is_in_the_notes(acme):
    acme(f"QUOTA.APIKEY SET a {ONE} REASON hello")
    acme(f"QUOTA.APIKEY ROTATE a {ONE} {TWO} REASON leaked")
    acme(f"QUOTA.APIKEY REVOKE a {TWO} REASON goodbye")
    notes = as_map(acme("QUOTA.INFO a"))["notes"]
    assert [(note["act"], note["reason"]) for note in notes][-3:] == [
        ("key.set", "hello"), ("key.rotate", "leaked"), ("key.revoke", "goodbye")]


def test_nothing_is_charged_where_the_key_is_refused(acme):
    acme(f"QUOTA.APIKEY SET a {ONE} SCOPES 1 read")
    before = acme.map("QUOTA.INFO a")
    for words in (f"APIKEY {TWO}", f"APIKEY {ONE} SCOPE write"):
        for line in ("CONSUME a calls 1", "MCONSUME a 1 calls 1", "RESERVE a x calls 1 TTL 1h"):
            acme.error(f"QUOTA.{line} {words}")
    assert acme.map("QUOTA.INFO a") == before


def test_replica_and_reloaded_server_know_the_same(acme, primary, replica):
    acme(f"QUOTA.APIKEY SET a {ONE} NAME ci SCOPES 1 read RATE 5 1m RATE SLIDING 9 1h")
    acme(f"QUOTA.APIKEY SET a {TWO} EXPIRES 2h")
    acme(f"QUOTA.CONSUME a calls 3 APIKEY {ONE}")
    acme(f"QUOTA.MCONSUME a 2 calls 1 images 1 APIKEY {ONE} SCOPE read")
    acme(f"QUOTA.APIKEY ROTATE a {ONE} {THREE} GRACE 1h")
    acme(f"QUOTA.RESERVE a h calls 1 TTL 1h APIKEY {THREE}")
    acme(f"QUOTA.APIKEY REVOKE a {TWO}")
    assert_equal_digests(primary, replica)
    before = paged_keys(acme)
    acme("DEBUG RELOAD")
    assert paged_keys(acme) == before
    assert_equal_digests(primary, replica)
    dump = acme.client.dump("a")
    acme.client.restore("b", 0, dump)
    assert paged_keys(acme, "b") == before
    assert acme(f"QUOTA.CONSUME b calls 1 APIKEY {ONE}")[:2] == [0, 5]


def test_no_secret_stays_anywhere():
    """Not even one that a client sends by mistake in place of its digest: in no file of the primary or the replica, and
    in none of its answers. The digest is what the append-only file needs."""
    secret, other = "sk_acme_f0rg0tten", "sk_acme_m1stake"
    options = {"appendonly": "yes", "appendfsync": "always", "loglevel": "debug", "save": '""'}
    with contextlib.closing(Server(**options).start()) as primary, \
            contextlib.closing(Server(**options).start()) as replica:
        replica.follow(primary)
        quota = Quota(primary.client())
        quota("QUOTA.PLAN SET pro calls LIMIT 100 month")
        quota("QUOTA.OPEN a pro")
        quota(f"QUOTA.APIKEY SET a {digest(secret)} NAME ci")
        quota(f"QUOTA.CONSUME a calls 1 APIKEY {digest(secret)}")
        errors = [quota.error(f"QUOTA.{line}") for line in (
            f"APIKEY SET a {other}", f"APIKEY REVOKE a {other}", f"APIKEY ROTATE a {other} {other}",
            f"APIKEY VERIFY a {other}", f"CONSUME a calls 1 APIKEY {other}")]
        assert not any(other in error for error in errors)
        quota(f"QUOTA.APIKEY ROTATE a {digest(secret)[:8]} {digest(other)}")
        caught_up(primary, replica)
        wait_until(lambda: writes_no_file(primary), "the save for the replica does not end")
        quota("SAVE")
        assert primary.digest() == replica.digest()
        contents = {path: path.read_bytes() for server in (primary, replica)
                    for path in server.path.rglob("*") if path.is_file()}
        assert sum(bytes.fromhex(digest(secret)) in content for content in contents.values()) >= 2
        for path, content in contents.items():
            assert secret.encode() not in content and other.encode() not in content, path


def test_the_bound_is_of_live_ones(acme):
    names = [f"{number:064x}" for number in range(1 << 252, (1 << 252) + 1001)]
    pipeline = acme.client.pipeline(transaction=False)
    for name in names[:1000]:
        pipeline.execute_command("QUOTA.APIKEY", "SET", "a", name)
    assert set(pipeline.execute()) == {b"OK"}
    assert "at most 1000 live API keys" in acme.error(f"QUOTA.APIKEY SET a {names[1000]}")
    assert acme(f"QUOTA.APIKEY SET a {names[7]} NAME other") == b"OK"
    assert acme(f"QUOTA.APIKEY ROTATE a {names[7]} {names[1000]}") == NOON_MS
    assert len(paged_keys(acme, count=77)) == 1001
    assert acme(f"QUOTA.APIKEY REVOKE a {names[500]}") == 1
    assert acme(f"QUOTA.APIKEY SET a {TWO}") == b"OK"
