"""The method: everything is measured once in a round, and compared only with what stood in the same round.

    round 1   SET  GET  RL.ALLOW …          round 2   … RL.ALLOW  GET  SET          round 3   SET  GET  RL.ALLOW …

A machine that is slow for a while is slow for a whole round; a drift within rounds goes the other way in the next one.
What is said is the median of the rounds' ratios, and their least and most.
"""
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float

    def __str__(self):
        return f"{self.median:.2f} ({self.least:.2f} - {self.most:.2f})"


def spread(values):
    values = list(values)
    return Spread(statistics.median(values), min(values), max(values))


def ratio(these, those):
    """Of two series with one value a round each."""
    return spread(this / that for this, that in zip(these, those))


def interleaved(rounds, things):
    """All things, once a round, every second round backwards."""
    things = list(things)
    for number in range(rounds):
        yield from things if number % 2 == 0 else reversed(things)
