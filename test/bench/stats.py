"""Medians, spreads, ratios, and the order in which things are measured. Nothing here measures."""
import statistics


class Series:
    """What was measured several times: the samples in the order of their rounds, and their unit."""

    def __init__(self, unit, samples=()):
        self.unit = unit
        self.samples = list(samples)

    def add(self, sample):
        self.samples.append(sample)

    @property
    def median(self):
        return statistics.median(self.samples)

    @property
    def quartiles(self):
        if len(self.samples) < 2:
            return self.samples[0], self.samples[0]
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return low, high

    def describe(self):
        low, high = self.quartiles
        return {"unit": self.unit, "median": self.median, "q1": low, "q3": high,
                "samples": self.samples}


def paired(ours, peer, of):
    """The median over rounds of something of both sides: they were next to each other in time."""
    if len(ours.samples) != len(peer.samples):
        return of(ours.median, peer.median)
    return statistics.median(of(a, b) for a, b in zip(ours.samples, peer.samples))


def ratio(ours, peer):
    return paired(ours, peer, lambda a, b: a / b)


def difference(ours, peer):
    return paired(ours, peer, lambda a, b: a - b)


def in_turn(subjects, number):
    """The order of a round: A B, B A, B A, A B, and so on by the sequence of Thue and Morse.

    What ran before has an effect (memory that was just freed, caches): each subject comes after
    itself as often as after another one, and a drift of the machine hits all of them alike.
    """
    return list(reversed(subjects)) if bin(number).count("1") % 2 else list(subjects)


def take_turns(subjects, rounds, unit, warm_up=1, prepare=lambda: None):
    """Call each of {name: function} once a round, and keep what it returns: {name: Series}.

    The first rounds are dropped: caches get warm, code is translated. prepare comes before each call.
    """
    series = {name: Series(unit) for name in subjects}
    for number in range(-warm_up, rounds):
        for name in in_turn(list(subjects), max(number, 0)):
            prepare()
            sample = subjects[name]()
            if number >= 0:
                series[name].add(sample)
    return series


def increments(totals):
    """What each further one added."""
    return [after - before for before, after in zip(totals, totals[1:])]
