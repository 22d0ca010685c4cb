"""A virtual machine that is started by hand: the peer of a container's files and network.

It has the VMM, kernel, drivers, accelerator, CPU and memory of a container's VM, the same share with
the same options, and a tap that is joined with a veth pair by ip and tc. A shell in it does what
comes over a port of virtio-serial.
"""
import os
import select
import shutil
import subprocess

import machine

SHARE_OPTIONS = "trans=virtio,version=9p2000.L,msize=131072,cache=mmap,access=client"
MODULES = ("virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console "
           "failover net_failover virtio_net netfs fscache 9pnet 9p 9pnet_virtio")
INIT = f"""#!/bin/busybox sh
export PATH=/bin
busybox mkdir -p /proc /sys /dev /share
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
for m in {MODULES}; do
	[ ! -e /lib/modules/$m.ko ] || busybox insmod /lib/modules/$m.ko
done
until busybox ip link set eth0 up && [ -e /dev/vport*p1 ]; do
	busybox usleep 20000
done
busybox ip addr add ADDRESS/24 dev eth0
exec <>/dev/$(cd /dev && echo vport*p1) >&0 2>&0
busybox mount -t 9p -o {SHARE_OPTIONS} TAG /share || exit
echo READY
while read -r line; do
	echo "RESULT $($line 2>&1)"
done
"""


class Namespaces:
    """Network namespaces that can each be entered by a file, with a veth pair to the first one."""

    def __init__(self, directory):
        self.directory = directory
        self.made = []

    def path(self, name):
        return os.path.join(self.directory, "net-" + name)

    def inside(self, name):
        return ["nsenter", "--net=" + self.path(name), "--"]

    def run(self, name, *argv):
        subprocess.run(self.inside(name) + list(argv), check=True)

    def make(self, name):
        with open(self.path(name), "wb"):
            pass
        subprocess.run(["unshare", "--net=" + self.path(name), "true"], check=True)
        self.made.append(name)
        self.run(name, "ip", "link", "set", "lo", "up")

    def join(self, name, number, first):
        """NAME's eth0 and the first one's pNUMBER, which is 10.1.NUMBER.1."""
        self.run(first, "ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0",
                 "netns", self.path(name))
        self.run(first, "ip", "link", "set", f"p{number}", "up")
        self.run(first, "ip", "addr", "add", f"10.1.{number}.1/24", "dev", f"p{number}")
        self.run(name, "ip", "link", "set", "eth0", "up")

    def end(self):
        for name in self.made:
            subprocess.run(["umount", self.path(name)], check=False)


