"""A slow honest model of a whole account: every boundary is met, one after another, and every wait is found by looking.

    stored ── cycle ends ── override ends ── plan revision ── next plan ── expires ──▶ now   one event after another,
      │                                                                                │     however many there are
      └─ a copy is moved up to now and requested ─▶ reply │ changed: the copy is kept     ◀┘
                                                      │ not:     it is thrown away (a look settles nothing)

    calendar      boundaries, walked on the wall clock          entitlement   the rules of a resource, an override above
    plans         revisions, and limits as integrals            window        cycles, rolling windows, their ledgers
    lifetime      what time and plans do                        consuming     what fits, when, who decides
    ledger        refunds, reservations                         account       an operator's commands, INFO, HISTORY
    carry         what a cycle hands to the next                slow_lane     what THROTTLE admits, and when

Nothing here is found by formula: a cycle's boundaries are walked one by one from the anchor (datetime, zoneinfo),
debts and closed cycles are carried over one boundary at a time, a limit is summed over its parts as an exact fraction,
rolling windows are lists, and a wait is the first later instant (a cycle ends, a reservation ends, an entry leaves) at
which the request fits, as if no other client came. Times are ints in us, units are ints; rates are those of model.py.
"""

from account_model.account import Account, figures
from account_model.calendar import DAY, FOREVER, Calendar, duration, later_by
from account_model.carry import Rollover
from account_model.entitlement import Concurrent, Entitlement, Limit, Rate, Rolling, Throttle
from account_model.lifetime import Refused, Silent
from account_model.plans import Host, Part, allowance

__all__ = ["Account", "Calendar", "Concurrent", "DAY", "Entitlement", "FOREVER", "Host", "Limit", "Part", "Rate",
           "Refused", "Rolling", "Rollover", "Throttle", "Silent", "allowance", "duration", "figures", "later_by"]
