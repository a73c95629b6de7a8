"""kill -9 under load, three cycles of tests/soak/crash.py: what was acknowledged is counted, exactly once."""

import sys

from servers import ROOT

sys.path.append(str(ROOT / "tests" / "soak"))
import crash  # noqa: E402


def test_acknowledged_units_survive_kill_9_under_load(request):
    figures = crash.run(3, request.config.getoption("--seed"))
    assert figures["cycles"] == 3
    assert figures["units"] > 0 and figures["repeated"] > 0