def cpu_group(pid):
    """The directory of a process's control group that shares out the processors."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
        groups = [line.rstrip("\n").split(":", 2)[1:] for line in f]
    path, kind = next(((path, "cpu") for names, path in groups if "cpu" in names.split(",")),
                      (dict(groups).get(""), "cgroup2"))
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            before, _, after = line.partition(" - ")
            fstype, _, options = after.split()
            if fstype == kind or kind in options.split(",") and fstype == "cgroup":
                root, top = before.split()[3:5]
                return os.path.join(top, os.path.relpath(path, root))
    raise machine.Failed("no control groups are mounted that share out processors")


class Machine:
    def __init__(self, bench, container, namespaces, namespace, address, programs):
        """container: a running one, whose VM was booted and is the model."""
        with open(f"/proc/{container.pids['vmm']}/cmdline", encoding="utf-8") as f:
            self.model = f.read().split("\0")
        self.directory = os.path.join(bench.work, "by-hand")
        os.mkdir(self.directory)
        self._make_initrd(address, programs)
        self._make_tap(namespaces, namespace)
        self.log = open(os.path.join(self.directory, "vmm.log"), "w+b")
        self.vmm = subprocess.Popen(
            namespaces.inside(namespace) + self._arguments(bench, container),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.unread = b""
        self.group = cpu_group(container.pids["vmm"]) + "-by-hand"

    def wait_until_ready(self):
        # In the container's place, or a busy machine would favour one of them.
        os.mkdir(self.group)
        with open(os.path.join(self.group, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(self.vmm.pid))
        self._answer(b"READY")

    def _options(self, name):
        return [value for key, value in zip(self.model, self.model[1:]) if key == "-" + name]

    def _option(self, name, start=""):
        return next(value for value in self._options(name) if value.startswith(start))

    def _arguments(self, bench, container):
        kernel_line = container.inside("cat", "/proc/cmdline").strip()
        share = ",".join("path=" + bench.rootfs if part.startswith("path=") else part
                         for part in self._option("fsdev").split(","))
        device = ",".join(part for part in self._option("device", "virtio-9p").split(",")
                          if not part.startswith(("addr=", "bus=")))
        same = [word for name in ("machine", "accel", "cpu", "smp", "m", "kernel")
                for word in ("-" + name, self._option(name))]
        same += [word for value in self._options("object") if value.startswith("memory-backend")
                 for word in ("-object", value)]
        return [self.model[0], *same, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
                "-initrd", os.path.join(self.directory, "initrd"), "-append", kernel_line,
                "-fsdev", share, "-device", device,
                "-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=off",
                "-device", "virtio-net-pci,netdev=net,romfile=",
                "-chardev", "stdio,id=port,signal=off",
                "-device", "virtio-serial-pci-non-transitional,max_ports=2",
                "-device", "virtserialport,nr=1,chardev=port"]

    def _make_initrd(self, address, programs):
        """The container's initrd, and over it a shell that does as it is told."""
        root = os.path.join(self.directory, "initrd.d")
        os.makedirs(os.path.join(root, "bin"))
        for path in [machine.program("busybox"), *programs]:
            shutil.copy(path, os.path.join(root, "bin"))
        tag = self._option("device", "virtio-9p").partition("mount_tag=")[2].partition(",")[0]
        init = os.path.join(root, "init")
        with open(init, "w", encoding="utf-8") as f:
            f.write(INIT.replace("ADDRESS", address).replace("TAG", tag))
        os.chmod(init, 0o755)
        names = "\n".join(os.path.relpath(os.path.join(where, name), root)
                          for where, dirs, files in os.walk(root) for name in dirs + files)
        with open(self._option("initrd"), "rb") as f:
            theirs = f.read()
        if theirs.startswith(b"\x02\x21\x4c\x18"):  # LZ4's old format
            theirs = subprocess.run(["lz4", "-dc"], input=theirs, check=True,
                                    capture_output=True).stdout
        ours = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, check=True,
                              input=names.encode(), capture_output=True).stdout
        with open(os.path.join(self.directory, "initrd"), "wb") as f:
            f.write(theirs + ours)

    @staticmethod
    def _make_tap(namespaces, namespace):
        def run(*argv):
            namespaces.run(namespace, *argv)

        run("ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr")
        run("ip", "link", "set", "tap0", "up")
        for here, there in (("eth0", "tap0"), ("tap0", "eth0")):
            run("tc", "qdisc", "add", "dev", here, "ingress")
            run("tc", "filter", "add", "dev", here, "parent", "ffff:", "protocol", "all", "u32",
                "match", "u8", "0", "0", "action", "mirred", "egress", "redirect", "dev", there)

    def _answer(self, word):
        """The rest of the next line that begins so."""
        out = self.vmm.stdout.fileno()
        while True:
            line, newline, rest = self.unread.partition(b"\n")
            if newline:
                self.unread = rest
                first, _, answer = line.strip().partition(b" ")
                if first == word:
                    return answer.decode()
            elif not select.select([out], [], [], machine.LIMIT)[0] or not (
                    more := os.read(out, 4096)):
                self.log.seek(0)
                raise machine.Failed("the machine by hand does not answer: "
                                     + self.log.read().decode(errors="replace"))
            else:
                self.unread += more

    def inside(self, *args):
        self.vmm.stdin.write(" ".join(args).encode() + b"\n")
        self.vmm.stdin.flush()
        return self._answer(b"RESULT")

    def end(self):
        self.vmm.kill()
        self.vmm.wait()
        self.log.close()
        if os.path.isdir(self.group):  # this is called again when all has been measured
            os.rmdir(self.group)
