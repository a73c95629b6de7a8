"""The slow model of a family: accounts above accounts, units known one by one by what paid for them at each level.

    request of n ─▶ every level from the top down: limits, credits, BURST, OVERAGE ─▶ what it lacks: credits below it
                 │ one level finds no place for some                            ─▶ nothing is charged anywhere
                 └ all do ─▶ the parts of each level are remembered; refunds, COMMIT, RELEASE go back to these

    cycles   a plan's rules, cycles as the calendar walks them      level    one account: what pays, who used what
    shares   how a pool divides its longest LIMIT                   family   the tree: requests, reservations, moves
    waits    when a request fits; requests of several resources

A level is an account of credits_model.py whose cycles are walked on the calendar of its own zone and anchor. What it
counts for each of its members is a plain sum by member and cycle, shares are made by the words of the contract in exact
fractions, and a wait is found by letting time go on from event to event.
"""

from family_model.cycles import Plan
from family_model.family import Family, Refused
from family_model.waits import EVENTS_AHEAD, consume_batch, first_fit

__all__ = ["EVENTS_AHEAD", "Family", "Plan", "Refused", "consume_batch", "first_fit"]
