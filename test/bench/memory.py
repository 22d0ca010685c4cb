"""What each further sandbox takes of the host's memory, and what the agent takes of the guest's."""
import os
import re

import machine
import stats
from table import Target, make_row

SANDBOXES = 20


def fill(bench, runtime):
    """What each from the second on adds to the PSS of all, and takes of the machine's free memory: the
    first one has loaded what all share, as libraries and the template."""
    bundle = bench.bundle("sleep", ["sleep", "3600"])
    containers, totals, used = [], [], []
    for _ in range(SANDBOXES):
        container = runtime.container(bundle)
        container.do("run detached")
        machine.settle(container.pids["vmm"])
        containers.append(container)
        totals.append(sum(sum(c.pss_kib().values()) for c in containers))
        used.append(-machine.available_kib())
    for container in containers:
        container.end()
    return stats.Series("KiB", stats.increments(totals)), stats.Series("KiB", stats.increments(used))


def measure(bench, flavour):
    pss, used = {}, {}
    for way, runtime in flavour.ways.items():
        pss[way], used[way] = fill(bench, runtime)
    bench.add(flavour, make_row(
        "marginal-pss", f"memory of the 2nd to {SANDBOXES}th sandbox each, restored, PSS",
        pss["restored"], pss["cold"], "cold", [Target("ratio", "<=", 0.7)]))
    bench.add(flavour, make_row(
        "marginal-used", "the same, by the machine's available memory",
        used["restored"], used["cold"], "cold"))
    agent(bench, flavour)


# The memory of each process whose program is the agent, which is the guest's /init.
AGENT_RSS = """for p in /proc/[0-9]*; do
	[ "$(readlink $p/exe)" != /init ] || grep VmRSS $p/status
done"""


def sees_the_guest(spec):
    """No pid namespace of its own, so the guest's, and the right to look at its processes."""
    spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "pid"]
    for granted in spec["process"]["capabilities"].values():
        granted.append("CAP_SYS_PTRACE")


def agent(bench, flavour):
    """Resident memory of all of the agent's processes: their pages, and those of their program."""
    bundle = bench.bundle("agent", ["sleep", "3600"], sees_the_guest)
    rss = stats.Series("KiB")
    for _ in range(10):
        container = flavour.restored.container(bundle)
        container.do("run detached")
        found = re.findall(r"VmRSS:\s+(\d+) kB", container.inside("sh", "-c", AGENT_RSS))
        if not found:
            raise machine.Failed("the agent's processes are not seen in the guest")
        rss.add(sum(map(int, found)))
        container.end()
    size = os.stat(os.path.join(bench.build, "agent/vcrt-agent")).st_size / 1024
    bench.add(flavour, make_row("agent-rss", "the agent's processes in the guest, RSS", rss,
                                stats.Series("KiB", [size]), "its program file",
                                [Target("value", "<=", 1536)]))
