"""Each verb against runc's, on the same bundle; the memory of one container's host processes."""
import machine
import stats
from table import Target, make_row

VERBS = ("create", "start", "exec", "state", "list", "kill", "delete")
TARGETS = {
    "exec": [Target("difference", "<=", 25), Target("ratio", "<=", 3)],
    "delete --force": [Target("value", "<=", 100)],
}
TITLES = {"create": "`create`, restored", "exec": "`exec true`",
          "first exec": "`exec true`, the first in a container",
          "delete": "`delete`, stopped", "delete --force": "`delete --force`, running"}


# In a container's life, in this order; an exec is warm from the second one on.
LIFE = ("create", "start", "first exec", "exec", "state", "list", "kill", "delete")


def one_verb(container, verb):
    return container.kill() if verb == "kill" else container.do(verb.replace("first ", ""))


def one_life(runtimes, order, bundle, look):
    """{who: {verb: ms}}: each verb by one after the other. look is called with running containers."""
    times = {who: {} for who in runtimes}
    containers = {who: runtimes[who].container(bundle) for who in runtimes}
    for verb in LIFE:
        for who in order:
            times[who][verb] = one_verb(containers[who], verb).wall_ms
        if verb == "exec":
            look(containers)
    containers = {who: runtimes[who].container(bundle) for who in runtimes}
    for who in order:
        containers[who].do("run detached")
    for who in order:
        times[who]["delete --force"] = containers[who].do("delete --force").wall_ms
    return times


def measure(bench, flavour):
    bundle = bench.bundle("sleep", ["sleep", "3600"])
    runtimes = {"vcrt": flavour.restored, "runc": bench.runc}
    times = {who: {verb: stats.Series("ms") for verb in (*LIFE, "delete --force")}
             for who in runtimes}
    pss = {who: stats.Series("KiB") for who in ("shim", "monitor", "vmm", "all but the VMM")}

    def look(containers):
        for who, kib in host_memory(containers["vcrt"]).items():
            pss[who].add(kib)

    one_life(runtimes, list(runtimes), bundle, lambda _containers: None)  # caches are warm
    for number in range(bench.rounds):
        life = one_life(runtimes, stats.in_turn(list(runtimes), number), bundle, look)
        for who, by_verb in life.items():
            for verb, ms in by_verb.items():
                times[who][verb].add(ms)
    report(bench, flavour, times, pss)


def cold_create(bench, flavour):
    series = stats.Series("ms")
    for _ in range(bench.rounds):
        container = flavour.cold.container(bench.bundle("sleep", ["sleep", "3600"]))
        machine.warm_memory()
        series.add(container.do("create").wall_ms)
        container.end()
    return series


def report(bench, flavour, times, pss):
    bench.add(flavour, make_row("create-cold", "`create`, cold",
                                cold_create(bench, flavour), flavour.boot_floor, "raw QEMU, boot to the agent's hello"))
    for verb, series in times["vcrt"].items():
        bench.add(flavour, make_row(
            verb.replace(" --", "-").replace(" ", "-"), TITLES.get(verb, f"`{verb}`"), series,
            times["runc"][verb], "runc " + verb.replace("first ", ""), TARGETS.get(verb, ())))
    for who in ("shim", "monitor"):
        bench.add(flavour, make_row(f"{who}-pss", f"{who}, PSS", pss[who], pss["vmm"], "the VMM"))
    bench.add(flavour, make_row(
        "host-pss", "host processes besides the VMM, PSS", pss["all but the VMM"], pss["vmm"],
        "the VMM", [Target("value", "<=", 1536)]))


def host_memory(container):
    """PSS of the processes of a container that has its own VM, helpers of whatever kind included."""
    machine.settle(container.pids["vmm"])
    kib = container.pss_kib()
    known = {who: kib[pid] for who, pid in container.pids.items()}
    return {**known, "all but the VMM": sum(kib.values()) - known["vmm"]}
