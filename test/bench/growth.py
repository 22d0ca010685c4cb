"""What a verb costs beside others: of 1 to 20 sandboxes, and of 1 to 50 containers in one sandbox."""
import stats
import verbs
from table import Target, make_row


def points(last, steps):
    """1, last, and equal steps between them."""
    return sorted({1, *(last * i // steps for i in range(1, steps + 1))})


class Growth:
    """Verbs on the last of n containers, for some n: on the way up, and as often on the way down, so
    that a drift of the machine does not look like growth."""

    def __init__(self, bench, runtime, numbers, beside=()):
        self.runtime = runtime
        self.rounds = (bench.rounds + 1) // 2
        self.numbers = numbers
        self.beside = list(beside)
        self.series = {what: {verb: {n: stats.Series("ms") for n in numbers}
                              for verb in verbs.VERBS} for what in ("wall", "cpu")}

    def resize(self, count, bundle):
        while len(self.beside) > count:
            self.beside.pop().end()
        while len(self.beside) < count:
            container = self.runtime.container(bundle)
            container.do("run detached")
            self.beside.append(container)

    def sample(self, n, bundle):
        for number in range(-1, self.rounds):
            container = self.runtime.container(bundle)
            for verb in verbs.VERBS:
                run = verbs.one_verb(container, verb)
                if number >= 0:
                    self.series["wall"][verb][n].add(run.wall_ms)
                    self.series["cpu"][verb][n].add(run.cpu_ms)

    def measure(self, bundle):
        for n in self.numbers + self.numbers[::-1]:
            self.resize(n - 1, bundle)
            self.sample(n, bundle)
        return self

    def describe(self):
        return {what: {verb: [{"n": n, **of[n].describe()} for n in self.numbers]
                       for verb, of in by_verb.items()} for what, by_verb in self.series.items()}


def report(bench, flavour, growth, of, targets):
    """CPU time of each verb; wall time where that has a target, and of delete, which removes processes
    whose clocks nobody can read any more."""
    first, last = growth.numbers[0], growth.numbers[-1]
    for verb in verbs.VERBS:
        for what, title in (("cpu", "CPU time"), ("wall", "wall time")):
            wanted = targets.get((verb, what))
            if not wanted and (what == "cpu") == (verb == "delete"):
                continue
            series = growth.series[what][verb]
            bench.add(flavour, make_row(
                f"{of}-{verb}-{what}", f"`{verb}` beside {last - 1} {of}, {title}", series[last],
                series[first], f"beside {first - 1}", wanted or ()))
    bench.growth.append({"flavour": flavour.name, "of": of, **growth.describe()})


def measure(bench, flavour):
    steps = 2 if bench.quick else 5
    bundle = bench.bundle("sleep", ["sleep", "3600"])
    growth = Growth(bench, flavour.restored, points(20, steps)).measure(bundle)
    growth.resize(0, bundle)
    report(bench, flavour, growth, "sandboxes", {("create", "cpu"): [Target("ratio", "<=", 1.3)]})

    pod = flavour.restored.container(bundle)
    pod.do("run detached")

    def in_pod(spec):
        spec["annotations"] = {"io.kubernetes.cri.container-type": "container",
                               "io.kubernetes.cri.sandbox-id": pod.id}

    # The first container makes the VM: the second one is the first to compare with.
    numbers = [max(n, 2) for n in points(50, steps)]
    member = bench.bundle("member-" + flavour.name, ["sleep", "3600"], in_pod)
    growth = Growth(bench, flavour.restored, numbers, [pod]).measure(member)
    growth.resize(0, member)
    at_most = [Target("value", "<=", 10)]
    report(bench, flavour, growth, "containers",
           {("state", "wall"): at_most, ("list", "wall"): at_most})
