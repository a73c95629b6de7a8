"""When a request will be admitted, and requests of several resources.

    now ── event ── event ── event ──▶        time goes on from one to the next, in a copy of the family, until all fits
"""

import copy

from credits_model import NEVER
from family_model.family import Refused
from model import wait

EVENTS_AHEAD = 64  # the promise of a wait looks at so many changes; the model at some more


def first_fit(wanted, name):
    """wanted: (family, amount). -> when all are admitted if no others come (None: never), events before that."""
    wanted = [(copy.deepcopy(family), amount) for family, amount in wanted]
    charges = [(level, amount) for family, amount in wanted for _, level, _ in family.deciding(name)]
    for events in range(8 * EVENTS_AHEAD):
        now, coming = wanted[0][0].now, min((at for level, _ in charges for at in level.events()), default=NEVER)
        delays = [wait(level.rate, amount * level.plan.cost, now) for level, amount in charges if level.rate]
        if None in delays:
            return None, events
        at = now + max(delays, default=0)
        if fits_but_for_rates(wanted, name) and at < coming:
            return at, events
        if coming >= NEVER:
            return None, events
        for family, _ in wanted:
            family.advance(coming)
    return None, events


def fits_but_for_rates(wanted, name):
    levels = [level for family, _ in wanted for _, level, _ in family.deciding(name)]
    rates = [level.rate for level in levels]
    for level in levels:
        level.rate = None
    fits = all(family.most(name) >= amount for family, amount in wanted)
    for level, rate in zip(levels, rates):
        level.rate = rate
    return fits


def consume_batch(wanted, name, any_of, id):
    """wanted: (family, amount). -> the verdicts, None of a row of which nothing was taken."""
    wanted[0][0].refusal(name)
    if not all(family.deciding(name) for family, _ in wanted):
        raise Refused("NORESOURCE")
    fits = [amount <= family.most(name) for family, amount in wanted]
    takes = [fit and not any(fits[:place]) if any_of else all(fits) for place, fit in enumerate(fits)]
    if not any(takes):  # a denial makes shares, too
        for family, _ in wanted:
            family.make_shares(name, 0)
    return [family.consume(name, amount, id=id)[1] if take else None for (family, amount), take in zip(wanted, takes)]
