"""Golden files (tests/golden, made by make.py): what was once written is read for ever, and nothing else is.

    name.dump ── RESTORE ──▶ value ── calls ──▶ what name.json says (newer fields may stand beside)
        │                      └── DUMP ──────▶ the same bytes (but for RESTORE's footer), or those of
        │                                       a newer encoding, which are read and written as ever from then on
        └─ one byte flipped, or an encoding of the future, checksum right ──▶ refused, or a value like any other
"""

import json
import struct

import pytest
import redis

from conftest import Quota, as_map, paged
from servers import ROOT, Server

GOLDEN = ROOT / "tests" / "golden"
DUMPS = sorted(path.stem for path in GOLDEN.glob("*.dump"))
CONFIGURATIONS = sorted(path.stem for path in GOLDEN.glob("*.rdb"))
QUESTIONS = {"limiter": "RL.INFO k", "leases": "RL.LEASES k", "breaker": "RL.BREAKER k INFO",
             "adaptive": "RL.ADAPT k INFO", "account": "QUOTA.INFO k", "table": "RL.INFO k"}
# What the log calls a value, and the newest of its encodings that this version reads.
FORMATS = {"limiter": ("limiter", 2), "leases": ("leases", 1), "breaker": ("breaker", 1),
           "adaptive": ("adaptive limit", 1), "account": ("account", 5), "table": ("table", 1)}
FOOTER_BYTES = 10
MODULE_BYTES = 9  # of an RDB string of 64 bits: the type's name and the encoding of the frame
REFUSED = "Bad data format"
# Read for ever, and written in the newest encoding, of which there are files too.
OF_OLDER_ENCODINGS = [f"account-{name}{encoding}" for name in ("closed", "fresh", "rich")
                      for encoding in ("", "-2", "-3", "-4")]


def crc64_rows():
    """Jones' polynomial, reflected, as Redis uses it: one row for each byte."""
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (0x95AC9329AC4BC9B5 if row & 1 else 0)
        rows.append(row)
    return rows


ROWS = crc64_rows()


def crc64(data):
    checksum = 0
    for byte in data:
        checksum = ROWS[(checksum ^ byte) & 255] ^ checksum >> 8
    return checksum


def payload(name):
    return (GOLDEN / f"{name}.dump").read_bytes()[:-FOOTER_BYTES]


def sealed(data, version=10):
    """A payload as RESTORE takes it."""
    data = bytes(data) + struct.pack("<H", version)
    return data + struct.pack("<Q", crc64(data))


def head_of(data):
    """Where the value's own bytes begin: after type, module, opcode and the length of the string."""
    at = 1 + MODULE_BYTES + 1
    return at + (1, 2)[data[at] >> 6]


