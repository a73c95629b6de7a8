"""quotactl as a program: it starts quickly, imports what it needs, is installed, completes words, and never shows a
traceback.

    scripts/quotactl · make install into a folder · pip install into a fresh environment
"""

import contextlib
import os
import signal
import subprocess
import sys
import venv

import click
import pytest
from redis_quota.cli import COMMANDS
from redis_quota.cli import quotactl as program
from servers import PATIENCE_S, ROOT, Server, free_port

from .calls import LAUNCHER, emptied, quotactl, started, url_of

LIBRARIES = ("redis", "rich", "yaml")  # what no one needs for --help


@pytest.fixture(scope="module")
def running():
    server = emptied(Server().start())
    yield server
    server.close()


def every_command(group=program, words=()):
    """Each command of each group: its words, and the command."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*words, name))
        else:
            yield (*words, name), command


def test_every_command_has_the_options_of_all_and_a_help():
    found = list(every_command())
    assert len(found) > 40
    assert {words[0] for words, _ in found} == set(COMMANDS)
    for words, command in found:
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--url", "--json", "--yes", "--actor"} <= options, words
        said = quotactl(*words, "--help")
        assert "Usage: " in said
        assert command.get_short_help_str().rstrip("."), words


@pytest.mark.parametrize(("words", "missing", "extra"), [
    ("forward {file}", "structlog", "forward"), ("sinks test {file} hook", "standardwebhooks", "forward"),
    ("exporter", "prometheus_client", "exporter"), ("config lint {file}", "yaml", "cli")])
def test_a_missing_package_is_named_with_what_installs_it(tmp_path, words, missing, extra):
    (tmp_path / f"{missing}.py").write_text(f"raise ImportError('no {missing}')\n")
    file = tmp_path / "sinks.yaml"
    file.write_text(f"sinks: {{hook: {{webhook: 'https://x.test/', secrets: whsec_{'A' * 40}}}}}\n")
    said = started(*words.format(file=file).split(), code=2, env={"PYTHONPATH": str(tmp_path)})
    assert said == f"quotactl: no {missing}: pip install 'redis-quota[{extra}]'\n"


def test_help_imports_no_group_and_no_library():
    """So it starts quickly, whatever the machine does: what takes time is not imported."""
    code = ("import sys; sys.argv[1:] = ['--help']\nfrom redis_quota.cli import main\ntry:\n    main()\n"
            "except SystemExit:\n    print('modules', *sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "scripts/python")})
    modules = done.stdout.rpartition("modules ")[2].split()
    assert "redis_quota.cli" in modules
    assert not [name for name in modules if name.startswith("redis_quota.cli.") or name in LIBRARIES]


def test_health_imports_its_own_group_alone(running):
    code = ("import sys; sys.argv[1:] = ['health', '--json']\nfrom redis_quota.cli import main\ntry:\n    main()\n"
            "except SystemExit:\n    print('modules', *sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "scripts/python"), "QUOTA_URL": url_of(running)})
    modules = done.stdout.rpartition("modules ")[2].split()
    of_cli = {name for name in modules if name.startswith("redis_quota.cli.")}
    assert of_cli == {f"redis_quota.cli.{name}" for name in ("base", "health", "servers", "words")}
    assert not {"rich", "yaml"} & set(modules)


NO_SERVER = ["health", "config save", "config check", "account show a", "account list", "key list a", "why a",
             "usage report", "bill show a", "forecast a", "advise a", "violations", "events range", "events tail",
             "policy show", "migrate goquota", "migrate limits", "migrate upstash --rule FIXED"]


@pytest.mark.parametrize("call", NO_SERVER)
def test_without_a_server_it_is_one_line_and_exit_code_2(call):
    url = f"redis://127.0.0.1:{free_port()}"
    said = quotactl(*call.split(), "--url", url, code=2)
    assert call == "health" or "refused" in said
    assert said.count("\n") <= 1


def test_on_a_server_without_the_module_it_says_so(running):
    """A user that may not use the commands sees the same kind of line as one for whom they are not there."""
    running.client().execute_command("ACL", "SETUSER", "bare", "reset", "on", ">secret", "~*", "+info", "+ping")
    said = started("account", "list", "--url", f"redis://bare:secret@127.0.0.1:{running.port}", code=2)
    assert said.startswith("Error: ")
    assert "permission" in said.lower()


def test_the_url_comes_from_the_environment_or_the_call(running):
    assert "warning" in started("health", env={"QUOTA_URL": url_of(running)}, code=1)
    assert "warning" in started("health", "--url", url_of(running), env={"QUOTA_URL": "redis://127.0.0.1:1"}, code=1)


def test_a_reader_that_has_enough_ends_it(running):
    command = f"{sys.executable} {LAUNCHER} acl admin | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "ACL SETUSER admin reset on >admin-secret ~*\n"
    assert done.stderr == ""


def test_words_are_completed(running):
    for words, wanted in (("quotactl acc", "account"), ("quotactl account sus", "suspend"),
                          ("quotactl usage top --ne", "--near"), ("quotactl acl op", "operator")):
        env = {"_QUOTACTL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        assert started(env=env) == f"plain,{wanted}\n"


def test_tail_ends_with_ctrl_c(running):
    # A shell that runs the tests in the background lets them ignore Ctrl-C, and their children would, too.
    process = subprocess.Popen(["env", "--default-signal=INT", sys.executable, str(LAUNCHER), "events", "tail",
                                "--url", url_of(running)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.client().execute_command("QUOTA.PLAN", "SET", "tail", "r", "LIMIT", 5, "day")
    assert "quota.plan.changed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0


def on_a_terminal(running, *words, answer=""):
    """Runs it with a terminal for questions and bars; its exit code, standard output, and what the terminal shows."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([sys.executable, str(LAUNCHER), *words, "--url", url_of(running)], text=True,
                               stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    with contextlib.suppress(OSError):  # the terminal ends with the program
        while chunk := os.read(ours, 4096):
            shown += chunk
    out, _ = process.communicate(timeout=PATIENCE_S)
    os.close(ours)
    return process.returncode, out, shown.decode()


