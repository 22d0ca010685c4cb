#!/usr/bin/env bash
# TCP throughput of a container against its floor. Usage: network.sh BUILD [CONFIG] [ROUNDS]
#
# Two virtual machines that send to the same receiver: a container of vcrt, and QEMU started by hand
# with the same kernel, drivers, accelerator, CPU and memory, its tap joined with a veth pair by ip and tc.
# They take turns, in both orders, so that a slow moment of the machine hits both. The guests take the
# time themselves. Prints both medians, and the median of the ratios. Exit status 1 when the target is missed.
set -euo pipefail
# shellcheck source=test/bench/common.bash
source "$(dirname "$0")/common.bash"

rounds=${3:-12}
min_ratio=0.9             # of the container's throughput to QEMU's by hand
bytes=$((64 * 1024 * 1024)) # in a round
limit=120                 # seconds, for each part
id=bench-$$
port=5000
pids=()

end() {
	local pid ns

	"${vcrt[@]}" delete --force "$id" || true
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	for ns in receiver container machine; do
		umount "$work/$ns" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap end EXIT

inside() { # NAMESPACE COMMAND...
	nsenter --net="$work/$1" "${@:2}"
}

new_namespace() { # NAME [NUMBER of its network]
	: >"$work/$1"
	unshare --net="$work/$1" true
	inside "$1" ip link set lo up
	[ $# -eq 2 ] || return 0
	inside receiver ip link add "p$2" type veth peer name eth0 netns "$work/$1"
	inside receiver ip link set "p$2" up
	inside receiver ip addr add "10.1.$2.1/24" dev "p$2"
	inside "$1" ip link set eth0 up
}

# The value after an option of the container's QEMU.
option() { # NAME
	tr '\0' '\n' <"/proc/$vmm/cmdline" | sed -n "/^-$1\$/ { n; p; q }"
}

# The drivers, and a shell that does what it reads from the serial port.
make_initrd() {
	local root=$work/initrd.d

	mkdir -p "$root/bin"
	cp /bin/busybox "$work/traffic" "$root/bin/"
	cat >"$root/init" <<-'END'
		#!/bin/busybox sh
		export PATH=/bin
		busybox mkdir -p /proc /sys /dev
		busybox mount -t proc proc /proc
		busybox mount -t devtmpfs dev /dev
		for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
			failover net_failover virtio_net; do
			[ ! -e /lib/modules/$m.ko ] || busybox insmod /lib/modules/$m.ko
		done
		until busybox ip link set eth0 up; do
			busybox usleep 20000
		done
		busybox ip addr add 10.1.2.2/24 dev eth0
		exec </dev/ttyS0 >/dev/ttyS0 2>&1
		busybox stty -echo -onlcr
		echo READY
		while read -r line; do
			echo "RESULT $($line 2>&1)"
		done
	END
	chmod +x "$root/init"
	{
		lz4 -dc <"$(option initrd)"
		(cd "$root" && find . | cpio --quiet -o -H newc)
	} >"$work/initrd"
}

start_by_hand() {
	local kernel_line

	inside machine ip tuntap add tap0 mode tap vnet_hdr
	inside machine ip link set tap0 up
	inside machine tc qdisc add dev eth0 ingress
	inside machine tc qdisc add dev tap0 ingress
	inside machine tc filter add dev eth0 parent ffff: protocol all u32 match u8 0 0 \
		action mirred egress redirect dev tap0
	inside machine tc filter add dev tap0 parent ffff: protocol all u32 match u8 0 0 \
		action mirred egress redirect dev eth0
	kernel_line=$("${vcrt[@]}" exec "$id" cat /proc/cmdline | sed 's/8250.nr_uarts=0//')
	mkfifo "$work/commands" "$work/answers"
	nsenter --net="$work/machine" "$(readlink "/proc/$vmm/exe")" -machine "$(option machine)" -accel "$(option accel)" \
		-cpu "$(option cpu)" -smp "$(option smp)" -m "$(option m)" -nodefaults -no-user-config -display none \
		-kernel "$(option kernel)" -initrd "$work/initrd" -append "$kernel_line" \
		-netdev tap,id=net,ifname=tap0,script=no,downscript=no,vhost=off \
		-device virtio-net-pci,netdev=net,romfile= \
		-chardev stdio,id=serial,signal=off -device isa-serial,chardev=serial \
		<"$work/commands" >"$work/answers" 2>"$work/qemu.log" &
	pids+=($!)
	exec 7>"$work/commands" 8<"$work/answers"
}

# What the machine by hand says next.
answer() { # WORD
	local word rest

	while read -r -t "$limit" word rest <&8; do
		rest=${rest%$'\r'}
		[ "${word%$'\r'}" != "$1" ] || {
			echo "$rest"
			return
		}
	done
	echo "no answer of the machine by hand: $(cat "$work/qemu.log")" >&2
	return 1
}

send_by_hand() { # BYTES
	echo "traffic send 10.1.2.1 $port $1" >&7
	answer RESULT
}

send_in_container() { # BYTES
	timeout "$limit" "${vcrt[@]}" exec "$id" traffic send 10.1.1.1 "$port" "$1"
}

new_namespace receiver
new_namespace container 1
new_namespace machine 2
inside container ip addr add 10.1.1.2/24 dev eth0
cc -D_GNU_SOURCE -O -static -o "$work/traffic" "$(dirname "$0")/../../bats/traffic.c"
nsenter --net="$work/receiver" "$work/traffic" sink "$port" &
pids+=($!)

make_bundle '["sleep", "3600"]'
cp "$work/traffic" "$work/rootfs/bin/"
ln -sf busybox "$work/rootfs/bin/cat"
jq --arg p "$work/container" '(.linux.namespaces[] | select(.type == "network")).path = $p' \
	"$work/config.json" >"$work/config.new"
mv "$work/config.new" "$work/config.json"
timeout "$limit" "${vcrt[@]}" run --detach --bundle "$work" "$id" </dev/null >/dev/null 2>&1
vmm=$(jq .vcrt.vmm.pid "$work/root/$id/state.json")
make_initrd
start_by_hand
answer READY
send_in_container "$bytes" >/dev/null # code is translated, windows are open
send_by_hand "$bytes" >/dev/null

for ((i = 0; i < rounds; i++)); do
	if ((i % 2)); then
		send_in_container "$bytes" >>"$work/vcrt.rates"
		send_by_hand "$bytes" >>"$work/hand.rates"
	else
		send_by_hand "$bytes" >>"$work/hand.rates"
		send_in_container "$bytes" >>"$work/vcrt.rates"
	fi
done

ours=$(median <"$work/vcrt.rates")
floor=$(median <"$work/hand.rates")
# Of the two of each round, which are next to each other in time.
ratio=$(paste "$work/vcrt.rates" "$work/hand.rates" | awk '{ print $1 / $2 }' | median | awk '{ printf "%.3f", $1 }')
echo "TCP from a container:    $ours MB/s (median of $rounds)"
echo "TCP from QEMU by hand:   $floor MB/s (median of $rounds)"
echo "ratio:                   $ratio (at least $min_ratio)"
awk -v r="$ratio" -v min="$min_ratio" 'BEGIN { exit !(r >= min) }'
