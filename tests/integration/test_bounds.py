"""Bounds of accounts: the last that fits, and the first that does not, which is an error and changes nothing."""

import pytest

SPANS = [f"{number}us" for number in range(10**12, 10**12 + 64)]  # 64 odd periods of eleven days and a half


def refused(quota, line, code, *words):
    """The error, after which the account is as it was."""
    before = quota("DEBUG DIGEST-VALUE a")
    error = quota.error(line, *words)
    assert error.startswith(code), error
    assert quota("DEBUG DIGEST-VALUE a") == before
    return error


def test_resources_of_an_account(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    for number in range(255):
        accounts(f"QUOTA.OVERRIDE a own{number} LIMIT 1 day")
    accounts("QUOTA.CONSUME a r 1")
    assert "256 resources" in refused(accounts, "QUOTA.OVERRIDE a own255 LIMIT 1 day", "LIMITED")
    assert accounts("QUOTA.CONSUME a own254 1")[0] == 1


def test_rolling_windows_of_a_resource(accounts):
    """Those of a plan, and those of the plan before that still remember; the one that is kept goes on."""
    for plan in range(4):
        rules = " ".join(f"LIMIT 9 ROLLING {span}" for span in SPANS[16 * (plan % 3):][:16])
        accounts(f"QUOTA.PLAN SET p{plan} r {rules}")
    accounts("QUOTA.OPEN a p0")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.SWITCH a p1")
    accounts("QUOTA.CONSUME a r 1")
    accounts("QUOTA.SWITCH a p2")
    refused(accounts, "QUOTA.CONSUME a r 1", "LIMITED")
    accounts("QUOTA.SWITCH a p3")  # the rules of p0
    assert accounts("QUOTA.CONSUME a r 1")[2] == 7


def test_units_of_a_rolling_window(accounts):
    accounts("QUOTA.PLAN SET p r LIMIT 10 ROLLING 1h")
    accounts("QUOTA.OPEN a p")
    assert accounts(f"QUOTA.CONSUME a r {2**62} FORCE")[0] == 2**62
    assert accounts(f"QUOTA.CONSUME a r {2**62 - 1} FORCE")[0] == 2**62 - 1
    refused(accounts, "QUOTA.CONSUME a r 1 FORCE", "OVERFLOW")


def test_what_an_id_remembers_of_a_batch(accounts):
    """64 resources with 16 odd periods each, of a fresh account: as many as a batch may have; all are kept."""
    rules = " ".join(f"LIMIT {2**62 + number} {span}" for number, span in enumerate(SPANS[:16]))
    for number in range(64):
        accounts(f"QUOTA.PLAN SET p r{number} {rules}")
    accounts("QUOTA.OPEN a p")
    pairs = [f"r{number} {2**61}" for number in range(64)]
    line = f"QUOTA.MCONSUME a 64 {' '.join(pairs)} ID x"
    first = accounts(line)
    assert [verdict[0] for verdict in first] == [2**61] * 64
    assert accounts(line) == first
    assert accounts.map("QUOTA.INFO a r63")["rules"][15]["used"] == 2**61
    refused(accounts, f"QUOTA.MCONSUME a 20 {' '.join(pairs[:20])} ID x", "IDCONFLICT")
    assert [verdict[0] for verdict in accounts(f"QUOTA.MCONSUME a 64 {' '.join(pairs)}")] == [2**61] * 64


@pytest.mark.parametrize("line, word, code", [
    ("QUOTA.REFUND a r 1 REASON", "x" * 257, "reason has more than 256 bytes"),
    ("CONFIG SET quota.default-plan", "x" * 129, "CONFIG SET failed"),
    ("RL.MALLOW 2 b c WITH POLICY nowhere", "ALL", "NOPOLICY")])
def test_words(accounts, line, word, code):
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN a p")
    accounts("QUOTA.CONSUME a r 1")
    refused(accounts, line, code, word)
    assert accounts("EXISTS b c") == 0


def test_a_refusal_sweeps_what_has_ended(accounts):
    """Far more ids are stored than a lowered bound allows: who is refused gives back the memory of those that ended."""
    accounts("QUOTA.PLAN SET p r LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    for ttl, count in ((31536000000, 1), (1000, 20), (31536000000, 14)):
        accounts(f"CONFIG SET quota.id-ttl-ms {ttl}")
        for number in range(count):
            accounts(f"QUOTA.CONSUME a r 1 ID id{ttl}-{count}-{number}")
    accounts("CONFIG SET quota.id-max 10")
    accounts.advance("1h")
    before = accounts("DEBUG DIGEST-VALUE a"), accounts("MEMORY USAGE a")
    assert accounts.error("QUOTA.CONSUME a r 1 ID more").startswith("LIMITED")
    assert accounts("DEBUG DIGEST-VALUE a") != before[0] and accounts("MEMORY USAGE a") < before[1]
    refused(accounts, "QUOTA.CONSUME a r 1 ID more", "LIMITED")  # nothing is left to be swept


def test_a_lowered_bound_is_reached_by_what_ends(accounts):
    """However much is stored, what has ended never counts."""
    accounts("QUOTA.PLAN SET p r LIMIT -1 month")
    accounts("QUOTA.OPEN a p")
    accounts("CONFIG SET quota.id-ttl-ms 1000")
    for number in range(300):
        accounts(f"QUOTA.CONSUME a r 1 ID id{number}")
    accounts("CONFIG SET quota.id-max 10 quota.id-ttl-ms 31536000000")
    refused(accounts, "QUOTA.CONSUME a r 1 ID more", "LIMITED")
    accounts.advance("1s")
    for number in range(10):
        assert accounts(f"QUOTA.CONSUME a r 1 ID new{number}")[0] == 1
    refused(accounts, "QUOTA.CONSUME a r 1 ID more", "LIMITED")
