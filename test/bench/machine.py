"""The machine that measures: commands with their times, CPU time and memory of processes, noise."""
import mmap
import os
import select
import shutil
import signal
import subprocess
import time

LIMIT = 120  # seconds, for each command


class Failed(Exception):
    pass


def program(name):
    path = shutil.which(name)
    if not path:
        raise Failed(f"'{name}' is missing: there is nothing to measure with, or to compare with")
    return path


def now_ms():
    return time.monotonic_ns() / 1e6


class Run:
    """A command that has ended: wall time, and the CPU time of it and the children it waited for."""

    def __init__(self, wall_ms, cpu_ms, output):
        self.wall_ms, self.cpu_ms, self.output = wall_ms, cpu_ms, output


class Commands:
    """Starts commands with nothing in between, their output in two files of a directory."""

    def __init__(self, directory):
        self.out = os.path.join(directory, "stdout")
        self.err = os.path.join(directory, "stderr")
        signal.signal(signal.SIGALRM, self._on_alarm)

    @staticmethod
    def _on_alarm(_number, _frame):
        raise TimeoutError

    def run(self, argv, env=None):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, self.out, flags, 0o600),
                   (os.POSIX_SPAWN_OPEN, 2, self.err, flags, 0o600)]
        start = now_ms()
        pid = os.posix_spawn(argv[0], argv, env or os.environ, file_actions=actions)
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            _, status, usage = os.wait4(pid, 0)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise Failed(f"'{' '.join(argv)}' took longer than {LIMIT} s") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        wall = now_ms() - start
        if status != 0:
            raise Failed(f"'{' '.join(argv)}' failed: {self._read(self.err).strip()}")
        return Run(wall, (usage.ru_utime + usage.ru_stime) * 1e3, self._read(self.out))

    @staticmethod
    def _read(path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()


def cpu_ms(pid):
    """CPU time that a process and its threads, also those that have ended, have had; 0 when it is gone.

    Its number of a clock is what clock_getcpuclockid() gives: the complement of the process, and
    the kind CPUCLOCK_SCHED.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e6
    except OSError:
        return 0.0


def pss_kib(pids):
    """The proportional share of memory of each process that has not ended: {pid: KiB}."""
    found = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                found[pid] = next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def descendants(pids):
    """These processes, and all below them."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as f:
                parent = int(f.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it has ended
        children.setdefault(parent, []).append(int(name))
    found, left = set(), list(pids)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return found


def wait_for_end(pid):
    """A process that is nobody's child here."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([fd], [], [], LIMIT)[0]:
            raise Failed(f"process {pid} does not end")
    finally:
        os.close(fd)


def settle(pid, quiet_ms=2.0, limit_s=5.0):
    """Until a process has come to rest: hardly any CPU time in a tenth of a second, twice."""
    end = time.monotonic() + limit_s
    before, quiet = cpu_ms(pid), 0
    while quiet < 2 and time.monotonic() < end:
        time.sleep(0.1)
        after = cpu_ms(pid)
        quiet = quiet + 1 if after - before < quiet_ms else 0
        before = after


def warm_memory(mib=512):
    """Touch memory and give it back, more than a VMM takes for a boot, so that each finds it alike.

    A machine that is virtual itself may have nothing behind its free pages: it tells its host of
    them after a while. Then the first use of each costs a boot up to 0.4 s (of the VMM's system
    time) of its 1.6 s.
    """
    with mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for page in range(0, mib << 20, mmap.PAGESIZE):
            memory[page] = 1


def available_kib():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable:"))


def _cpu_ticks():
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(x) for x in f.readline().split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]  # all; idle and waiting for disks


def others_load(seconds=0.5):
    """How busy the processors are, 0 to 1, while nothing of the benchmark runs: the noise."""
    total, idle = _cpu_ticks()
    time.sleep(seconds)
    total2, idle2 = _cpu_ticks()
    return 1 - (idle2 - idle) / max(total2 - total, 1)


def describe():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f
                      if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return {"processors": os.cpu_count(), "model": model, "memory_mib": memory,
            "kernel": os.uname().release, "load_average": os.getloadavg()[0]}


def version(argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True,
                          timeout=LIMIT).stdout.splitlines()[0]
