"""How the tests call quotactl: within this process, since starting a Python takes longer than what it does; `started`
runs the program as an operator does."""

import json
import os
import subprocess
import sys

import click.testing
from conftest import NOON, Quota, clear_plans, clear_policies
from redis_quota.cli import quotactl as program
from servers import ROOT

LAUNCHER = ROOT / "scripts" / "quotactl"


def url_of(server):
    return f"redis://127.0.0.1:{server.port}"


def emptied(server):
    client = server.client()
    client.execute_command("QUOTA.CLOCK", "FREEZE", NOON)
    client.replicaof("NO", "ONE")
    client.flushall()
    clear_plans(Quota(client))
    clear_policies(Quota(client))
    return server


def quotactl(*words, code=0, given=None, env=None):
    """What it prints; of a call that cannot be done (2) what standard error says."""
    done = click.testing.CliRunner().invoke(program, [*map(str, words)], input=given, env=env)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if code != 2 else done.stderr


def refused(*words):
    """What standard error says of a call that the server refuses."""
    done = click.testing.CliRunner().invoke(program, list(words))
    assert done.exit_code == 1, (done.exit_code, done.stdout, done.stderr)
    return done.stderr


def answered(*words, code=0):
    """The answer of a call with --json."""
    return json.loads(quotactl(*words, "--json", code=code))


def started(*words, code=0, given=None, env=None):
    done = subprocess.run([sys.executable, str(LAUNCHER), *map(str, words)], input=given, text=True,
                          capture_output=True, check=False, env={**os.environ, **(env or {})})
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if code != 2 else done.stderr
