"""Fixtures of the Python distribution's tests: servers are started as those of tests/integration are."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts/python"), str(ROOT / "tests/integration")]

from servers import Server


@pytest.fixture(scope="module")
def running():
    """One server for all tests of a file."""
    server = Server().start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def started():
    """One server whose AOF loses nothing, for all tests of a file."""
    server = Server(appendonly="yes", appendfsync="always").start()
    yield server
    server.close()


@pytest.fixture
def durable(started):
    """That server, running again if the test before has stopped it."""
    if started.process is None:
        started.start_at(started.port)
    return started
