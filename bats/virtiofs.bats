#!/usr/bin/env bats
# The share by virtio-fs: what 9p of QEMU refuses works, the VMM has no rights, virtiofsd comes and
# goes with the sandbox.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

VCRT_SHARED_FS=virtiofs

with_program() {
	needs cc
	cc -D_GNU_SOURCE -O -static -o "$B/rootfs/bin/special-files" "$BATS_TEST_DIRNAME/special-files.c"
}

with_caps() { # CAPABILITY...
	local cap

	for cap; do
		edit --arg c "$cap" '.process.capabilities |= map_values(. + [$c])'
	done
}

@test "virtiofs: the container's files are of that type, its status is passed on" {
	run_container -- sh -c 'grep " / virtiofs " /proc/mounts | cut -d " " -f 1-3; exit 7'
	[ "$code" -eq 7 ]
	[ "$(cat "$T/out")" = 'none / virtiofs' ]
	[ ! -s "$T/err" ]
	assert_nothing_left
}

@test "virtiofs: what the container writes is on the host when it stops, with owner and mode" {
	with_caps CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_SETUID CAP_SETGID
	run_container -- sh -c 'echo content >/file; chmod 640 /file; chown 12:34 /file
		mkdir -m 1750 /dir; ln -s target /link; ln /file /hard; chmod 4711 /dir; : >/empty
		rm /etc/group; mv /etc/passwd /etc/moved
		dd if=/dev/zero of=/big bs=1M count=10 2>/dev/null'
	[ "$code" -eq 0 ]
	cd "$B/rootfs"
	[ "$(cat file)" = content ]
	[ "$(stat -c '%a %u:%g %h' file)" = '640 12:34 2' ]
	[ "$(stat -c '%a %F' dir)" = '4711 directory' ]
	[ "$(readlink link)" = target ]
	[ "$(stat -c %i file)" = "$(stat -c %i hard)" ]
	[ "$(stat -c %s empty)" = 0 ]
	cmp <(head -c 10485760 /dev/zero) big
	[ ! -e etc/group ]
	[ -f etc/moved ]
	cd "$T"
	assert_nothing_left
}

@test "virtiofs: files belong to the user who makes them" {
	edit '.process.user = {uid: 1000, gid: 1001, additionalGids: [1002]}'
	mkdir "$T/shared"
	chmod 1777 "$T/shared"
	mount_in bind "$T/shared" /shared bind
	run_container -- sh -c 'echo x >/shared/file; mkdir /shared/dir; chgrp 1002 /shared/dir
		echo y >/not-mine'
	[ "$code" -eq 1 ]
	grep -q "can't create /not-mine: Permission denied" "$T/err"
	[ "$(stat -c %u:%g "$T/shared/file" "$T/shared/dir")" = $'1000:1001\n1000:1002' ]
}

@test "virtiofs: bind mounts of directories and files, read-only too, each a file system" {
	mkdir -p "$T/dir/sub" "$T/mount"
	echo from-host >"$T/dir/sub/file"
	echo single >"$T/single"
	mount -t tmpfs none "$T/mount"
	echo on-tmpfs >"$T/mount/file"
	mount_in bind "$T/dir" /rw rbind rw
	mount_in bind "$T/dir" /ro bind ro
	mount_in bind "$T/single" /etc/single bind
	mount_in bind "$T/single" /etc/single-ro bind ro
	mount_in bind "$T/mount" /mount rbind
	run_container -- sh -c 'cat /rw/sub/file /ro/sub/file /etc/single /etc/single-ro /mount/file
		echo new >/rw/new; echo changed >/etc/single; echo new >/mount/new
		echo no >/ro/no; echo no >/etc/single-ro; rm /ro/sub/file
		[ "$(stat -c %d /)" != "$(stat -c %d /mount)" ]'
	umount "$T/mount"
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'from-host\nfrom-host\nsingle\nsingle\non-tmpfs' ]
	[ "$(grep -c 'Read-only file system' "$T/err")" -eq 3 ]
	[ "$(cat "$T/dir/new" "$T/single" "$T/dir/sub/file")" = $'new\nchanged\nfrom-host' ]
	assert_nothing_left
}

@test "virtiofs: what is mounted below a bind's source comes along, and can be unmounted afterwards" {
	mkdir -p "$T/dir/inner"
	mount -t tmpfs none "$T/dir"
	mkdir "$T/dir/inner"
	mount -t tmpfs none "$T/dir/inner"
	echo below >"$T/dir/inner/file"
	mount_in bind "$T/dir" /dir rbind
	run_container -- sh -c 'cat /dir/inner/file; echo new >/dir/inner/new'
	[ -f "$T/dir/inner/new" ]
	umount "$T/dir/inner"
	umount "$T/dir"
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = below ]
}

@test "virtiofs: fifos and device nodes can be made and used" {
	with_caps CAP_MKNOD
	edit '.linux.resources.devices += [{allow: true, access: "rwm"}]'
	run_container -- sh -c 'mkfifo -m 640 /fifo && (echo through >/fifo & cat /fifo)
		mknod -m 620 /zero c 1 5 && head -c 4 /zero | wc -c'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'through\n4' ]
	[ "$(stat -c '%F %a' "$B/rootfs/fifo")" = 'fifo 640' ]
	[ "$(stat -c '%F %a %t:%T' "$B/rootfs/zero")" = 'character special file 620 1:5' ]
}

@test "virtiofs: a socket in the root file system serves other processes of the container" {
	with_program
	start_container "$ID" special-files serve /tmp/socket
	wait_until 10 has_line "$T/$ID.out" listening
	[ "$(vcrt exec "$ID" special-files ask /tmp/socket)" = answer ]
	[ "$(stat -c %F "$B/rootfs/tmp/socket")" = socket ]
}

