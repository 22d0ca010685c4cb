#!/usr/bin/python3
"""One command for every figure: a table, a JSON file and pictures. See --help.

Everything is measured in one run, in turn with the floor or the peer that it is compared with, so
that a slow moment of the machine hits both; first rounds are dropped. What each part measures
stands in the file of its name.
"""
import argparse
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import growth
import machine
import memory
import pictures
import readme
import start
import stats
import subjects
import table
import throughput
import verbs

# Name, title of its rows, what measures.
PARTS = (
    ("start", "Start", start.measure),
    ("verbs", "Verbs and host memory", verbs.measure),
    ("memory", "Memory of many sandboxes, and of the agent", memory.measure),
    ("phases", "", start.phases),
    ("throughput", "Throughput", throughput.measure),
    ("growth", "Growth", growth.measure),
)
FIRST_KERNEL_ONLY = ("throughput", "growth")
FIRST_KERNEL_ONLY_WHEN_QUICK = ("memory", "phases", *FIRST_KERNEL_ONLY)


class Bench:
    """What the parts share, and what they have found."""

    def __init__(self, options, work, templates):
        self.work, self.templates = work, templates
        self.quick, self.rounds = options.quick, 10 if options.quick else options.rounds
        self.build = os.path.abspath(options.build)
        self.vcrt = os.path.join(self.build, "cmd/vcrt")
        self.commands = machine.Commands(work)
        self.numbers = itertools.count(1)
        self.bundles = {}
        self.rows, self.phases, self.growth, self.failures = [], [], [], []
        self.repeated = []
        self.noise = stats.Series("")
        self.group = ""
        self.traffic = os.path.join(self.build, "test/bench/traffic")
        self.programs = [self.traffic, os.path.join(self.build, "test/bench/guest-io")]
        self.rootfs = os.path.join(work, "rootfs")
        subjects.make_rootfs(self.rootfs, self.programs)
        self.runc = subjects.Runtime(self, [machine.program("runc")], os.path.join(work, "runc"))
        self.flavours = []

    def add_flavour(self, name, config):
        self.flavours.append(subjects.Flavour(self, name, config))

    def bundle(self, name, args, edit=None):
        if name not in self.bundles:
            self.bundles[name] = subjects.Bundle(self, name, args, edit)
        return self.bundles[name]

    def add(self, flavour, row):
        self.rows.append({"group": self.group, "flavour": flavour.name, **row})

    def measure(self, names):
        once = FIRST_KERNEL_ONLY_WHEN_QUICK if self.quick else FIRST_KERNEL_ONLY
        for name, title, part in PARTS:
            if name not in names:
                continue
            self.group = title
            for flavour in self.flavours[:1] if name in once else self.flavours:
                begin = [len(kept) for kept in self.found()]
                self.measure_part(name, part, flavour)
                if not self.quick or not (table.news(self.rows[begin[0]:])
                                          or self.failures[begin[-1]:]):
                    continue
                # Few rounds on a machine that may be busy: one moment of noise shall not decide.
                self.repeated.append(f"{name} ({flavour.name})")
                for kept, length in zip(self.found(), begin):
                    del kept[length:]
                self.measure_part(name, part, flavour)

    def found(self):
        return self.rows, self.phases, self.growth, self.failures

    def measure_part(self, name, part, flavour):
        begin = time.monotonic()
        self.noise.add(machine.others_load())
        try:
            part(self, flavour)
        except (machine.Failed, OSError, subprocess.SubprocessError) as failure:
            self.failures.append(f"{name} ({flavour.name}): {failure}")
            self.end()  # of what was running
        print(f"bench: {name} ({flavour.name}): {time.monotonic() - begin:.0f} s", file=sys.stderr)

    def result(self):
        return {"made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "rounds": self.rounds,
                "repeated": self.repeated,
                "failures": self.failures,
                "machine": machine.describe(),
                "noise": self.noise.describe(),
                "acceleration": self.flavours[0].accel,
                "versions": [machine.version([self.vcrt, "--version"]),
                             machine.version([machine.program("qemu-system-x86_64"), "--version"]),
                             machine.version([machine.program("runc"), "--version"])],
                "rows": self.rows, "phases": self.phases, "growth": self.growth}

    def end(self):
        for flavour in self.flavours:
            flavour.end()
        self.runc.end()


def parse_options():
    parser = argparse.ArgumentParser(description="Measure vcrt against floors and peers.")
    parser.add_argument("build", nargs="?", default="build", help="build directory (%(default)s)")
    parser.add_argument("--kernel", action="append", metavar="NAME=CONFIG", default=[],
                        help="a kernel flavour, with the configuration that names its image; "
                        "repeated for more; the first one is measured most (debian, with the "
                        "configuration of this machine)")
    parser.add_argument("--rounds", type=int, default=20,
                        help="of each figure, at least 10 for a true result (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="10 rounds, fewer points of growth, "
                        "of further kernels only starts and verbs; a part that misses a target is "
                        "measured once more, and that counts: a few minutes")
    parser.add_argument("--only", action="append", choices=[p[0] for p in PARTS], default=[],
                        help="measure this part only; repeated for more")
    parser.add_argument("--json", metavar="FILE", default="bench.json",
                        help="where all figures go, with their samples (%(default)s)")
    parser.add_argument("--pictures", metavar="DIR", help="where phases.svg and growth.svg go")
    parser.add_argument("--from", dest="source", metavar="FILE",
                        help="measure nothing, take the figures from this JSON file")
    parser.add_argument("--readme", metavar="FILE", help="write the table into this file, too")
    return parser.parse_args()


def measure(options):
    # Being told to end is an end like others: nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: was told to end"))
    with contextlib.ExitStack() as ends:
        work = tempfile.mkdtemp(prefix="vcrt-bench-")
        ends.callback(shutil.rmtree, work)
        # Where memory is: a template is one, and no disk should take part.
        templates = tempfile.mkdtemp(prefix="vcrt-bench-", dir="/dev/shm")
        ends.callback(shutil.rmtree, templates)
        bench = Bench(options, work, templates)
        ends.callback(bench.end)
        for kernel in options.kernel or ["debian="]:
            bench.add_flavour(*kernel.split("=", 1))
        bench.measure(options.only or [p[0] for p in PARTS])
        return bench.result()


def main():
    options = parse_options()
    if options.source:
        with open(options.source, encoding="utf-8") as f:
            result = json.load(f)
    else:
        result = measure(options)
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
    if options.pictures:
        pictures.draw(result, options.pictures)
    if options.readme:
        readme.rewrite(options.readme, result)
    print(table.plain(result["rows"]), end="")
    print(readme.circumstances(result))
    missed, news = table.missed(result["rows"]), table.news(result["rows"])
    print(f"targets: {len(table.judged(result['rows'])) - len(missed)} met, {len(missed)} missed, "
          f"{len(missed) - len(news)} of these known")
    for row, target in missed:
        print(f"missed: {row['title']} ({row['flavour']}): {table.target_text(row, target)}, "
              f"got {table.number(target['got'])}"
              + (f"; known: {target['known']}" if target["known"] else ""))
    for failure in result["failures"]:
        print(f"failed: {failure}")
    return 1 if news or result["failures"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (machine.Failed, OSError, subprocess.SubprocessError) as failure:
        sys.exit(f"bench: {failure}")
