"""How much goes through: standard streams, files on the share, TCP."""
import os
import subprocess
import threading

import byhand
import machine
import stats
from table import Target, make_row

STREAM_BYTES = 64 << 20
FILE_BYTES = 32 << 20
FILES = 100
TCP_BYTES = 64 << 20
TCP_PORT = "5000"
CHUNK = 1 << 16
DD_IN = ["dd", "of=/dev/null", f"bs={CHUNK}"]
DD_OUT = ["dd", "if=/dev/zero", f"bs={CHUNK}", f"count={STREAM_BYTES // CHUNK}"]


def pipe_through(commands, feed):
    """MB/s through these processes: fed with zeros, or read until their end."""
    processes, source = [], subprocess.PIPE if feed else subprocess.DEVNULL
    start = machine.now_ms()
    for number, argv in enumerate(commands):
        last = number == len(commands) - 1
        process = subprocess.Popen(argv, stdin=source, stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL if last and feed else subprocess.PIPE)
        if source not in (subprocess.PIPE, subprocess.DEVNULL):
            source.close()
        source = process.stdout
        processes.append(process)
    killer = threading.Timer(machine.LIMIT, lambda: [p.kill() for p in processes])
    killer.start()
    moved = feed_zeros(processes[0].stdin) if feed else count_bytes(processes[-1].stdout)
    codes = [p.wait() for p in processes]
    killer.cancel()
    if any(codes) or moved != STREAM_BYTES:
        raise machine.Failed(f"{commands} moved {moved} of {STREAM_BYTES} bytes, exit codes {codes}")
    return moved / (machine.now_ms() - start) / 1e3


def feed_zeros(pipe):
    zeros = memoryview(bytes(CHUNK))
    moved = 0
    while moved < STREAM_BYTES:
        moved += os.write(pipe.fileno(), zeros)
    pipe.close()
    return moved


def count_bytes(pipe):
    moved = 0
    while got := os.read(pipe.fileno(), CHUNK):
        moved += len(got)
    pipe.close()
    return moved


def streams(bench, flavour, container):
    peer = bench.runc.container(bench.bundle("sleep", ["sleep", "3600"]))
    peer.do("run detached")
    busybox = machine.program("busybox")

    def execs(c, args):
        return c.runtime.prefix + ["exec", c.id, *args]

    def rate(feed, *commands):
        return lambda: pipe_through(commands, feed)

    for name, title, feed, dd in (("stdin", "standard input of `exec`", True, DD_IN),
                                  ("stdout", "standard output of `exec`", False, DD_OUT)):
        pipe = [[busybox, "cat"], [busybox, *dd]]
        series = stats.take_turns({
            "vcrt": rate(feed, execs(container, dd)),
            "runc": rate(feed, execs(peer, dd)),
            "pipe": rate(feed, *(pipe if feed else pipe[::-1]))}, bench.rounds, "MB/s")
        bench.add(flavour, make_row(name, title, series["vcrt"], series["pipe"],
                                    "a pipe through cat"))
        bench.add(flavour, make_row(name + "-runc", title, series["vcrt"], series["runc"],
                                    "runc exec"))
    peer.end()


def files(bench, flavour, container, by_hand):
    with open(os.path.join(bench.rootfs, "read-me"), "wb") as f:
        f.write(os.urandom(FILE_BYTES))

    def rate(where, top, *args):
        return lambda: float(where.inside("guest-io", *(a.replace("TOP", top) for a in args)))

    for name, title, unit, args in (
            ("read", "9p, read", "MB/s", ["read", "TOP/read-me"]),
            ("write", "9p, write", "MB/s", ["write", "TOP/written", str(FILE_BYTES)]),
            ("metadata", "9p, make, stat, rename and remove files", "files/s",
             ["metadata", "TOP/directory", str(FILES)])):
        series = stats.take_turns({"vcrt": rate(container, "", *args),
                                   "hand": rate(by_hand, "/share", *args)}, bench.rounds, unit)
        bench.add(flavour, make_row("9p-" + name, title, series["vcrt"], series["hand"],
                                    "the same share mounted by hand"))


def network(bench, flavour, container, by_hand):
    """Both send to the same receiver, and take the time themselves."""
    def rate(where, address):
        return lambda: float(where.inside("traffic", "send", address, TCP_PORT, str(TCP_BYTES)))

    series = stats.take_turns({"vcrt": rate(container, "10.1.1.1"),
                               "hand": rate(by_hand, "10.1.2.1")}, max(bench.rounds, 12), "MB/s")
    bench.add(flavour, make_row("tcp", "TCP to another host", series["vcrt"], series["hand"],
                                "QEMU by hand", [Target("ratio", ">=", 0.9)]))


def measure(bench, flavour):
    namespaces = byhand.Namespaces(bench.work)
    started = []

    def in_namespace(spec):
        next(n for n in spec["linux"]["namespaces"]
             if n["type"] == "network")["path"] = namespaces.path("container")

    try:
        for name in ("receiver", "container", "machine"):
            namespaces.make(name)
        namespaces.join("container", 1, "receiver")
        namespaces.join("machine", 2, "receiver")
        namespaces.run("container", "ip", "addr", "add", "10.1.1.2/24", "dev", "eth0")
        sink = subprocess.Popen(namespaces.inside("receiver") + [bench.traffic, "sink", TCP_PORT])
        started.append(lambda: (sink.kill(), sink.wait()))

        # A VM that was booted has the command line of one that starts by itself.
        model = flavour.cold.container(bench.bundle("sleep", ["sleep", "3600"]))
        model.do("run detached")
        started.append(model.end)
        by_hand = byhand.Machine(bench, model, namespaces, "machine", "10.1.2.2", bench.programs)
        started.append(by_hand.end)
        by_hand.wait_until_ready()
        model.end()
        container = flavour.restored.container(
            bench.bundle("network", ["sleep", "3600"], in_namespace))
        container.do("run detached")
        started.append(container.end)

        files(bench, flavour, container, by_hand)
        network(bench, flavour, container, by_hand)
        by_hand.end()
        streams(bench, flavour, container)
    finally:
        for end in reversed(started):
            end()
        namespaces.end()