def test_a_terminal_is_given_questions_and_bars(running):
    client = running.client()
    client.execute_command("QUOTA.PLAN", "SET", "p", "r", "LIMIT", 5, "day")
    client.execute_command("QUOTA.OPEN", "a", "p")
    code, out, shown = on_a_terminal(running, "account", "close", "a", answer="n\n")
    assert (code, out) == (1, "")
    assert "Close a? [y/N]" in shown
    assert "nothing was done" in shown
    assert on_a_terminal(running, "account", "close", "a", answer="y\n")[:2] == (0, "a: closed\n")
    code, out, shown = on_a_terminal(running, "usage", "export", "--csv")
    assert (code, out.splitlines()[1].split(",")[:3]) == (0, ["a", "p", "closed"])
    assert "accounts" in shown


# ---- installed -----------------------------------------------------------------------------------------------------


def test_make_install_gives_a_working_program(running, tmp_path):
    subprocess.run(["make", "-o", "quota.so", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr/local"], cwd=ROOT,
                   check=True, capture_output=True)
    installed = tmp_path / "usr/local/bin/quotactl"
    assert os.access(installed, os.X_OK)
    assert (tmp_path / "usr/local/lib/redis/modules/quota.so").exists()
    assert not list(tmp_path.rglob("__pycache__"))
    done = subprocess.run([sys.executable, "-B", str(installed), "health", "--json", "--url", url_of(running)],
                          capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert '"status": "warning"' in done.stdout
    code = (f"import runpy, sys; sys.argv = ['quotactl', '--help']\ntry:\n    runpy.run_path({str(installed)!r})\n"
            "except SystemExit:\n    print(sys.modules['redis_quota'].__file__)")
    where = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert where.stdout.splitlines()[-1] == str(tmp_path / "usr/local/lib/quotactl/redis_quota/__init__.py")


def test_a_python_without_the_libraries_is_an_error_of_one_line(tmp_path):
    done = subprocess.run([sys.executable, "-S", "-E", str(LAUNCHER), "--help"], capture_output=True, text=True,
                          check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("quotactl: ")
    assert done.stderr.count("\n") == 1


def test_pip_installs_it_into_a_fresh_environment(running, tmp_path):
    """With the libraries of these tests, so that only the build comes from a registry."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    wanted = [line for line in (ROOT / "tests/requirements.txt").read_text().splitlines() if "==" in line]
    (tmp_path / "pins.txt").write_text("\n".join(wanted))
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", tmp_path / "pins.txt",
                    f"{ROOT / 'scripts/python'}[cli]"], check=True, capture_output=True)
    quotactl_ = tmp_path / "env/bin/quotactl"
    done = subprocess.run([quotactl_, "account", "list", "none*", "--json", "--url", url_of(running)], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    version = subprocess.run([quotactl_, "--version"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert version.stdout == "quotactl 0.1.0\n"
