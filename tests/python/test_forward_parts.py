"""Parts of the forwarder without a server: schedule, guard, hash chain, names of logs, the file of sinks."""

import asyncio
import datetime
import ipaddress
import json
import os
import random
import re

import pytest
from redis_quota.cli.servers import Fault, Fleet
from redis_quota.forward.config import SinkConfig, read_settings
from redis_quota.forward.delivery import Delivery, iso
from redis_quota.forward.guard import Forbidden, addresses_of, is_public
from redis_quota.forward.schedule import (
    RETRY_AFTER_MAX_S,
    STANDARD,
    STANDARD_S,
    Schedule,
)
from redis_quota.forward.shards import families, named
from redis_quota.forward.sinks.file import FileSink, files_of, verified
from redis_quota.forward.sinks.http import retry_after_s
from redis_quota.forward.sinks.slack import filled
from redis_quota.forward.sinks.webhook import signer
from servers import ROOT

from .calls import quotactl
from .forwarding import NEW

# ---- the schedule ---------------------------------------------------------------------------------------------------


def test_the_standard_schedule_has_ten_attempts_in_75_hours_and_35_minutes():
    middle = Schedule(dice=lambda: 0.5)
    gaps = [middle.due_ms(attempts, 0) for attempts in range(11)]
    assert gaps == [0, 5000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
                    None]
    assert sum(STANDARD_S) == 75 * 3600 + 35 * 60 + 5


def test_gaps_are_spread_by_a_fifth_and_retry_after_wins_if_later():
    dice = random.Random(7)
    spread = [Schedule(dice=dice.random).due_ms(1, 0) for _ in range(2000)]
    assert 4000 <= min(spread) < 4010
    assert 5990 < max(spread) <= 6000
    assert STANDARD.due_ms(1, 1000, 60) == 61_000
    assert Schedule(dice=lambda: 0.5).due_ms(2, 0, 60) == 300_000
    assert STANDARD.due_ms(1, 0, 1e12) == 1000 * RETRY_AFTER_MAX_S
    assert STANDARD.due_ms(10, 0, 60) is None


@pytest.mark.parametrize(("text", "seconds"), [
    ("120", 120), ("Thu, 01 Jan 1970 00:03:20 GMT", 100), ("Thu, 01 Jan 1970 00:00:01 GMT", 0), ("soon", 0), ("", 0),
    ("-5", 0)])
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after_s(text, 100) == seconds


# ---- the guard ------------------------------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.2.1",
    "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "::127.0.0.1", "2002:7f00:1::", "2002:a00:1::",
    "2002:808:808::1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1"]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize(("address", "public"), [
    *((text, False) for text in PRIVATE), *((text, True) for text in PUBLIC)])
def test_which_addresses_are_public(address, public):
    assert is_public(ipaddress.ip_address(address)) == public


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0x7f.1", "2130706433", "127.1", "0"])
def test_names_and_spellings_of_this_machine_are_refused(host):
    """What the resolver makes of them is what is checked."""
    with pytest.raises((Forbidden, OSError)):
        asyncio.run(addresses_of(host, 80, False))