def answers(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def server():
    """Without compression bytes stand in a dump as the module wrote them; small values are not compressed anyhow."""
    server = Server(rdbcompression="no").start()
    yield server
    server.close()


@pytest.fixture
def golden(server):
    quota = Quota(server.client())
    quota("FLUSHALL")
    yield quota
    assert quota.client.ping()
    quota.client.close()


def test_the_checksum_is_redis_own():
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    for name in DUMPS:
        assert sealed(payload(name)) == (GOLDEN / f"{name}.dump").read_bytes()


def test_every_kind_is_here():
    assert {name.split("-")[0] for name in DUMPS} == set(QUESTIONS)


def assert_agrees(answer, expected, where):
    """Everything that the file says is answered, field by field; later versions may answer more fields."""
    if isinstance(expected, dict):
        assert isinstance(answer, dict) and expected.keys() <= answer.keys(), where
        for field in expected:
            assert_agrees(answer[field], expected[field], f"{where} {field}")
    elif isinstance(expected, list):
        assert isinstance(answer, list) and len(answer) == len(expected), where
        for number, (one, other) in enumerate(zip(answer, expected)):
            assert_agrees(one, other, f"{where}[{number}]")
    else:
        assert answer == expected, where


def assert_answers(golden, expected):
    for line, wanted in expected["asked"].items():
        answer = golden(line)
        if line.startswith(("RL.LEASES", "QUOTA.HOLDS")) and wanted[:1] != [None]:
            cursor, answer = answer  # written when these lists came whole
            assert cursor is None
        assert_agrees(as_map(answer), wanted, line)


@pytest.mark.parametrize("name", DUMPS)
def test_a_golden_dump_is_read_and_written_as_ever(golden, name):
    expected = answers(name)
    golden("QUOTA.CLOCK FREEZE", expected["at"])
    golden("RESTORE k 0", sealed(payload(name)))
    assert_answers(golden, expected)
    data, written = payload(name), golden("DUMP k")[:-FOOTER_BYTES]
    if name not in OF_OLDER_ENCODINGS:
        assert written == data
        return
    assert written[head_of(written)] > data[head_of(data)]  # the same kind, a newer encoding
    golden("RESTORE k 0", sealed(written), "REPLACE")
    assert_answers(golden, expected)
    assert golden("DUMP k")[:-FOOTER_BYTES] == written


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_golden_rdb_file_is_read_with_its_policies_and_plans(name):
    """configuration-1 was written before there were plans, its auxiliary data is of version 1; in configuration-2 each
    plan has one revision."""
    server, expected = Server(), answers(name)
    (server.path / "dump.rdb").write_bytes((GOLDEN / f"{name}.rdb").read_bytes())
    server.start()
    try:
        quota = Quota(server.client())
        quota("QUOTA.CLOCK FREEZE", expected["at"])
        for number, key in enumerate(["leases", "breaker", "adaptive"], 1):
            assert server.client(db=number).move(key, 0)
        assert_answers(quota, expected)
        assert [policy["name"] for policy in paged(quota, "RL.POLICY LIST")] == ["api", "other"]
        assert quota("RL.ALLOW new POLICY api SUBJECT acme")[1] == 99
        assert quota("RL.ALLOW new POLICY api SUBJECT villain")[0] == 0
        revisions = {"configuration-1": 1, "configuration-2": 3, "configuration-3": 8, "configuration-4": 9,
                     "configuration-5": 10, "configuration-6": 10}
        assert quota("QUOTA.PLAN SET p r LIMIT 1 day") == revisions[name]
        digest = server.digest()
        quota("DEBUG RELOAD")  # written again, in the newest version
        assert server.digest() == digest
        assert [policy["name"] for policy in paged(quota, "RL.POLICY LIST")] == ["api", "other"]
    finally:
        server.close()


@pytest.mark.parametrize("version", [4, 5, 6])  # of 4 the event log is missing: that is damaged
def test_auxiliary_data_of_the_future_stops_the_start_with_a_message(version):
    server = Server(rdbchecksum="no")
    data = bytearray((GOLDEN / "configuration-3.rdb").read_bytes())
    at = data.index(b"\x02\x01" b"\x02\x03" b"\x02\x02")  # integers: before the keys, version 3, two policies
    data[at + 3] = version
    (server.path / "dump.rdb").write_bytes(data)
    with pytest.raises(RuntimeError, match="policies and plans of a newer version"):
        server.start()
    assert "STACK TRACE" not in server.log()
    server.alarms_expected = ("Bad file format",)
    server.process = None
    server.close()


@pytest.mark.parametrize("what, head, says", [
    # the first policy: encoding and name; the first plan: encoding, change (0 = whole) and name
    ("policy", b"\x01\x03api", "a policy cannot be read: policy in encoding {}, this version reads 1 to 1: a newer"),
    ("plan", b"\x02\x00\x01p", "a plan cannot be read: plan in encoding {}, this version reads 1 to 5: a newer")])
@pytest.mark.parametrize("encoding", [6, 7, 15])
def test_policies_and_plans_of_the_future_stop_the_start_with_a_message(what, head, says, encoding):
    server = Server(rdbchecksum="no")
    data = bytearray((GOLDEN / "configuration-3.rdb").read_bytes())
    assert data.count(head) == 1, what
    data[data.index(head)] = encoding
    (server.path / "dump.rdb").write_bytes(data)
    with pytest.raises(RuntimeError, match=says.format(encoding)):
        server.start()
    assert "STACK TRACE" not in server.log() and "the file is refused" in server.log()
    server.alarms_expected = ("Bad file format",)
    server.process = None
    server.close()


@pytest.mark.parametrize("what, head, damaged, policies, plans", [
    ("policy", b"\x01\x03api", b"\x01\x80api", ["other"], 3), ("policy", b"\x01\x03api", b"\xff\x03api", ["other"], 3),
    ("plan", b"\x02\x00\x01p", b"\x02\x09\x01p", ["api", "other"], 2),
    ("plan", b"\x02\x00\x01p", b"\x11\x00\x01p", ["api", "other"], 2)])
def test_damaged_policies_and_plans_are_left_out_with_a_message(what, head, damaged, policies, plans):
    server = Server(rdbchecksum="no")
    data = (GOLDEN / "configuration-3.rdb").read_bytes()
    (server.path / "dump.rdb").write_bytes(data.replace(head, damaged))
    server.start()
    try:
        quota = Quota(server.client())
        assert server.log().count(f"a {what} is left out: damaged bytes") == 1
        assert [policy["name"] for policy in paged(quota, "RL.POLICY LIST")] == policies
        assert len(quota("QUOTA.PLAN LIST")[1]) == plans
    finally:
        server.close()


@pytest.mark.parametrize("name", DUMPS)
def test_encodings_of_the_future_are_refused(golden, server, name):
    """Each with a line that says what is newer, however far ahead it is."""
    data = bytearray(payload(name))
    head, (word, newest) = head_of(data), FORMATS[name.split("-")[0]]

    def why_refused(changed):
        logged = len(server.log())
        assert golden.error("RESTORE k 0", sealed(changed)) == REFUSED
        return server.log()[logged:]

    for encoding in {0, *range(newest + 1, 16)}:
        future = data.copy()
        future[head] = future[head] & 0xF0 | encoding
        newer = f"{word} in encoding {encoding}, this version reads 1 to {newest}: a newer version of this module"
        assert (newer if encoding > newest else "damaged bytes") in why_refused(future)
    data[MODULE_BYTES] ^= 1  # the frame's encoding, in the lowest bits of the module's number
    assert "frame in encoding 1: a newer version of this module wrote it" in why_refused(data)
    assert golden("EXISTS k") == 0


@pytest.mark.parametrize("name", DUMPS)
def test_kinds_of_the_future_are_refused(golden, server, name):
    """Kinds that are not known, and encodings that only the long form of a head has room for."""
    data = payload(name)
    at, value = MODULE_BYTES + 2, data[head_of(data):-1]
    own = value[0] >> 4
    for head, encoding in [(b"\x61", 1), (b"\x6f", 15), (b"\x70\x07\x01", 1), (b"\x70\x1f\xc8", 200),
                           (bytes([0x70, own, 16]), 16), (bytes([0x70, own, 255]), 255)]:
        logged, future = len(server.log()), head + value[1:]
        length = struct.pack(">H", 0x4000 | len(future))
        assert golden.error("RESTORE k 0", sealed(data[:at] + length + future + data[-1:])) == REFUSED
        assert f"in encoding {encoding}, " in server.log()[logged:]
        assert "a newer version of this module wrote it" in server.log()[logged:]
    assert golden("EXISTS k") == 0


def restore_all(client, blobs, question):
    """Each answer in the place of its blob: what RESTORE said, the value as it is dumped now, what it answers."""
    pipeline = client.pipeline(transaction=False)
    for blob in blobs:
        pipeline.delete("k")
        pipeline.restore("k", 0, blob)
        pipeline.dump("k")
        pipeline.execute_command(*question.split())
    replies = pipeline.execute(raise_on_error=False)
    return list(zip(replies[1::4], replies[2::4], replies[3::4]))


@pytest.mark.parametrize("name", DUMPS)
def test_a_flipped_byte_is_refused_or_makes_a_whole_value(golden, name):
    """What loads is dumped, loads again, and is dumped as the same bytes: no value has a state that it cannot write."""
    data, question = payload(name), QUESTIONS[name.split("-")[0]]
    golden("QUOTA.CLOCK FREEZE", answers(name)["at"])
    blobs = []
    for at in range(1, len(data)):  # byte 0 would make it a value of Redis' own
        for bits in (0x01, 0x02, 0x10, 0x40, 0x80, 0xFF):
            flipped = bytearray(data)
            flipped[at] ^= bits
            blobs.append(sealed(flipped))
    written = []
    for outcome, dump, reply in restore_all(golden.client, blobs, question):
        if isinstance(outcome, redis.ResponseError):
            assert str(outcome) == REFUSED and dump is None
            continue
        if isinstance(reply, redis.ResponseError):  # a zone, or own rules of a resource, whose name was flipped
            assert name.startswith("account") and "zone" in str(reply)
        written.append(dump)
    assert 0 < len(written) < len(blobs)
    again = restore_all(golden.client, written, question)
    assert [dump for _, dump, _ in again] == written


@pytest.mark.parametrize("name", DUMPS)
def test_a_value_cut_short_or_with_more_behind_it_is_refused(golden, name):
    data = payload(name)
    at, value = MODULE_BYTES + 2, data[head_of(data):-1]
    for odd in [*(value[:size] for size in range(len(value))), value + b"\0", value + value]:
        length = struct.pack(">H", 0x4000 | len(odd))
        assert golden.error("RESTORE k 0", sealed(data[:at] + length + odd + data[-1:])) == REFUSED
