"""Fixtures of the Python distribution's tests: servers are started as those of tests/integration are."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts/python"), str(ROOT / "tests/integration")]
