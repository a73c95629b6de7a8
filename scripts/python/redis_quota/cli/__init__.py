"""quotactl: what an operator does with servers that have quota.so, as commands of a shell.

    quotactl account show acme
        │       │      └── a command of the group, with --url, --json, --yes, --actor as every command has
        │       └───────── a group: one file here, imported only when it is called
        └───────────────── main

To add a group, or a command beside the groups: a file with a click command of that name, and a row in COMMANDS below.
"""

from __future__ import annotations

import importlib
import sys

try:
    import click
except ImportError:
    sys.stderr.write("quotactl: click is missing: pip install 'redis-quota[cli]'\n")
    sys.exit(2)

from ..version import __version__

# name: (module of this package, what --help says of it). The module is imported when the command is called.
COMMANDS = {
    "config": ("config", "Plans and policies in a file: save, diff, apply, lint, check."),
    "policy": ("policy", "Policies and their exceptions: show, permit, refuse, override, remove."),
    "account": ("account", "Accounts: show, list, open, switch, suspend, override, grant and so on."),
    "key": ("key", "API keys of an account: create, rotate, revoke, list."),
    "why": ("why", "Why an account or a key is refused, and when it will be admitted."),
    "usage": ("usage", "Who uses how much: report, export, top."),
    "bill": ("bill", "What cycles cost: show, export."),
    "forecast": ("forecast", "What the running cycles of an account come to."),
    "advise": ("forecast", "The smallest plan that fits an account's forecast."),
    "violations": ("violations", "What servers have refused lately."),
    "events": ("events", "The event log: tail, range."),
    "forward": ("forward", "Send events to webhooks, files, streams, until it is stopped."),
    "sinks": ("sinks", "The forwarder's sinks: list, dead, replay, enable, forget, test."),
    "audit": ("audit", "The forwarder's archive: report, verify."),
    "health": ("health", "What endangers quotas; exit code 0, 1 or 2."),
    "acl": ("acl", "ACL SETUSER lines of a consumer, operator, auditor, admin, forwarder, exporter."),
    "migrate": ("migrate", "Take over keys of goquota, redis-cell, limits, upstash."),
    "exporter": ("exporter", "Metrics for Prometheus over HTTP."),
    "simulate": ("simulate", "Drive the module with a simulated service."),
}

EXTRAS = {"forward": "forward", "sinks": "forward", "exporter": "exporter"}  # of redis-quota; all others need cli


class LazyGroup(click.Group):
    """Imports the file of a command when that command is called, and for its own --help none of them."""

    called = ""  # the command that was looked for last

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        self.called = cmd_name
        module = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def quotactl() -> None:
    """Operates servers that have the module quota.so.

    Every command takes --url (default: $QUOTA_URL, else redis://127.0.0.1:6379):
    redis://[user:password@]host[:port][/db], rediss:// with TLS, or unix://path. In a cluster any node will do; the
    others are reached with the same user and password. Several servers: --url again, or a comma between them.

    Exit codes: 0 all is well; 1 what was compared differs, or the server refuses; 2 it cannot be done, standard error
    says why.
    """


def main() -> None:
    """The program: never a traceback; what cannot be imported is named with the command that installs it."""
    try:
        quotactl(prog_name="quotactl")
    except ImportError as missing:
        extra = EXTRAS.get(quotactl.called, "cli")
        sys.stderr.write(f"quotactl: {missing}: pip install 'redis-quota[{extra}]'\n")
        sys.exit(2)
    except BrokenPipeError:  # the reader of the pipe, such as head, has enough
        sys.stderr.close()
        sys.exit(0)
