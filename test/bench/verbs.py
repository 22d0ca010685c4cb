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
          "delete": "`delete`, stopped", "delete --force": "`delete --force`, running"}


def one_verb(container, verb):
    return container.kill() if verb == "kill" else container.do(verb)


def measure(bench, flavour):
    bundle = bench.bundle("sleep", ["sleep", "3600"])
    runtimes = {"vcrt": flavour.restored, "runc": bench.runc}
    times = {who: {verb: stats.Series("ms") for verb in (*VERBS, "delete --force")}
             for who in runtimes}
    cold_create, pss, vmm_pss = stats.Series("ms"), stats.Series("KiB"), stats.Series("KiB")

    for number in range(-1, bench.rounds):
        order = stats.in_turn(list(runtimes), max(number, 0))
        containers = {who: runtimes[who].container(bundle) for who in runtimes}
        keep = number >= 0
        for verb in VERBS:
            for who in order:
                run = one_verb(containers[who], verb)
                if keep:
                    times[who][verb].add(run.wall_ms)
            if verb == "exec" and keep:
                both, vmm = host_memory(containers["vcrt"])
                pss.add(both)
                vmm_pss.add(vmm)
        for who in order:
            containers[who] = runtimes[who].container(bundle)
            containers[who].do("run detached")
        for who in order:
            run = containers[who].do("delete --force")
            if keep:
                times[who]["delete --force"].add(run.wall_ms)
        if keep:
            container = flavour.cold.container(bundle)
            cold_create.add(container.do("create").wall_ms)
            container.end()

    bench.add(flavour, make_row("create-cold", "`create`, cold", cold_create,
                                flavour.boot_floor, "raw QEMU, boot to the agent's hello"))
    for verb, series in times["vcrt"].items():
        bench.add(flavour, make_row(
            verb.replace(" --", "-"), TITLES.get(verb, f"`{verb}`"), series, times["runc"][verb],
            f"runc {verb}", TARGETS.get(verb, ())))
    bench.add(flavour, make_row("host-pss", "host processes besides the VMM, PSS", pss, vmm_pss,
                                "the VMM", [Target("value", "<=", 1536)]))


def host_memory(container):
    """PSS of all processes of a container that has its own VM but the VMM; and the VMM's."""
    machine.settle(container.pids["vmm"])
    vmm = container.pids["vmm"]
    others = machine.descendants(container.pids.values()) - {vmm}
    return sum(map(machine.pss_kib, others)), machine.pss_kib(vmm)
