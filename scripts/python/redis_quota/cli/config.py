"""quotactl config: plans, policies and sinks in a file, the same on every primary, and what differs between them.

    server ── save ──▶ file ── lint ──▶ nothing is wrong in it
                        ├───── diff ──▶ the commands that apply would send; exit code 1 where there are any
                        └───── apply ─▶ every primary, at one instant; again: nothing to do
    the primaries of a cluster ── check ──▶ what differs between them

    plans:
      pro:
        resources:
          api_calls: [LIMIT 20000 month, RATE GCRA 10 1s]
        pending: [{resource: api_calls, rules: [LIMIT 30000 month], apply: END, effective: 1798761600000}]
    policies:
      api:
        rules: [GCRA 100 1m]
        block_ms: 60000
        schedules: [{when: Europe/Berlin mon-fri 09:00-17:00, rules: [GCRA 20 1m]}]

Names are those of RL.POLICY GET and QUOTA.PLAN GET, rules the text that they answer; `until` and `effective` are in
Unix ms, without `until` it is for ever. With --exceptions a policy has overrides, subjects and ranges, too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml

from ..rules import words_of
from .base import Session, command, group
from .configuration import (
    KINDS,
    Commands,
    Facts,
    differences,
    fact_name,
    fact_text,
    facts_of,
    left_over,
    policy_words,
    read_configuration,
    steps_of,
    takes_away,
)
from .document import Document, checked, read_document, read_text
from .servers import Refused, Server
from .words import line, moment, plural, shown

LEAD_MS = 1000  # from now to the instant at which all primaries change
LEAD_PER_COMMAND_MS = 5
PATIENCE_S = 5  # beyond the instant, for clocks that are behind
POLL_S = 0.02
FORWARDED = {"sinks", "forward"}  # sections of quotactl forward
FILE = click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
PRUNE = click.option("--prune", is_flag=True, help="Also delete policies and resources, and retire plans, that the "
                                                   "file does not have.")
EXCEPTIONS = click.option("--exceptions", is_flag=True, help="Overrides and lists of policies, too. Without it they "
                          "are left alone, so that a deploy does not undo an emergency block.")
EFFECTIVE = click.option("--effective", metavar="now|INSTANT", help="When plans change: now, Unix ms or RFC 3339. "
                         "Default: at once on one server, on several all at one instant, a second from now.")


@group()
def config() -> None:
    """Plans and policies of a server in a file, YAML or JSON.

    Accounts and limits are keys; they are not in it. Settings (quota.*) are the server's. The sections 'sinks' and
    'forward' are those of quotactl forward: one of the servers keeps them as they are written, for save and for a
    forwarder that is given no file. A file without 'sinks' leaves them alone.
    """


def opened(file: str) -> tuple[Document, Document]:
    """The file, - is standard input, and the same with its ${NAME}; it says nothing wrong that can be seen without a
    server."""
    name, text = (file, read_text(Path(file))) if file != "-" else (
        "<stdin>", sys.stdin.buffer.read().decode("utf-8"))
    document, as_written = read_document(name, text), read_document(name, text, expand=False)
    checked(document)
    if FORWARDED & document.value.keys():
        from ..forward.config import settings_of
        settings_of(document)
    return document, as_written


# ---- save ----------------------------------------------------------------------------------------------------------


def written(configuration: dict[str, Any], as_json: bool) -> str:
    """The same configuration makes the same text."""
    if as_json:
        return json.dumps(configuration, indent=2) + "\n"
    text = yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True, width=1 << 20, default_flow_style=False)
    return str(text)


@command(config)
@click.argument("file", type=click.Path(dir_okay=False, writable=True, allow_dash=True), default="-")
@EXCEPTIONS
def save(session: Session, file: str, exceptions: bool) -> None:
    """Writes the configuration of a server to FILE (default: standard output).

    YAML; JSON with --json, or to a file that is called .json. The same configuration makes the same bytes. Ends (EX)
    are written as instants, in Unix ms rounded up; what has ended is left out, and so are plans that are retired and
    the numbers of revisions. All primaries are read: where they differ nothing is written, exit code 1; see check.

    The sinks that apply has put on the servers are in it, with their ${NAME}.
    """
    from ..forward.stored import Hidden, read_stored, sections_of
    configurations = [read_configuration(server, exceptions) for server in session.fleet.primaries]
    different = differences([facts_of(configuration, exceptions) for configuration in configurations])
    if different:
        raise Refused(f"the primaries differ in {plural(len(different), 'fact')}, first: {fact_name(different[0])}. "
                      "quotactl config check names all of them, config apply makes the primaries equal; or save one "
                      "of them by its own --url where servers are in no cluster")
    found = configurations[0]
    found["plans"] = {name: plan for name, plan in found["plans"].items() if "retired" not in plan}
    try:
        found |= sections_of(read_stored(session.fleet))
    except Hidden as hidden:
        session.note(f"without sinks: {hidden.message}")
    text = written(found, session.json or file.endswith(".json"))
    if file == "-":
        click.echo(text, nl=False)
    else:
        Path(file).write_text(text, encoding="utf-8")


# ---- diff, apply -----------------------------------------------------------------------------------------------------


class Change:
    """What the file wants of the servers, and how they are made to have it."""

    def __init__(self, session: Session, file: str, prune: bool, exceptions: bool, effective: str | None) -> None:
        document, as_written = opened(file)
        self.session, self.prune, self.exceptions = session, prune, exceptions
        self.wanted = facts_of(document.value, exceptions)
        self.servers = session.fleet.primaries
        self.haves = [facts_of(read_configuration(server, exceptions), exceptions) for server in self.servers]
        self.instant_ms = self.instant(effective)
        self.steps = [(server, commands) for server, commands
                      in steps_of(self.servers, self.wanted, self.haves, prune, self.instant_ms) if commands]
        self.add_sinks(as_written)
        self.count = sum(len(commands) for _, commands in self.steps)
        ignored = sum(len(policy.get(kind, [])) for policy in document.value["policies"].values() for kind in KINDS)
        if ignored and not exceptions:
            session.note(f"{plural(ignored, 'exception')} of the file left alone: --exceptions is about them")

    def add_sinks(self, document: Document) -> None:
        """One server keeps them for all."""
        from ..forward.store import home_of
        from ..forward.stored import CONFIG, commands_for, read_stored
        if "sinks" in document.value:
            fleet = self.session.fleet
            if commands := commands_for(document, read_stored(fleet), self.prune):
                self.steps.append((home_of(fleet, CONFIG), [list(words) for words in commands]))

    def instant(self, effective: str | None) -> int:
        """When plans change, in Unix ms; 0 is at once."""
        if effective == "now" or (effective is None and len(self.servers) == 1):
            return 0
        if effective is not None:
            return self.servers[0].instant_ms(effective)
        facts = max(len(self.wanted), 1) * len(self.servers)
        return max(server.now_ms() for server in self.servers) + LEAD_MS + LEAD_PER_COMMAND_MS * facts

    def show(self) -> None:
        for server, commands in self.steps:
            show(self.session, server, commands)

    def wait(self) -> None:
        """Until the instant has come on every server; not for one that is further away than what we set ourselves."""
        if not any("EFFECTIVE" in words for _, commands in self.steps for words in commands) or not self.instant_ms:
            return
        ahead_s = (self.instant_ms - min(server.now_ms() for server in self.servers)) / 1000
        deadline = time.monotonic() + ahead_s + PATIENCE_S
        while ahead_s < 2 * PATIENCE_S and any(server.now_ms() < self.instant_ms for server in self.servers):
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
        if any(server.now_ms() < self.instant_ms for server in self.servers):
            self.session.note(f"plans change at {moment(self.instant_ms)}")

    def summary(self, done: str) -> None:
        servers = plural(len(self.servers), "server")
        self.session.note(f"{servers}: {plural(self.count, 'command')} {done}")

    def as_json(self) -> list[dict[str, Any]]:
        return [{"server": server.address, "commands": [line(words) for words in commands]}
                for server, commands in self.steps]


def show(session: Session, server: Server, commands: Commands) -> None:
    """Each command as redis-cli shows what is typed there."""
    for words in commands:
        session.say(f"{server.address}> {line(words)}")


@command(config)
@FILE
@PRUNE
@EXCEPTIONS
@EFFECTIVE
def diff(session: Session, file: str, prune: bool, exceptions: bool, effective: str | None) -> None:
    """Shows the commands that apply would send; exit code 1 where there are any."""
    change = Change(session, file, prune, exceptions, effective)
    change.show()
    if session.json:
        session.emit(change.as_json())
    change.summary("would be sent")
    sys.exit(1 if change.count else 0)


@command(config)
@FILE
@PRUNE
@EXCEPTIONS
@EFFECTIVE
def apply(session: Session, file: str, prune: bool, exceptions: bool, effective: str | None) -> None:
    """Makes every primary what FILE (- for standard input) says.

    Prints each command that it sends. What is equal already is left alone: applying twice sends nothing the second
    time. A plan or a policy changes in one step on each server, one server after another; on several servers the
    changes of plans come into force at one instant, and apply waits for it. A plan that a server does not have yet is
    there at once; so is what the file, besides, has 'pending' changes of, since only one change can be to come.

    Ends that lie in the past are left out; an end that is within a second of the file's is the same. A plan that is
    retired and stands in the file is there again; --prune retires plans that the file does not have. Each server
    numbers the revisions of its plans itself: an account that moves there takes its plan over by the rules.

    At the end the servers are read again. What is not as the file says is named, exit code 1: a rule in other words
    than the server's ('10 1s' for 'GCRA 10 1s') is set, but would be set again by every apply. Write it as save does;
    lint names such rules.
    """
    change = Change(session, file, prune, exceptions, effective)
    taken = sum(takes_away(words) for _, commands in change.steps for words in commands)
    if taken:
        session.confirm(f"Send {plural(change.count, 'command')}, {taken} of which take something away?")
    for server, commands in change.steps:
        show(session, server, commands)
        server.do(commands)
    change.wait()
    change.summary("sent")
    left = [words for server in change.servers
            for words in left_over(server, change.wanted, prune, exceptions, change.instant_ms)]
    if session.json:
        session.emit({"sent": change.as_json(), "differs": left})
    for words in left:
        session.say(words)
    sys.exit(1 if left else 0)


# ---- lint ------------------------------------------------------------------------------------------------------------


class Linter:
    """Lets the server's own parser judge every rule of a document; nothing is stored."""

    def __init__(self, server: Server, document: Document) -> None:
        self.server, self.document = server, document
        self.found: list[dict[str, str]] = []

    def report(self, path: tuple[object, ...], where: str, text: str) -> None:
        self.found.append({"place": self.document.place(*path), "where": where, "problem": text})

    def rules(self, path: tuple[object, ...], where: str, rules: list[str], check: list[object]) -> list[str] | None:
        """The rules as the server prints them, or None after a report: of the first rule that is wrong by itself, else
        of all of them."""
        whole = self.server.attempt(*check, *words_of(rules))
        if not isinstance(whole, Exception):
            return list(whole["rules"] if isinstance(whole, dict) else rules)  # RL.POLICY CHECK answers OK
        for number, rule in enumerate(rules):
            reply = self.server.attempt(*check, *rule.split())
            if isinstance(reply, Exception) and str(reply) == str(whole):
                path = (*path, number)
                break
        self.report(path, where, str(whole))
        return None

    def plan(self, name: str, plan: dict[str, Any]) -> None:
        for resource, rules in plan["resources"].items():
            self.resource(("plans", name, "resources", resource), name, resource, rules)
        for number, entry in enumerate(plan.get("pending", [])):
            self.resource(("plans", name, "pending", number, "rules"), name, entry["resource"], entry["rules"])

    def resource(self, path: tuple[object, ...], plan: str, resource: str, rules: list[str]) -> None:
        where = f"plan {shown(plan)}, resource {shown(resource)}"
        printed = self.rules(path, where, rules, ["QUOTA.PLAN", "CHECK", plan, resource])
        if printed is None or words_of(printed) == words_of(rules):
            return
        if [rule.split()[0] for rule in printed] != [rule.split()[0] for rule in rules]:  # in another order, or joined
            self.report(path, where, f"the server writes these as: {', '.join(printed)}")
            return
        for number, (found, rule) in enumerate(zip(printed, rules, strict=True)):
            if found.split() != rule.split():
                self.report((*path, number), where, f"the server writes this as: {found}")

    def policy(self, name: str, policy: dict[str, Any]) -> None:
        path, where = ("policies", name), f"policy {shown(name)}"
        parts: list[tuple[tuple[object, ...], list[str]]] = [((*path, "rules"), policy["rules"])]
        parts += [((*path, kind, number, "rules"), entry["rules"]) for kind in ("schedules", "overrides")
                  for number, entry in enumerate(policy.get(kind, []))]
        right = [self.rules(at, where, rules, ["RL.POLICY", "CHECK", name]) for at, rules in parts]
        if None in right:
            return
        for at, rules in parts:
            self.printed(at, where, rules)
        for number, entry in enumerate(policy.get("schedules", [])):
            self.whole((*path, "schedules", number, "when"), where, name, {**policy, "schedules": [entry]})
        self.whole(path, where, name, {**policy, "schedules": []})

    def whole(self, path: tuple[object, ...], where: str, name: str, policy: dict[str, Any]) -> None:
        """What only shows where the parts stand together: zones, days, hours, bounds."""
        reply = self.server.attempt("RL.POLICY", "CHECK", name, *policy_words(policy))
        if isinstance(reply, Exception):
            self.report(path, where, str(reply))

    def printed(self, path: tuple[object, ...], where: str, rules: list[str]) -> None:
        """The same rule as a RATE of a plan shows how the server writes it."""
        replies = self.server.each(["QUOTA.PLAN", "CHECK", "lint", "lint", "RATE", *rule.split()] for rule in rules)
        for number, (rule, reply) in enumerate(zip(rules, replies, strict=True)):
            found = reply["rules"][0].removeprefix("RATE ") if isinstance(reply, dict) else rule
            if found.split() != rule.split():
                self.report((*path, number), where, f"the server writes this as: {found}")


