"""Who may do what: the three users of docs/operations/acl.md, made by the lines of that page.

    consumer   checks limits                    +quota.consume ...     ~tenant:*      its keys, to write
    operator   billing and support              +quota.open ...        ~tenant:*
    auditor    reports                          +quota.info ...        %R~tenant:*    its keys, to read

Redis 7.0 puts no module's command into a category (+@read, +@write say nothing about them): name the commands; from
7.2 on they are in @read or @write, and more. Plans and policies are no keys: a user that may set one may set all. A
command that is in no list here fails a test.
"""

import re

import pytest
import redis
from redis.exceptions import NoPermissionError

from conftest import Quota, listed
from servers import HIDES_INTERNAL, REFUSED_INTERNAL, ROOT, VERSION, Server

# For tests; these show the keys of every tenant.
ADMINISTRATOR = ("quota.clock", "quota.violations", "quota.events|read", "quota.events|info", "quota.events|help")
# Refused to every client; the last one does nothing.
FOR_NO_CLIENT = "rl._do rl._put rl._policy rl._plan rl._events rl._room"
PAGE = ROOT / "docs/operations/acl.md"  # its lines are the recipes


def recipes():
    """The users of the page: name ──▶ (what ACL SETUSER is given line by line, commands of this module)."""
    found = {}
    for name, words in re.findall(r"^ {4}> ACL SETUSER (\w+) (.*)$", PAGE.read_text(encoding="utf-8"), re.M):
        found.setdefault(name, []).append(words)
    return {name: (lines, re.findall(r"\+((?:quota|rl|cl)\.\S+)", " ".join(lines))) for name, lines in found.items()}


RECIPES = recipes()

DIGEST = 64 * "a"  # of an API key
LINES = {  # one call of every command; K is the key, read-only access to it is enough for the auditor's
    "consumer": ["QUOTA.CONSUME K r 1", "QUOTA.CONSUME K r 1 CHECK", "QUOTA.MCONSUME K 1 r 1",
                 "QUOTA.INGEST K r 1 i * K r 1 j *",
                 "QUOTA.RESERVE K i r 1 TTL 1h", "QUOTA.COMMIT K hold 1", "QUOTA.RELEASE K held",
                 "QUOTA.EXTEND K longer 1h", "RL.ALLOW Kw 10 1s", "RL.ALLOW Kw 10 1s PEEK",
                 "RL.MALLOW 2 Kw Kv WITH 10 1s", "RL.TAKE Ku alice",
                 "RL.MTAKE Ku 2 alice bob", "RL.ACQUIRE Kl 5 1h ID i", "RL.RENEW Kl lease 1h",
                 "RL.RELEASE Kl lease", "RL.BREAKER Kb", "RL.BREAKER Kb REPORT ok", "RL.ADAPT Ka 1 10",
                 "CL.THROTTLE Kt 1 1 1", "RL.THROTTLE Kt 1 1 1"],
    "operator": ["QUOTA.OPEN K p", "QUOTA.SWITCH K q", "QUOTA.OVERRIDE K r LIMIT 1 day", "QUOTA.SUSPEND K",
                 "QUOTA.RESUME K", "QUOTA.CLOSE K", "QUOTA.SET K r 1", "QUOTA.RESET K", "QUOTA.SETTLE K",
                 "QUOTA.REFUND K r 1", "QUOTA.GRANT K id r 1", "QUOTA.VOID K given", "QUOTA.PARENT K K2",
                 "QUOTA.DETACH K", "QUOTA.WEIGHT K tenant:11 2", f"QUOTA.APIKEY SET K {DIGEST}",
                 f"QUOTA.APIKEY ROTATE K {DIGEST} {64 * 'b'}", f"QUOTA.APIKEY REVOKE K {DIGEST}",
                 "RL.REFUND Kw 1", "RL.BLOCK Kw 1s", "RL.TABLE Ku 5 1s"],
    "auditor": ["QUOTA.INFO K", "QUOTA.HISTORY K r", "QUOTA.FORECAST K r", "QUOTA.RECORD K given", "QUOTA.HOLDS K",
                "QUOTA.BILL K", "QUOTA.GRANTS K", "QUOTA.MEMBERS K",
                "RL.INFO Kw", "RL.LEASES Kl", "QUOTA.CHECK K r 1", "RL.PEEK Kw 10 1s", "RL.BREAKER.INFO Kb",
                "RL.ADAPT.INFO Ka", "QUOTA.APIKEY LIST K", f"QUOTA.APIKEY VERIFY K {DIGEST}"],
}
KEYLESS = {
    "operator": ["QUOTA.PLAN SET p r LIMIT 5 day", "QUOTA.PLAN CANCEL p 2", "QUOTA.PLAN DEL q",
                 "RL.POLICY SET n 1 1s", "RL.POLICY DEL n", "RL.POLICY OVERRIDE n s 1 1s",
                 "RL.POLICY PERMIT n s", "RL.POLICY REFUSE n s", "RL.POLICY LIFT n s"],
    "auditor": ["QUOTA.HEALTH", "QUOTA.CYCLE day ANCHOR 0us ZONE UTC AT 0us", "QUOTA.PLAN GET p", "QUOTA.PLAN LIST",
                "QUOTA.PLAN CHECK p r LIMIT 5 day", "RL.POLICY GET n", "RL.POLICY LIST",
                "RL.POLICY EXCEPTIONS n", "RL.POLICY CHECK n 1 1s", "RL.POLICY HELP", "QUOTA.PLAN HELP",
                "QUOTA.APIKEY HELP"],
}
ROWS = [(role, line) for role, lines in LINES.items() for line in lines]


