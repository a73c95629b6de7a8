"""How the members of a pool divide units, by the words of the contract: exact fractions, then whole units."""

import math
from fractions import Fraction


def parts_by_weight(units, weights):
    """Rounded down; what that leaves goes one unit each to the largest fractions, then by order."""
    exact = [Fraction(units * weight, sum(weights)) for weight in weights]
    parts = [math.floor(part) for part in exact]
    order = sorted(range(len(weights)), key=lambda place: (parts[place] - exact[place], place))
    for place in order[:units - sum(parts)]:
        parts[place] += 1
    return parts


def fair_parts(units, weights, wants):
    """Water filling. wants: units, None = without bound."""
    parts, filling = [0] * len(weights), list(range(len(weights)))
    while filling:
        left = units - sum(parts)
        total = sum(weights[place] for place in filling)
        served = [place for place in filling
                  if wants[place] is not None and wants[place] * total <= left * weights[place]]
        if not served:
            for place, part in zip(filling, parts_by_weight(left, [weights[place] for place in filling])):
                parts[place] = part
            return parts
        for place in served:
            parts[place] = wants[place]
        filling = [place for place in filling if place not in served]
    spare = parts_by_weight(units - sum(parts), weights)
    return [part + more for part, more in zip(parts, spare)]
