#!/usr/bin/env bats
# What machines that start from one template do not have in common, and what is in none of them.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands; tests are subshells
load helpers
load network

use_template() {
	configure memory 512 template '"manual"' template_dir "\"$T/templates\""
	vcrt template create
}

# What the clone ID says of itself, once it has said all of it.
said_by() { # ID
	wait_until 60 has_line "$T/$1.out" end
	cat "$T/$1.out" >&2
}

@test "clones: started together or one after the other, they have no random number in common" {
	local i name
	needs cc
	use_template
	cc -O -static -o "$B/rootfs/bin/randoms" "$BATS_TEST_DIRNAME/randoms.c"
	args sh -c 'randoms; echo "urandom $(head -c 16 /dev/urandom | md5sum)"
		echo "boot $(cat /proc/sys/kernel/random/boot_id)"; randoms | sed "s/^/later /"; echo end; sleep 1000'
	for i in 1 2; do
		background "$VCRT" "${VCRT_ARGS[@]}" run -d --bundle "$B" "$ID-$i" </dev/null >"$T/$ID-$i.out" 2>&1
	done
	for i in 1 2; do
		wait_for 90 "${BACKGROUND[i - 1]}"
	done
	vcrt run -d --bundle "$B" "$ID-3" </dev/null >"$T/$ID-3.out" 2>&1
	for i in 1 2 3; do
		tr '\0' '\n' <"/proc/$(pid_of vmm "$ID-$i")/cmdline" | grep -qx defer
		said_by "$ID-$i"
		[ "$(wc -l <"$T/$ID-$i.out")" -eq 13 ]
	done
	for name in getrandom seed uuid stack mapping urandom boot 'later getrandom' 'later seed' 'later uuid'; do
		[ "$(cat "$T/$ID"-?.out | grep "^$name " | sort -u | wc -l)" -eq 3 ]
	done
}

@test "clones: an old template's have the time of now, and nothing of what was before them" {
	local before after times
	use_template
	# The guest's clock stood still meanwhile.
	sleep 15
	before=$(date +%s)
	start_container "$ID" sh -c 'date +%s; cat /sys/class/rtc/rtc0/since_epoch 2>/dev/null || uname -r
		cut -d . -f 1 /proc/uptime
		cut -d . -f 1 /proc/loadavg; ls -A /run /tmp | grep -v :; cat /proc/1/comm; hostname; echo end; sleep 1000'
	said_by "$ID"
	after=$(date +%s)
	mapfile -t times <"$T/$ID.out"
	[ "${times[0]}" -ge "$before" ]
	[ "${times[0]}" -le "$after" ]
	# The machine's own clock, in whole seconds; the tuned kernel has no driver for it.
	if [[ ${times[1]} != *-vcrt ]]; then
		[ "${times[1]}" -ge $((before - 1)) ]
		[ "${times[1]}" -le $((after + 1)) ]
	fi
	# It has run for as long as the template did, and since.
	[ "${times[2]}" -lt 300 ]
	[ "${times[3]}" -lt 3 ]
	[ "$(vcrt exec "$ID" cat /proc/self/mounts | grep -c ' / ')" -eq 1 ]
	# Both clocks go on at the pace of the host's.
	vcrt exec "$ID" sh -c 'cut -d " " -f 1 /proc/uptime; sleep 3; cut -d " " -f 1 /proc/uptime' >"$T/pace"
	awk 'NR == 1 { first = $1 } END { exit !($1 - first >= 2.9 && $1 - first < 30) }' "$T/pace"
}

@test "clones: one whose VMM was slow to come has the time of now, too" {
	local before
	cat >"$T/slow-vmm" <<-'END'
		#!/bin/sh
		sleep 4
		exec /usr/bin/qemu-system-x86_64 "$@"
	END
	chmod +x "$T/slow-vmm"
	configure memory 512 template '"manual"' template_dir "\"$T/templates\"" vmm_path "\"$T/slow-vmm\""
	vcrt template create
	start_container "$ID" sleep 1000
	before=$(date +%s)
	[ "$(vcrt exec "$ID" date +%s)" -ge $((before - 1)) ]
}