@test "virtiofs: unlinked files that are open, writable shared mappings, programs as mapped files" {
	with_program
	run_container -- sh -c 'special-files unlinked /tmp/file && special-files map /mapped'
	[ "$code" -eq 0 ]
	[ ! -e "$B/rootfs/tmp/file" ]
	[ "$(stat -c %s "$B/rootfs/mapped")" = 8192 ]
	[ "$(tail -c 4096 "$B/rootfs/mapped" | tr -d '\0')" = mapped ]
}

@test "virtiofs: capabilities of files are kept" {
	needs setcap getcap
	rm "$B/rootfs/bin/grep"
	cp "$B/rootfs/bin/busybox" "$B/rootfs/bin/grep"
	setcap cap_net_raw=ep "$B/rootfs/bin/grep"
	with_caps CAP_NET_RAW
	edit '.process.user = {uid: 1000, gid: 1000} | .process.noNewPrivileges = false'
	run_container -- grep CapEff /proc/self/status
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'CapEff:\t0000000000002000' ]
}

@test "virtiofs: what the host changes is seen at once" {
	local n
	mkdir "$T/dir"
	echo 0 >"$T/dir/file"
	echo one >"$T/single"
	mount_in bind "$T/dir" /dir bind
	mount_in bind "$T/single" /single bind
	start_container "$ID" sleep 1000
	for n in 1 2 3; do
		echo "$n" >"$T/dir/file"
		[ "$(vcrt exec "$ID" cat /dir/file)" = "$n" ]
		echo "longer $n" >"$T/dir/file"
		[ "$(vcrt exec "$ID" cat /dir/file)" = "longer $n" ]
	done
	echo two >"$T/single"
	[ "$(vcrt exec "$ID" cat /single)" = two ]
	echo added >"$B/rootfs/added"
	[ "$(vcrt exec "$ID" cat /added)" = added ]
	mv "$T/dir/file" "$T/dir/moved"
	[ "$(vcrt exec "$ID" ls /dir)" = moved ]
	run vcrt exec "$ID" cat /dir/file
	[ "$status" -eq 1 ]
	chmod 600 "$B/rootfs/added"
	[ "$(vcrt exec "$ID" stat -c %a /added)" = 600 ]
	vcrt exec "$ID" sh -c 'echo by-guest >/dir/guest'
	[ "$(cat "$T/dir/guest")" = by-guest ]
}

@test "virtiofs: the VMM has no capability and no file, virtiofsd only what it serves with" {
	start_container "$ID" sleep 1000
	vmm=$(pid_of vmm "$ID") server=$(pid_of virtiofsd "$ID")
	[ "$(grep -E '^Cap(Prm|Eff|Bnd)' "/proc/$vmm/status" | cut -f 2 | sort -u)" = 0000000000000000 ]
	[ -z "$(ls "/proc/$vmm/root/share")" ]
	# chown, dac_override, fowner, fsetid, setgid, setuid, mknod, setfcap
	[ "$(grep -E '^CapPrm' "/proc/$server/status" | cut -f 2)" = 00000000880000db ]
	[ "$(grep -E '^CapBnd' "/proc/$server/status" | cut -f 2)" = 0000000000000000 ]
	grep -q $'^NoNewPrivs:\t1' "/proc/$server/status"
	grep -q $'^Seccomp:\t2' "/proc/$server/status"
	[ "$(ls "/proc/$server/root/")" = "$(ls "/proc/$(pid_of monitor "$ID")/root/share")" ]
	for n in mnt pid net ipc uts; do
		[ "$(readlink "/proc/$server/ns/$n")" != "$(readlink "/proc/self/ns/$n")" ]
		[ "$(readlink "/proc/$server/ns/$n")" != "$(readlink "/proc/$vmm/ns/$n")" ]
	done
}

# All is over soon, of itself (crash.bats, beside which nothing runs, takes the time); delete --force (a
# second time, too) is content and thorough.
assert_ends_cleanly() {
	wait_until 10 is_status "$ID" stopped
	vcrt delete --force "$ID"
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "virtiofs: kill -9 of virtiofsd, of the monitor, of QEMU" {
	local name
	for name in virtiofsd monitor vmm; do
		start_container "$ID" sleep 1000
		record_processes
		ln -f "$RUN"/*/monitor.log "$T/log"
		kill -9 "$(pid_of "$name" "$ID")"
		assert_ends_cleanly
		[ "$name" != virtiofsd ] || grep -q 'the file server virtiofsd was killed by signal 9, ending' "$T/log"
		[ "$name" != vmm ] || grep -q 'the virtual machine has ended: its VMM was killed by signal 9, ending' "$T/log"
	done
}

@test "virtiofs: a virtiofsd that fails is named, with what it says" {
	printf '%s\n' '#!/bin/sh' '[ "$1" = --version ] && echo virtiofsd 1.0 && exit' \
		'echo it has no luck today >&2; exit 3' >"$T/virtiofsd"
	chmod 755 "$T/virtiofsd"
	configure memory 512 virtiofsd_path "\"$T/virtiofsd\""
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q 'virtiofsd exited with status 3: it has no luck today' "$T/err"
	assert_nothing_left
}

@test "virtiofs: a program that is missing or another, and an unknown share, are refused" {
	configure virtiofsd_path '"/no/virtiofsd"'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q "virtiofsd is missing: '/no/virtiofsd'" "$T/err"
	run vcrt check
	[ "$status" -ne 0 ]
	[[ $output == *'/no/virtiofsd'* ]]
	configure virtiofsd_path '"/bin/echo"'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q "'/bin/echo' is not virtiofsd" "$T/err"
	configure shared_fs '"nfs"'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q "unknown shared file system 'nfs'" "$T/err"
	assert_nothing_left
}
