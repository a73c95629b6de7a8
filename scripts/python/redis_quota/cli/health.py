"""quotactl health: what endangers quotas, on every primary; the exit code is for monitors.

    0  every server answers, and QUOTA.HEALTH of each is ok
    1  a server has a problem; it still decides
    2  a server cannot be reached, or has no quota.so
"""

from __future__ import annotations

import sys

from .base import Session, command
from .servers import Fault, Server


def state_of(server: Server) -> dict[str, object]:
    """QUOTA.HEALTH of one server; `down` with the error where it does not answer."""
    try:
        return {"server": server.address, **server.call("QUOTA.HEALTH")}
    except Fault as fault:
        return {"server": server.address, "status": "down", "problems": [fault.message]}


@command()
def health(session: Session) -> None:
    """Shows what endangers quotas on each primary; exit code 0 ok, 1 problems, 2 a server is down."""
    states = [state_of(server) for server in session.fleet.answering]
    if session.json:
        session.emit(states)
    for state in states:
        session.say(f"{state['server']}: {state['status']}")
        problems = state["problems"]
        for problem in problems if isinstance(problems, list) else ():
            session.say(f"  {problem}")
    found = {state["status"] for state in states}
    sys.exit(2 if "down" in found else 1 if found != {"ok"} else 0)