@test "clones: each has the network, the name and the identity of its own container" {
	local i
	needs ip unshare nsenter
	use_template
	echo 0123456789abcdef0123456789abcdef >"$B/rootfs/etc/machine-id"
	edit '.process.capabilities |= map_values(. + ["CAP_NET_RAW"])'
	args sh -c 'hostname; cat /etc/machine-id /sys/class/net/eth0/address; ls /sys/class/net | xargs
		echo machine: $(cd /sys/class/dmi/id 2>/dev/null && cat product_uuid product_serial chassis_serial 2>/dev/null)
		ping -c 1 -W 10 10.1.0.254 >/dev/null && echo reached; echo end; sleep 1000'
	# The same network twice, and no way from one to the other.
	for i in 1 2; do
		new_namespace "c$i"
		new_namespace "p$i"
		wire "c$i" eth0 "p$i" p0 address "02:00:00:00:77:0$i"
		inside "c$i" ip addr add "10.1.0.$i/24" dev eth0
		inside "p$i" ip addr add 10.1.0.254/24 dev p0
		use_namespace "c$i"
		edit --arg name "host$i" '.hostname = $name'
		vcrt run -d --bundle "$B" "$ID-$i" </dev/null >"$T/$ID-$i.out" 2>&1
	done
	for i in 1 2; do
		tr '\0' '\n' <"/proc/$(pid_of vmm "$ID-$i")/cmdline" | grep -qx defer
		said_by "$ID-$i"
		diff - "$T/$ID-$i.out" <<-END
			host$i
			0123456789abcdef0123456789abcdef
			02:00:00:00:77:0$i
			eth0 lo
			machine:
			reached
			end
		END
		vcrt exec "$ID-$i" ping -c 1 -W 10 10.1.0.254 >&2
		inside "p$i" "$B/rootfs/bin/busybox" ping -c 1 -W 10 "10.1.0.$i" >&2
		run ! vcrt exec "$ID-$i" ping -c 1 -W 2 "10.1.0.$((3 - i))"
	done
}

# In a machine that has booted and in a clone, the container of the bundle says the same.
same_in_a_clone() { # COMMAND... that has it in $T/out
	local how
	for how in off manual; do
		configure memory 512 template "\"$how\"" template_dir "\"$T/templates\""
		[ "$how" = off ] || [ -d "$T/templates" ] || vcrt template create
		"$@"
		mv "$T/out" "$T/$how"
	done
	diff "$T/off" "$T/manual"
}

run_to_end() {
	run_container
	[ "$code" -eq 0 ]
	! grep -q level= "$T/err" || return 1
}

# From a container that goes on: what it has said, and then the machine's processes, files and sockets.
look_around() {
	vcrt run -d --bundle "$B" "$ID" </dev/null >"$T/$ID.out" 2>&1
	said_by "$ID"
	vcrt exec "$ID" true
	vcrt exec "$ID" sh -c 'for dir in /proc/[0-9]*; do
			command=$(tr "\\0" " " <$dir/cmdline)
			[ -n "$command" ] || continue # a thread of the kernel
			echo "process ${command%%for*}: $(cat $dir/cgroup)"
			cut -d " " -f 4- $dir/mountinfo | sed "s/[0-9a-f]*\\/rootfs/rootfs/"
			for fd in $dir/fd/*; do readlink $fd; done | sed "s/:.*//" | sort -u
		done
		# Modules that others may need are loaded before: one brings a node of its own along.
		find /proc/1/root/ /proc/1/root/run /proc/1/root/dev /proc/1/root/dev/shm -xdev -path "*/lib/modules" -prune -o -print |
			grep -v /dev/net | sort
		cut -d " " -f 2- /proc/1/net/unix | sed "s/ *[0-9]*$//" | sort
		cat /proc/1/net/tcp /proc/1/net/udp /proc/sysvipc/*; ls /proc/1/root/sys/class/net
		hostname; cut -d " " -f 5- /proc/locks' >"$T/out"
	# In no order: it is that of the process numbers.
	sort -o "$T/out" "$T/out" "$T/$ID.out"
	vcrt delete --force "$ID"
}

@test "clones: a container sees the same in one as in a machine that has booted" {
	edit '.mounts = [.mounts[] | select(.destination != "/dev/mqueue")] | .hostname = "same" |
		.linux.maskedPaths -= ["/proc/keys"] | .process.args = ["sh", "-c", $script]' --arg script '
			cut -d " " -f 4- /proc/self/mountinfo | sed "s/[0-9a-f]*\\/rootfs/rootfs/"
			find /dev | sort | xargs stat -c "%N %A %U %t:%T"
			grep -vE "ctxt|^(State|SigQ|VmHWM|VmRSS|Rss|VmPTE|Mems|Cpus)" /proc/self/status
			cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj
			ls /proc/self/fd /proc/acpi /proc/scsi /sys/firmware
			grep -o "_ses[.][^:]*" /proc/keys | sort; cut -d " " -f 1,2,4-8 /proc/1/stat; umask; hostname; id; pwd; env; ls /sys/fs/cgroup'
	same_in_a_clone run_to_end
	[ "$(wc -l <"$T/off")" -gt 100 ]
	has_line "$T/off" same
	has_line "$T/off" "_ses.$ID"

	# Nor is anything of the preparation left for one that may see the whole machine. (The process of
	# the agent that writes back the share is there once something has ended.)
	namespaces mount network
	edit '.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]) | del(.hostname)'
	args sh -c 'mkdir -p /mnt && mount -t cgroup2 none /mnt && find /mnt -type d | sort
		cat /proc/[0-9]*/cgroup 2>/dev/null | sort -u; echo end; exec sleep 1000'
	same_in_a_clone look_around
	has_line "$T/off" "0::/$ID"
	[ "$(grep -c '^process /init ' "$T/off")" -eq 2 ]
	[ "$(wc -l <"$T/off")" -gt 100 ]
}
