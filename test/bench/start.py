"""The start of a container against the floor of its virtual machine, and the phases of a start."""
import os
import re

import machine
import stats
from table import Known, Target, make_row

PHASE = re.compile(r"timeline: +([a-z]+) +([a-z-]+) +([0-9.]+) +([0-9.]+)")

# Measured with QEMU's count of translated blocks, /bin/true of busybox, Debian's kernel.
RESTORED_RUN = Known(3.0, (
    "under emulation the time is that of translating guest code, 6.5 µs for each block that runs for the "
    "first time in this VM, and a clone begins with none. Until the first reply these are 11,300; execve and "
    "exit of the program alone are 8,000 more (half of the floor), making the container 7,600. The host adds 10 ms. "
    "With KVM nothing is translated."))

COLD_RUN = Known(1.35, (
    "making, running and removing the container takes the guest as long as with Debian's kernel (some 200 ms "
    "emulated), while the boot of the tuned kernel, the floor, takes half of its."))


def measure(bench, flavour):
    bundle = bench.bundle("true", ["true"])
    # The first kernel is the one that users have: it has no excuse.
    known_cold = None if flavour is bench.flavours[0] else COLD_RUN

    def whole_run(runtime):
        return lambda: runtime.container(bundle).do("run").wall_ms

    cold = stats.take_turns({"floor": flavour.raw_boot.reply_ms,
                             "run": whole_run(flavour.cold)},
                            4 * bench.rounds, "ms", prepare=machine.warm_memory)
    restored = stats.take_turns({"floor": flavour.raw_restore.reply_ms,
                                 "run": whole_run(flavour.restored),
                                 "runc": whole_run(bench.runc)},
                                2 * bench.rounds, "ms", warm_up=3)
    flavour.boot_floor = cold["floor"]
    bench.add(flavour, make_row(
        "run-cold", "`run true`, cold", cold["run"], cold["floor"],
        "raw QEMU, boot to the agent's hello", [Target("ratio", "<=", 1.15, known_cold)]))
    bench.add(flavour, make_row(
        "run-restored", "`run true`, restored", restored["run"], restored["floor"],
        "raw QEMU, restore to the first reply", [Target("ratio", "<=", 1.5, RESTORED_RUN)]))
    bench.add(flavour, make_row(
        "run-restored-cold", "`run true`, restored", restored["run"], cold["floor"],
        "raw QEMU, boot to the agent's hello", [Target("ratio", "<=", 0.4)]))
    bench.add(flavour, make_row(
        "run-runc", "`run true`, restored", restored["run"], restored["runc"], "runc"))


def phases(bench, flavour):
    """Where the time of a start goes: the run of middle length, as its debug log tells it."""
    bundle = bench.bundle("true", ["true"])
    for way, runtime in flavour.ways.items():
        runs = []
        for number in range(3 if bench.quick else 9):
            log = os.path.join(bench.work, f"log-{flavour.name}-{way}-{number}")
            container = runtime.container(bundle)
            wall = runtime.call("--debug", "--log", log, *container.arguments("run")).wall_ms
            with open(log, encoding="utf-8", errors="replace") as f:
                found = PHASE.findall(f.read())
            runs.append((wall, [{"process": process, "phase": phase, "begin": float(begin),
                                 "end": float(end)} for process, phase, begin, end in found]))
        wall, steps = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
        bench.phases.append({"flavour": flavour.name, "way": way, "wall": wall, "steps": steps})
