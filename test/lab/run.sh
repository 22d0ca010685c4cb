#!/usr/bin/env bash
# Run a command in a VM that plays the host: run.sh [--systemd | --hybrid] [--seconds N] COMMAND...
#
# For what this machine's kernel or set-up lacks. The VM (emulated) has Debian's kernel, the guest's
# own, and this machine's root file system: read-only, with an overlay in memory on top, and a
# /run and /dev of its own. There is no network but loopback. The command runs as root, in the
# present directory, with the environment's VCRT* variables; its output and exit status are this script's.
#
#   (default)     cgroup version 2, nothing else running
#   --systemd     systemd is PID 1, cgroup version 2
#   --hybrid      systemd is PID 1, cgroup version 1 with its own hierarchy of version 2
#   --seconds N   for everything (default 300); exit status 124 when they are over
#
# From the environment: VCRT_KERNEL, VCRT_INITRD (the guest's, default: where they are installed).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel=${VCRT_KERNEL:-/usr/local/share/vcrt/vmlinux}
initrd=${VCRT_INITRD:-/usr/local/share/vcrt/initrd.img}
manager=none
seconds=300
parameters='quiet panic=-1 tsc=reliable no_timer_check cryptomgr.notests console=ttyS0'
memory=1024 # MiB: systemd, tests, and the pages of their programs

die() {
	echo "lab: $*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--systemd | --hybrid) manager=${1#--} ;;
	--seconds)
		seconds=${2:?}
		shift
		;;
	--) shift && break ;;
	-*) die "unknown option '$1'" ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || die 'which command?'
for file in "$kernel" "$initrd"; do
	[ -f "$file" ] || die "'$file' does not exist (./bootstrap.sh build)"
done
for tool in qemu-system-x86_64 busybox cpio; do
	command -v "$tool" >/dev/null || die "'$tool' is missing"
done
[ "$manager" = none ] || [ -x /lib/systemd/systemd ] || die 'systemd is not installed'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Our part comes first: the end of LZ4's cannot be told, for the kernel it is the archive's.
mkdir -p "$work/initrd/bin" "$work/lab"
cp "$(command -v busybox)" "$work/initrd/bin/busybox"
cp "$here/init.sh" "$work/initrd/lab-init"
chmod 755 "$work/initrd/lab-init"
(cd "$work/initrd" && find . | cpio --quiet -o -H newc) >"$work/initrd.img"
cat "$initrd" >>"$work/initrd.img"

# What the VM reads and writes.
echo "$manager" >"$work/lab/manager"
cp "$here/session.sh" "$here/lab.target" "$here/lab.service" "$work/lab"
{
	printf 'cd %q || exit\n' "$PWD"
	while read -r name; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done < <(compgen -e | grep '^VCRT')
	printf '%q ' "$@"
	echo
} >"$work/lab/command"
: >"$work/lab/log"

case $manager in
systemd) parameters+=' systemd.unified_cgroup_hierarchy=1' ;;
hybrid) parameters+=' systemd.unified_cgroup_hierarchy=0' ;;
esac
status=0
# One thread for both CPUs: with two, kernels fail at random (see hypervisor/qemu-args.c).
timeout -k 5 "$seconds" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
	-machine q35,smm=off,sata=off,smbus=off,usb=off,vmport=off -cpu max -accel tcg,thread=single -smp 2 -m "$memory" \
	-kernel "$kernel" -initrd "$work/initrd.img" \
	-append "$parameters rdinit=/lab-init systemd.unit=lab.target systemd.show_status=0" \
	-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
	-virtfs "local,path=$work/lab,mount_tag=lab,security_model=none" \
	-serial "file:$work/console" </dev/null >"$work/qemu" 2>&1 || status=$?
cat "$work/lab/log"
[ "$status" != 124 ] || {
	tail -n 20 "$work/console" >&2
	echo "lab: not done within $seconds s" >&2
	exit 124
}
[ -s "$work/lab/status" ] || {
	cat "$work/qemu" "$work/console" >&2
	die 'the VM ended without a result'
}
exit "$(<"$work/lab/status")"