@pytest.fixture
def users(accounts, primary):
    """An account and limits under tenant:1 and under other:1; the three users, each as it would be in a users file."""
    for name in "pq":
        accounts(f"QUOTA.PLAN SET {name} r LIMIT 10 day")
    accounts("QUOTA.PLAN SET p r LIMIT 20 day EFFECTIVE 2030-01-01T00:00:00Z")
    accounts("RL.POLICY SET n 10 1s")
    for key in ("tenant:1", "other:1"):
        accounts(f"QUOTA.OPEN {key} p")
        for hold in ("hold", "held", "longer"):
            accounts(f"QUOTA.RESERVE {key} {hold} r 1 TTL 1h")
        accounts(f"QUOTA.GRANT {key} given r 1")
        accounts(f"QUOTA.OPEN {key}1 p PARENT {key}")
        accounts(f"QUOTA.OPEN {key}2 p")
        accounts(f"QUOTA.APIKEY SET {key} {DIGEST}")
        accounts(f"RL.ALLOW {key}w 10 1s")
        accounts(f"RL.TABLE {key}u 10 1s")
        accounts(f"RL.ACQUIRE {key}l 5 1h ID lease")
    for name, (lines, _) in RECIPES.items():
        for line in lines:
            accounts(f"ACL SETUSER {name} {line}")
    clients = {name: Quota(primary.client(username=name, password=f"{name}-secret")) for name in RECIPES}
    yield clients
    for name, client in clients.items():
        client.client.close()
        accounts(f"ACL DELUSER {name}")
    accounts("RL.POLICY DEL n")


def refused(quota, line):
    """Why, in small letters: some servers begin with a large one."""
    with pytest.raises(NoPermissionError) as raised:
        quota(line)
    return str(raised.value).lower()


def test_every_command_is_in_one_recipe(inside):
    given = [name for _, commands in RECIPES.values() for name in commands] + FOR_NO_CLIENT.split()
    assert len(given) == len(set(given))
    listed = {str(name, "utf-8").lower() for name in inside.raw("COMMAND LIST FILTERBY MODULE quota")}
    containers = {name.split("|")[0] for name in listed if "|" in name}
    assert set(given) == listed - containers - set(ADMINISTRATOR)


def test_the_auditor_has_all_that_only_reads_and_nothing_else(accounts):
    for role, (_, commands) in RECIPES.items():
        for name in commands:
            flags = {str(flag, "utf-8") for flag in accounts.raw(f"COMMAND INFO {name}")[0][2]}
            assert ("readonly" in flags) == (role == "auditor"), name


@pytest.mark.parametrize("role, line", ROWS)
def test_each_does_its_own_on_its_own_keys_and_nothing_else(users, role, line):
    for name, user in users.items():
        if name != role:
            assert "no permissions to run" in refused(user, of_tenant(line))
    assert "no permissions to access" in refused(users[role], key_of_others(line))
    users[role](of_tenant(line))


def of_tenant(line):
    return " ".join(("tenant:1" + word[1:]) if word[0] == "K" else word for word in line.split())


def key_of_others(line):
    """The last key of the line is another tenant's: of many keys one is enough."""
    parts = line.split()
    last = max(at for at, word in enumerate(parts) if word[0] == "K")
    return of_tenant(" ".join(parts[:last] + ["other:1" + parts[last][1:]] + parts[last + 1:]))


