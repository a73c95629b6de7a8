"""Tests of the Python distribution (a package, so that its conftest is not taken for that of tests/integration)."""
