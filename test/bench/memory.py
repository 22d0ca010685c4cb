"""What each further sandbox takes of the host's memory, and what the agent takes of the guest's."""
import os
import re

import machine
import stats
from table import Target, make_row

SANDBOXES = 20


def total_pss_kib(containers):
    pids = machine.descendants(pid for c in containers for pid in c.pids.values())
    return sum(map(machine.pss_kib, pids))


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
        totals.append(total_pss_kib(containers))
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


def host_pid_namespace(spec):
    """The guest's: the agent is its process 1."""
    spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "pid"]


def agent(bench, flavour):
    """Resident memory of the agent: its own pages, and those of its file, which lies in memory."""
    bundle = bench.bundle("agent", ["sleep", "3600"], host_pid_namespace)
    rss = stats.Series("KiB")
    for _ in range(max(bench.rounds // 2, 10)):
        container = flavour.restored.container(bundle)
        container.do("run detached")
        status = container.inside("grep", "VmRSS", "/proc/1/status")
        rss.add(int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)))
        container.end()
    size = os.stat(os.path.join(bench.build, "agent/vcrt-agent")).st_size / 1024
    bench.add(flavour, make_row("agent-rss", "agent in the guest, RSS", rss,
                                stats.Series("KiB", [size]), "its program file",
                                [Target("value", "<=", 1536)]))