@pytest.mark.parametrize("role, line", [(role, line) for role, lines in KEYLESS.items() for line in lines])
def test_plans_policies_and_reports(users, role, line):
    for name, user in users.items():
        if name != role:
            assert "no permissions to run" in refused(user, line)
    users[role](line)


def test_nothing_refused_has_changed_anything(users, accounts, primary):
    before = primary.digest()
    for role, line in ROWS:
        refused(users[role], key_of_others(line))
        for name in set(users) - {role}:
            refused(users[name], of_tenant(line))
    assert primary.digest() == before


# ---- categories ----

ALL_USERS = set(RECIPES)
CATEGORIES = [  # what a user is given, and whose commands it runs: from Redis 7.2 on, before
    ("+@read", {"auditor"}, set()),
    ("+@write", {"consumer", "operator"}, set()),
    ("+@all -@write", {"auditor"}, ALL_USERS),
    ("+@all -@read", {"consumer", "operator"}, ALL_USERS),
    ("+@all -@admin -@dangerous", ALL_USERS, ALL_USERS)]


def may_run(user, line):
    """Is that command this user's at all? Whether it goes well does not matter."""
    try:
        user(line)
    except NoPermissionError as error:
        assert "no permissions to run" in str(error).lower()
        return False
    except redis.ResponseError:
        pass
    return True


@pytest.mark.parametrize("given, roles, roles_before", CATEGORIES)
def test_categories_are_the_servers_where_it_lets_modules_join(users, accounts, primary, given, roles, roles_before):
    accounts(f"ACL SETUSER some reset on nopass ~tenant:* {given}")
    some = Quota(primary.client(username="some", password="any"))
    for role in RECIPES:
        for line in [of_tenant(line) for line in LINES[role]] + KEYLESS.get(role, []):
            assert may_run(some, line) == (role in (roles if VERSION >= (7, 2) else roles_before)), line
    some.client.close()
    accounts("ACL DELUSER some")


@pytest.mark.parametrize("line", ["QUOTA.VIOLATIONS", "QUOTA.VIOLATIONS RESET", "QUOTA.EVENTS READ",
                                  "QUOTA.EVENTS INFO"])
def test_what_shows_every_tenant_is_for_administrators(users, line):
    for user in users.values():
        assert "no permissions to run" in refused(user, line)


def test_who_may_read_may_not_move_the_clock(accounts):
    categories = {str(word, "utf-8") for word in accounts.raw("COMMAND INFO QUOTA.CLOCK")[0][6]}
    assert categories == ({"@admin", "@dangerous", "@fast"} if VERSION >= (7, 2) else set())


def test_every_command_is_in_the_categories_that_its_flags_say(inside):
    """Commands of the stream are @dangerous: a user without that gets no other answer from them than the refusal."""
    for role, (_, commands) in [*RECIPES.items(), ("internal", ([], FOR_NO_CLIENT.split()))]:
        for name in commands:
            info = inside.raw(f"COMMAND INFO {name}")[0]
            flags, categories = ({str(word, "utf-8") for word in info[field]} for field in (2, 6))
            expected = {"@read" if "readonly" in flags else "@write"}
            if role == "internal":
                expected.add("@dangerous")
            else:
                expected.add("@fast" if "fast" in flags else "@slow")
            if "blocking" in flags:
                expected.add("@blocking")
            assert categories == (expected if VERSION >= (7, 2) else set()), name


# ---- keys to read ----