def test_one_private_address_of_several_refuses_the_name(monkeypatch):
    found = [(2, 1, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.7")]

    async def look_up():
        async def resolved(*words, **options):
            return found
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
        with pytest.raises(Forbidden, match=r"10\.0\.0\.7, which is not public"):
            await addresses_of("rebind.test", 80, False)
        assert await addresses_of("rebind.test", 80, True) == ["8.8.8.8", "10.0.0.7"]
        del found[1]
        assert await addresses_of("rebind.test", 80, False) == ["8.8.8.8"]
    asyncio.run(look_up())


# ---- the archive ----------------------------------------------------------------------------------------------------

DAY = datetime.date(2025, 1, 31)


def delivery(number, **data):
    return Delivery.of("q", "0", f"1-{number}", {"type": "quota.usage.set", "time": 1_738_335_600_000 + number,
                                                 "account": "acme", **data})


class Archive:
    """A file sink whose day the test holds."""

    def __init__(self, folder, **words):
        self.path, self.day = folder / "audit.jsonl", datetime.datetime.now(datetime.UTC).date()
        self.config = SinkConfig("archive", "file", str(self.path), **words)

    def append(self, *numbers):
        async def write():
            sink = FileSink(self.config, lambda: self.day)
            for number in numbers:
                assert (await sink.send(delivery(number))).is_success
            await sink.flush()
            await sink.close()
        asyncio.run(write())

    def lines(self):
        return [json.loads(line) for file in files_of(self.path) for line in file.read_text().splitlines()]


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def test_the_chain_goes_on_when_the_file_is_opened_again_and_no_event_comes_twice(archive):
    archive.append(1, 2)
    archive.append(2, 3)
    assert [line["id"] for line in archive.lines()] == ["q-0-1-1", "q-0-1-2", "q-0-1-3"]
    assert verified(files_of(archive.path)).lines == 3
    assert archive.path.stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_crash_has_cut_is_written_again(archive):
    archive.append(1, 2)
    with archive.path.open("ab") as file:
        file.write(b'{"number":3,"prev')
    assert verified(files_of(archive.path)).lines == 2
    archive.append(3)
    assert [line["number"] for line in archive.lines()] == [1, 2, 3]
    assert verified(files_of(archive.path)).lines == 3


def test_the_end_of_a_long_archive_is_enough(archive, monkeypatch):
    """Only the last bytes are read, from the first line that is whole in them; those of the day before count, too."""
    archive.append(*range(1, 9))
    line = len(archive.path.read_bytes()) // 8
    monkeypatch.setattr("redis_quota.forward.sinks.file.TAIL_BYTES", line * 5 // 2)
    archive.append(8, 9)
    archive.path.rename(archive.path.with_name("audit-2020-01-01.jsonl"))
    archive.append(9, 10)
    assert [line["number"] for line in archive.lines()] == list(range(1, 11))
    assert verified(files_of(archive.path)).lines == 10
    monkeypatch.setattr("redis_quota.forward.sinks.file.TAIL_BYTES", 10)
    with pytest.raises(Fault, match="its end is no line of an archive"):
        archive.append(11)


def test_a_file_that_is_no_archive_is_left_alone(archive):
    archive.path.write_text("a letter\n")
    with pytest.raises(Fault, match="its end is no line of an archive"):
        archive.append(1)
    assert archive.path.read_text() == "a letter\n"


def changed(lines):
    lines[1] = lines[1].replace("acme", "other")


def removed(lines):
    del lines[1]


def put_in(lines):
    lines.insert(1, lines[0])


def swapped(lines):
    lines[1], lines[2] = lines[2], lines[1]


def no_json(lines):
    lines[2] = "x"


@pytest.mark.parametrize(("change", "place"), [(changed, 3), (removed, 2), (put_in, 2), (swapped, 2), (no_json, 3)])
def test_what_was_tampered_with_is_found(archive, change, place):
    archive.append(1, 2, 3, 4)
    lines = archive.path.read_text().splitlines()
    change(lines)
    archive.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(Fault, match=f"audit.jsonl:{place}: "):
        verified(files_of(archive.path))
    assert f"audit.jsonl:{place}: " in quotactl("audit", "verify", archive.path, code=2)


def test_a_new_day_is_a_new_file_of_the_same_chain_and_old_ones_go(tmp_path):
    archive = Archive(tmp_path, keep_ms=2 * 86_400_000)
    for number in range(5):
        archive.append(2 * number + 1, 2 * number + 2)
        archive.day += datetime.timedelta(days=1)
        # what was written is of the day before
        stamp = datetime.datetime.combine(archive.day - datetime.timedelta(days=1), datetime.time(12),
                                          datetime.UTC).timestamp()
        os.utime(archive.path, (stamp, stamp))
    chain = verified(files_of(archive.path))
    assert (len(files_of(archive.path)), chain.lines, chain.begin) == (3, 6, 5)
    assert [line["number"] for line in archive.lines()] == [5, 6, 7, 8, 9, 10]


def test_two_writers_of_one_file_are_refused(archive):
    first = FileSink(archive.config)
    with pytest.raises(Fault, match="another forwarder writes this file"):
        FileSink(archive.config)
    asyncio.run(first.close())
    assert files_of(archive.path) == [archive.path]


def test_report_shows_what_happened_between_two_instants(archive, tmp_path):
    archive.append(1, 2, 3)
    said = quotactl("audit", "report", archive.path, "--from", "1738335600002", "--to", "2025-01-31T15:00:00.003Z",
                    "--json")
    assert [row["number"] for row in json.loads(said)] == [2]
    assert "2025-01-31T15:00:00.001Z  quota.usage.set  acme" in quotactl("audit", "report", archive.path)
    assert json.loads(quotactl("audit", "report", archive.path, "--by", "ann", "--json")) == []
    assert "lines 1 to 3, the chain is whole" in quotactl("audit", "verify", archive.path)
    assert "there is no such archive" in quotactl("audit", "verify", tmp_path / "none.jsonl", code=2)


# ---- deliveries -----------------------------------------------------------------------------------------------------


def test_a_delivery_comes_back_from_the_retry_set():
    made = delivery(7, big=2**60, name="caf\udce9", percent="80")
    assert made.data == {"account": "acme", "big": str(2**60), "name": "caf\\xe9", "percent": "80"}
    assert Delivery.restored(made.kept()) == made
    assert made.sequence == "7".zfill(20)
    assert iso(1_738_335_600_007) == "2025-01-31T15:00:00.007Z"


def test_slack_escapes_what_would_be_a_link():
    assert filled("{account} {none} {{x}}", {"account": "<!channel>", "x": 1}) == "&lt;!channel&gt; - {1}"


# ---- names of logs --------------------------------------------------------------------------------------------------


def test_a_log_keeps_its_name_over_a_failover():
    before = families(["a h:1@2 master - 0 0 1 connected 0-1", "b h:2@3 master - 0 0 2 connected 2-3",
                       "r h:3@4 slave a 0 0 1 connected"])
    assert before == {"a": ["a", "r"], "b": ["b"]}
    assert named(before, {}) == {"a": "a", "b": "b"}
    after = families(["a h:1@2 master,fail - 0 0 1 connected", "b h:2@3 master - 0 0 2 connected 2-3",
                      "r h:3@4 myself,master - 0 0 3 connected 0-1"])
    known = {"a": "a", "r": "a", "b": "b"}
    living = {node: after[node] for node in ("b", "r")}
    assert named(living, known) == {"b": "b", "r": "a"}
    assert named({**living, "a": ["a"]}, known)["a"] == "a"


# ---- the file of sinks ----------------------------------------------------------------------------------------------


def settings(tmp_path, text):
    path = tmp_path / "sinks.yaml"
    path.write_text(text)
    return read_settings(str(path))


def test_a_file_of_sinks(tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK", NEW)
    read = settings(tmp_path, """
plans: {}
sinks:
  billing: {webhook: "https://example.test/x", secrets: ["${HOOK}"], types: quota.cycle.*, timeout: 500ms}
  archive: {file: audit.jsonl, keep: 400d}
forward: {name: prod, settle-within: 2m, retry: [0, 5s, 1h]}
""")
    billing, archive = read.sinks
    assert (billing.secrets, billing.types, billing.timeout_ms) == ((NEW,), ("quota.cycle.*",), 500)
    assert (billing.schedule.gaps_s, billing.allow_private) == ((0, 5, 3600), False)
    assert (archive.kind, archive.keep_ms) == ("file", 400 * 86_400_000)
    assert (read.name, read.settle_within_ms) == ("prod", 120_000)
    assert billing.wants("quota.cycle.closed")
    assert billing.wants("quota.log.truncated")
    assert not billing.wants("quota.limit.warned")


def test_the_files_of_the_page_are_read(tmp_path, monkeypatch):
    for name in ("HOOK_NEW", "HOOK_OLD", "METER"):
        monkeypatch.setenv(name, NEW)
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs/forwarding.md").read_text(), re.MULTILINE | re.DOTALL)
    assert [[sink.kind for sink in settings(tmp_path, block).sinks] for block in blocks] == [
        ["file", "stream"], ["webhook", "cloudevents", "slack", "file", "stream"]]


WRONG = [
    ("plans: {}", "the file must have a map 'sinks'"), ("sinks: {}", "there are no sinks"),
    ("sinks:\n  a: {webhook: 'https://x.test'}", "sinks.yaml:2: sinks a: 'secrets' is missing"),
    ("sinks:\n  a: {file: x, stream: y}", "one of these fields"), ("sinks:\n  a: {}", "one of these fields"),
    ("sinks:\n  a: x", "must be a map"), ("sinks:\n  a b: {file: x}", "a name has"),
    ("sinks:\n  a: {slack: 'ftp://x.test'}", "must be a URL of http or https"),
    ("sinks:\n  a: {slack: 'http://[::1'}", "must be a URL"), ("sinks:\n  a: {slack: 'http://x:a'}", "must be a URL"),
    ("sinks:\n  a: {file: x, secrets: [y]}", "unknown field 'secrets'"),
    ("sinks:\n  a: {file: x, start: later}", "'start' must be oldest or now"),
    ("sinks:\n  a: {file: x, types: 5}", "'types' must be a list of texts"),
    ("sinks:\n  a: {cloudevents: 'https://x.test', timeout: 5}", "'timeout' must be a duration"),
    ("sinks:\n  a: {file: x}\nforward: {retry: []}", "'retry' must be standard"),
    ("sinks:\n  a: {file: x}\nforward: {name: a.b}", "'name' has 1 to 64"),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, says):
    path = tmp_path / "sinks.yaml"
    path.write_text(text)
    said = quotactl("forward", path, code=2)
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_abc", "whsec_????", "A" * 40, "whsec_" + "A" * 100])
def test_a_secret_that_is_none(secret):
    with pytest.raises(Fault, match="a secret must be whsec_"):
        signer(secret, "hook")
    assert Fleet([]).urls == []