@command(config)
@FILE
def lint(session: Session, file: str) -> None:
    """Names what is wrong in FILE, with file and line; exit code 1.

    Rules are judged by the server's own parser (QUOTA.PLAN CHECK, RL.POLICY CHECK); nothing is stored. A rule in other
    words than the server's is a finding, too: apply would set it again and again.
    """
    document, _ = opened(file)
    linter = Linter(session.fleet.primaries[0], document)
    for name, plan in document.value["plans"].items():
        linter.plan(name, plan)
    for name, policy in document.value["policies"].items():
        linter.policy(name, policy)
    if session.json:
        session.emit(linter.found)
    for found in linter.found:
        session.say(f"{found['place']}: {found['where']}: {found['problem']}")
    session.note(plural(len(linter.found), "finding"))
    sys.exit(1 if linter.found else 0)


# ---- check -----------------------------------------------------------------------------------------------------------


@command(config)
@click.option("--no-exceptions", is_flag=True, help="Leave overrides and lists of policies out.")
def check(session: Session, no_exceptions: bool) -> None:
    """Compares all primaries, also those without slots.

    Names each plan, resource, policy, override and list entry that is not the same everywhere, and what is to come
    of plans, with what each primary has; exit code 1. Revisions are not compared: each server numbers its own, and
    nothing depends on them. An instant that differs by a second at most is the same.
    """
    servers = session.fleet.primaries
    exceptions = not no_exceptions
    facts: list[Facts] = [facts_of(read_configuration(server, exceptions), exceptions) for server in servers]
    keys = {key for found in facts for key in found if key[0] != "retired"}
    different: list[dict[str, Any]] = []
    for key in differences(facts):
        texts = {server.address: fact_text(have.get(key)) for server, have in zip(servers, facts, strict=True)}
        different.append({"what": fact_name(key), "servers": texts})
        session.say(f"{fact_name(key)}:")
        for address, text in texts.items():
            session.say(f"    {address}  {text}")
    if session.json:
        session.emit(different)
    compared = f"{len(servers)} primaries" if len(servers) > 1 else "one server, nothing to compare it with"
    session.note(f"{compared}: {plural(len(keys), 'fact')}, {plural(len(different), 'difference')}")
    sys.exit(1 if different else 0)
