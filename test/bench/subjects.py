"""What is measured: the runtime with its ways of starting, runc, and the raw virtual machines."""
import json
import os
import shutil
import subprocess
import sys

import machine

TOOLS = ("true", "sleep", "cat", "dd", "sh", "grep", "readlink")


def make_rootfs(directory, programs):
    """busybox and these programs."""
    binaries = os.path.join(directory, "bin")
    os.makedirs(binaries)
    for path in [machine.program("busybox"), *programs]:
        shutil.copy(path, binaries)
    for name in TOOLS:
        os.symlink("busybox", os.path.join(binaries, name))


class Bundle:
    """A copy of what "vcrt spec" makes, for a program in the root file system that all share."""

    def __init__(self, bench, name, args, edit=None):
        self.path = os.path.join(bench.work, "bundle-" + name)
        os.mkdir(self.path)
        subprocess.run([bench.vcrt, "spec", "--bundle", self.path], check=True)
        file = os.path.join(self.path, "config.json")
        with open(file, encoding="utf-8") as f:
            spec = json.load(f)
        spec["process"].update(terminal=False, args=args)
        spec["root"] = {"path": bench.rootfs, "readonly": False}
        if edit:
            edit(spec)
        with open(file, "w", encoding="utf-8") as f:
            json.dump(spec, f)


class Container:
    """One of a runtime's containers, and the verbs on it."""

    def __init__(self, runtime, bundle):
        self.runtime, self.bundle = runtime, bundle
        self.id = runtime.new_id()
        self.pids = {}  # shim, monitor, vmm

    def arguments(self, verb):
        return {
            "create": ["create", "--bundle", self.bundle.path, self.id],
            "run": ["run", "--bundle", self.bundle.path, self.id],
            "run detached": ["run", "--detach", "--bundle", self.bundle.path, self.id],
            "exec": ["exec", self.id, "true"],
            "kill": ["kill", self.id, "KILL"],
            "delete": ["delete", self.id],
            "delete --force": ["delete", "--force", self.id],
            "list": ["list"],
        }.get(verb) or [verb, self.id]

    def do(self, verb):
        """A Run; its CPU time is that of everything on the way, guest included, that goes on to live."""
        makes = verb in ("create", "run detached")
        if makes:
            self.runtime.containers.append(self)
        before = self.runtime.clocks()
        run = self.runtime.call(*self.arguments(verb))
        if makes:
            self.pids = self.runtime.processes(self)
        elif verb.startswith("delete"):
            self.runtime.containers.remove(self)
        after = self.runtime.clocks(self)
        run.cpu_ms += sum(ms - before.get(pid, 0.0) for pid, ms in after.items() if ms > 0)
        return run

    def inside(self, *args):
        """What a program in it prints."""
        return self.runtime.call("exec", self.id, *args).output

    def pss_kib(self):
        """Of its processes and all below them: {pid: KiB}."""
        kib = machine.pss_kib(machine.descendants(self.pids.values()))
        if not kib.keys() >= set(self.pids.values()):
            raise machine.Failed(f"of {self.pids}, only {sorted(kib)} live")
        return kib

    def end(self):
        if self in self.runtime.containers:
            self.do("delete --force")

    def kill(self):
        """The verb, and then until the container has stopped, which is not counted."""
        init = json.loads(self.do("state").output)["pid"]
        run = self.do("kill")
        machine.wait_for_end(init)
        return run


class Runtime:
    """A runtime like runc, with a state directory of its own."""

    def __init__(self, bench, prefix, root):
        self.bench, self.root = bench, root
        self.prefix = prefix + ["--root", root]
        self.containers = []

    def new_id(self):
        return f"bench-{os.getpid()}-{next(self.bench.numbers)}"

    def call(self, *args):
        return self.bench.commands.run(self.prefix + list(args))

    def container(self, bundle):
        return Container(self, bundle)

    def processes(self, _container):
        """Those that live on between verbs, {who: pid}: runc has none."""
        return {}

    def clocks(self, _container=None):
        """CPU time of these processes, {pid: ms}."""
        return {}

    def end(self):
        for container in list(self.containers):
            try:
                container.end()
            except machine.Failed as failure:  # the others shall end, too
                print(f"bench: {failure}", file=sys.stderr)


class Vcrt(Runtime):
    """vcrt with a configuration of the benchmark's own."""

    def __init__(self, bench, name, config):
        self.config = os.path.join(bench.work, f"config-{name}.json")
        self.from_template = config["template"] != "off"
        with open(self.config, "w", encoding="utf-8") as f:
            json.dump(config, f)
        super().__init__(bench, [bench.vcrt, "--config", self.config],
                         os.path.join(bench.work, "root-" + name))

    def processes(self, container):
        with open(os.path.join(self.root, container.id, "state.json"), encoding="utf-8") as f:
            state = json.load(f)["vcrt"]
        pids = {who: state[who]["pid"] for who in ("shim", "monitor", "vmm")}
        with open(f"/proc/{pids['vmm']}/cmdline", "rb") as f:
            if (b"-incoming" in f.read().split(b"\0")) != self.from_template:
                raise machine.Failed(f"'{container.id}' has not started as '{self.config}' says")
        return pids

    def clocks(self, container=None):
        """With a container only what works for it: its own processes, and the shims and monitors of
        all the others. What the guests of others do by themselves is no part of a verb.
        """
        pids = set()
        for other in self.containers:
            pids |= {pid for who, pid in other.pids.items()
                     if container in (None, other) or who != "vmm"}
        return {pid: machine.cpu_ms(pid) for pid in pids}


class RawVm:
    """The same VMM, kernel and initrd by hand: no runtime, no container."""

    def __init__(self, bench, runtime, way):
        self.bench = bench
        self.argv = [os.path.join(bench.build, "test/bench/raw-vm"), way, runtime.config]

    def reply_ms(self):
        """From the VMM's start to the first reply of the agent."""
        output = self.bench.commands.run(self.argv).output
        return float(dict(line.split() for line in output.splitlines())["reply"])


class Flavour:
    """A guest kernel: the runtime that boots it, the one that starts from a template, their floors."""

    def __init__(self, bench, name, config):
        self.name = name
        used = json.loads(subprocess.run(
            [bench.vcrt, *(["--config", config] if config else []), "env", "--json"],
            check=True, capture_output=True, text=True).stdout)["config"]
        used.update(runtime_dir=os.path.join(bench.work, "run"), template_dir=bench.templates,
                    vmm_preload=os.path.join(bench.build, "hypervisor/vcrt-private-file.so"))
        self.accel = used["accel"]
        self.kernel = used["kernel"]
        self.cold = Vcrt(bench, name + "-cold", {**used, "template": "off"})
        self.restored = Vcrt(bench, name + "-restored", {**used, "template": "manual"})
        self.restored.call("template", "create")
        self.boot_floor = None  # a Series, once it is measured
        self.raw_boot = RawVm(bench, self.cold, "boot")
        self.raw_restore = RawVm(bench, self.restored, "restore")

    @property
    def ways(self):
        return {"cold": self.cold, "restored": self.restored}

    def end(self):
        for runtime in self.ways.values():
            runtime.end()