def test_read_access_to_keys_looks_and_does_not_touch(accounts, primary):
    """All commands, but the keys of tenant:* only to read: what a write command would do is refused, CHECK too."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN tenant:1 p")
    accounts(f"QUOTA.APIKEY SET tenant:1 {DIGEST}")
    accounts("RL.ALLOW tenant:1w 10 1s")
    accounts("RL.ACQUIRE tenant:1l 5 1h ID lease")
    accounts("ACL SETUSER looker reset on nopass %R~tenant:* +@all")
    looker = Quota(primary.client(username="looker", password="any"))
    for line in LINES["auditor"]:
        looker(of_tenant(line))
    for line in LINES["consumer"] + LINES["operator"]:
        assert "no permissions to access" in refused(looker, of_tenant(line))
    assert looker.map("QUOTA.INFO tenant:1 r")["rules"][0]["used"] == 0
    looker.client.close()
    accounts("ACL DELUSER looker")


def test_write_access_alone_is_not_enough_for_a_verdict(accounts, primary):
    """A verdict says what is left: write access to the key alone is not enough for a request."""
    accounts("QUOTA.PLAN SET p r LIMIT 10 day")
    accounts("QUOTA.OPEN tenant:1 p")
    accounts("ACL SETUSER blind reset on nopass %W~tenant:* +@all")
    blind = Quota(primary.client(username="blind", password="any"))
    for line in ("QUOTA.CONSUME tenant:1 r 1", "QUOTA.INFO tenant:1", "RL.ALLOW tenant:1w 10 1s"):
        assert "no permissions to access" in refused(blind, line)
    blind.client.close()
    accounts("ACL DELUSER blind")


# ---- ways around ----


def test_scripts_and_transactions_have_their_callers_rights(users, accounts):
    accounts("ACL SETUSER consumer +eval")
    script = "return redis.call('QUOTA.CONSUME', KEYS[1], 'r', 1)[1]"
    assert users["consumer"].client.eval(script, 1, "tenant:1") == 1
    for line in ("redis.call('QUOTA.SET', KEYS[1], 'r', 0)", "redis.call('QUOTA.CONSUME', 'other:1', 'r', 1)"):
        with pytest.raises(redis.ResponseError, match="executing the script can't|ACL failure in script"):
            users["consumer"].client.eval(line, 1, "tenant:1")
    with users["consumer"].client.pipeline(transaction=True) as multi:
        multi.execute_command("QUOTA.CONSUME", "tenant:1", "r", 1)
        multi.execute_command("QUOTA.RESET", "tenant:1")
        with pytest.raises(redis.ResponseError, match="no permissions"):
            multi.execute()
    assert accounts.map("QUOTA.INFO tenant:1 r")["rules"][0]["used"] == 1


INTERNAL = [(line, payload) for line in ("RL._DO tenant:1", "RL._PUT tenant:1", "RL._POLICY n", "RL._PLAN p")
            for payload in (b"", b"bytes")]
INTERNAL.remove(("RL._PLAN p", b""))  # how tests, which share a server, forget a plan: the next test


@pytest.mark.parametrize("line, payload", INTERNAL)
def test_internal_commands_are_refused_to_every_user(users, accounts, primary, replica, line, payload):
    accounts("ACL SETUSER root reset on nopass ~* &* +@all")
    before = primary.digest()
    arguments = (*line.split(), payload)
    root = Quota(primary.client(username="root", password="any"))
    for caller in (accounts, root):
        assert re.search(REFUSED_INTERNAL, caller.error("", *arguments))
        for script in ("return redis.call(unpack(ARGV))", "#!lua\nreturn redis.call(unpack(ARGV))"):
            with pytest.raises(redis.ResponseError, match=REFUSED_INTERNAL):
                caller.client.eval(script, 0, *arguments)
        with caller.client.pipeline(transaction=True) as multi:
            multi.execute_command(*arguments)
            with pytest.raises(redis.ResponseError, match=REFUSED_INTERNAL):
                multi.execute()
    error = Quota(replica.client()).error("", *arguments)
    assert re.search(REFUSED_INTERNAL, error) or "read only replica" in error
    for user in users.values():
        error = user.error(line + " bytes")
        assert "no permissions to run" in error.lower() or HIDES_INTERNAL and re.search(REFUSED_INTERNAL, error)
    assert primary.digest() == before
    assert accounts.map("QUOTA.PLAN GET p")
    root.client.close()
    accounts("ACL DELUSER root")


def test_a_plan_is_forgotten_by_tests_alone():
    """A server without the option test-clock refuses that to every user, too."""
    server = Server(module_options=()).start()
    try:
        quota = Quota(server.client())
        quota("QUOTA.PLAN SET p r LIMIT 10 day")
        assert re.search(REFUSED_INTERNAL, quota.error("RL._PLAN p", b""))
        with pytest.raises(redis.ResponseError, match=REFUSED_INTERNAL):
            quota.client.eval("return redis.call(unpack(ARGV))", 0, "RL._PLAN", "p", b"")
        with quota.client.pipeline(transaction=True) as multi:
            multi.execute_command("RL._PLAN", "p", b"")
            with pytest.raises(redis.ResponseError, match=REFUSED_INTERNAL):
                multi.execute()
        assert listed(quota) == {"p": (1, 0, 0)}
    finally:
        server.close()
