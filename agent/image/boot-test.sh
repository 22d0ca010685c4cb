#!/usr/bin/env bash
# Boot an image under emulation and wait for the agent's hello: boot-test.sh DIR [RUNS [PARAMETER]]
#
# DIR is an output of build.sh. Prints the time from starting QEMU to the first bytes on the agent's
# port, for each run and the median, and the median of the processor time that QEMU took for it,
# which a busy machine hardly changes; fails when they do not come or are no frame. PARAMETER is added
# to the kernel's command line, and the words of VCRT_QEMU_ARGS to QEMU's, to find out what costs
# time (default -cpu max).
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

limit=60        # seconds for one run: the slowest seen took six
hello_type=0100 # FRAME_HELLO in agent/protocol.h, little endian, at byte 8 of the frame
quick=(tsc=reliable no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests noreplace-smp
	reboot=t panic=-1 console=ttyS0 quiet)

# Milliseconds of processor time of the only child of PID.
child_cpu() { # PID
	local child fields

	child=$(<"/proc/$1/task/$1/children")
	read -ra fields <<<"$(sed 's/.*) //' "/proc/${child% }/stat")"
	echo $(((fields[11] + fields[12]) * 1000 / $(getconf CLK_TCK)))
}

# One boot in WORK; prints the milliseconds passed and used.
boot_once() { # DIR WORK PARAMETER
	local start frame='' qemu
	local -a extra

	read -ra extra <<<"${VCRT_QEMU_ARGS:--cpu max}"
	rm -f "$2"/port.*
	mkfifo "$2/port.in" "$2/port.out"
	start=${EPOCHREALTIME/[.,]/}
	timeout -k 1 "$limit" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-machine q35,smm=off,sata=off,smbus=off,usb=off,vmport=off -accel tcg -m 256 \
		-kernel "$1/vmlinux" -initrd "$1/initrd.img" -append "${quick[*]} $3" \
		-chardev pipe,id=port,path="$2/port" -device virtio-serial-pci-non-transitional \
		-device virtserialport,chardev=port,name=vcrt.agent \
		-serial "file:$2/console" "${extra[@]}" </dev/null >"$2/qemu" 2>&1 &
	qemu=$!
	frame=$(timeout "$limit" head -c 16 "$2/port.out" | od -An -v -tx1 | tr -d ' \n') || true
	echo $(((${EPOCHREALTIME/[.,]/} - start) / 1000)) "$(child_cpu "$qemu" || true)"
	kill "$qemu" 2>/dev/null || true
	wait "$qemu" 2>/dev/null || true
	if [ "${frame:16:4}" != "$hello_type" ]; then
		tail -n 20 "$2/qemu" "$2/console" >&2
		die "no hello from the agent in '$1' within $limit s (got '$frame')"
	fi
}

main() { # DIR [RUNS [PARAMETER]]
	local runs=${2:-1} i answer
	local -a times=() used=()

	need_tools qemu-system-x86_64 od timeout
	for i in vmlinux initrd.img; do
		[ -f "$1/$i" ] || die "'$1/$i' does not exist (build.sh makes it)"
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	for ((i = 0; i < runs; i++)); do
		answer=$(boot_once "$1" "$work" "${3:-}")
		times+=("${answer% *}")
		used+=("${answer#* }")
	done
	mapfile -t times < <(printf '%s\n' "${times[@]}" | sort -n)
	mapfile -t used < <(printf '%s\n' "${used[@]}" | sort -n)
	say "hello after ${times[runs / 2]} ms (median of $runs: ${times[*]});" \
		"processor ${used[runs / 2]} ms"
}

case $# in
[123]) ;;
*) die 'usage: boot-test.sh DIR [RUNS [PARAMETER]]' ;;
esac
main "$@"
