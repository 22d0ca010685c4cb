#!/usr/bin/env bats
# linux.devices and the default devices.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the guest's shell expands; every test is a subshell
load helpers

# Type, mode, owner and numbers (in hexadecimal) as the container sees them.
FACTS='facts() { stat -c "%n: %F %a %u:%g %t:%T" "$@"; }'

refused() { # MESSAGE DEVICE...
	local message=$1

	shift
	edit "$(printf '.linux.devices = [%s]' "$(
		IFS=,
		echo "$*"
	)")"
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF -- "$message" "$T/err"
	assert_nothing_left
}

@test "devices: each type with its mode, owner and numbers, anywhere" {
	edit '.linux.devices = [
			{path: "/dev/c", type: "c", major: 1, minor: 5, fileMode: 416, uid: 3, gid: 4},
			{path: "/dev/deep/er/u", type: "u", major: 1, minor: 3},
			{path: "/dev/b", type: "b", major: 240, minor: 1048575, fileMode: 24960},
			{path: "/dev/p", type: "p", fileMode: 402, uid: 5},
			{path: "/dev/full", type: "c", major: 1, minor: 5, fileMode: 292},
			{path: "/srv/outside/null", type: "c", major: 1, minor: 3, uid: 6, fileMode: 438}] |
		.linux.resources.devices = [{allow: true, type: "c", access: "rwm"}] | .process.user.umask = 63 |
		.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE"])'
	run_container -- sh -c "$FACTS"'; facts /dev/c /dev/deep/er/u /dev/b /dev/p /dev/full /srv/outside/null /dev/zero
		head -c 3 /dev/c | wc -c; head -c 2 /dev/full | wc -c; echo gone >/dev/deep/er/u && echo u written
		(echo through the pipe >/dev/p &); cat /dev/p; echo x >/srv/outside/null && echo null written'
	[ "$code" -eq 0 ]
	diff - "$T/out" <<-'OUT'
		/dev/c: character special file 640 3:4 1:5
		/dev/deep/er/u: character special file 666 0:0 1:3
		/dev/b: block special file 600 0:0 f0:fffff
		/dev/p: fifo 622 5:0 0:0
		/dev/full: character special file 444 0:0 1:5
		/srv/outside/null: character special file 666 6:0 1:3
		/dev/zero: character special file 666 0:0 1:5
		3
		2
		u written
		through the pipe
		null written
	OUT
	[ "$(grep -c level=warning "$T/err")" -eq 1 ]
	grep -q 'the virtual machine does not have /dev/b, ignoring' "$T/err"
	# Again with the same root file system, which has kept something of those outside of /dev; and
	# with a node that the image has brought.
	mknod -m 600 "$B/rootfs/srv/brought" c 1 5
	edit '.linux.devices += [{path: "/srv/brought", type: "c", major: 1, minor: 5, fileMode: 438}]'
	run_container -- sh -c "$FACTS"'; facts /srv/outside/null /srv/brought; head -c 2 /srv/brought | wc -c'
	[ "$(cat "$T/out")" = '/srv/outside/null: character special file 666 6:0 1:3
/srv/brought: character special file 600 0:0 1:5
2' ]
}

@test "devices: the default ones are there in a root file system without any mount" {
	edit '.mounts = [] | .linux.maskedPaths = [] | .linux.readonlyPaths = []'
	for _ in first second; do
		run_container -- sh -c "$FACTS"'; facts /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
			echo lost >/dev/null; head -c 4 /dev/zero | tr "\0" 0; head -c 9 /dev/urandom | wc -c
			for link in fd stdin stdout stderr ptmx; do echo "$link $(readlink /dev/$link)"; done'
		[ "$code" -eq 0 ]
		diff - "$T/out" <<-'OUT'
			/dev/null: character special file 666 0:0 1:3
			/dev/zero: character special file 666 0:0 1:5
			/dev/full: character special file 666 0:0 1:7
			/dev/random: character special file 666 0:0 1:8
			/dev/urandom: character special file 666 0:0 1:9
			/dev/tty: character special file 666 0:0 5:0
			00009
			fd /proc/self/fd
			stdin /proc/self/fd/0
			stdout /proc/self/fd/1
			stderr /proc/self/fd/2
			ptmx pts/ptmx
		OUT
	done
}

@test "devices: what is in the way is an error, as is what the specification does not allow" {
	echo content >"$B/rootfs/etc/file"
	refused "linux.devices[0]: '/etc/file' exists and is something else" \
		'{path: "/etc/file", type: "c", major: 1, minor: 3}'
	[ "$(cat "$B/rootfs/etc/file")" = content ]
	refused "linux.devices[1]: '/dev/x' exists and is something else" \
		'{path: "/dev/x", type: "c", major: 1, minor: 3}' '{path: "/dev/x", type: "b", major: 1, minor: 3}'

	# These do not take a VM.
	refused 'linux.devices[0].major: required, but missing' '{path: "/dev/x", type: "c", minor: 3}'
	refused 'linux.devices[0].minor: required, but missing' '{path: "/dev/x", type: "b", major: 3}'
	refused 'linux.devices[0].type: unknown device type' '{path: "/dev/x", type: "x", major: 1, minor: 3}'
	refused 'linux.devices[0].path: must be an absolute path' '{path: "dev/x", type: "p"}'
	refused 'linux.devices[0].major: 4096 is out of range' '{path: "/dev/x", type: "c", major: 4096, minor: 3}'
}

@test "devices: what a rule names or a bind brings has its driver in the guest" {
	mkdir "$T/nodes"
	mknod "$T/nodes/fuse" c 10 229
	mknod "$T/loop" c 10 237
	edit --arg dir "$T" '.mounts += [
			{destination: "/srv/nodes", source: "\($dir)/nodes", options: ["bind"]},
			{destination: "/srv/loop", source: "\($dir)/loop", options: ["bind"]}] |
		.linux.resources.devices = [{allow: true, access: "rwm"},
			{allow: true, type: "c", major: 10, minor: 229, access: "rw"}]'
	# Without a driver there is no such device.
	run_container -- sh -c 'exec 3<>/srv/nodes/fuse && echo fuse; exec 4<>/srv/loop && echo loop'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = 'fuse
loop' ]
}

@test "devices: of a list of all that the host has the VM's own are made, the others left out with a warning" {
	edit '.linux.devices = [
			{path: "/dev/null", type: "c", major: 1, minor: 3},
			{path: "/dev/absent", type: "c", major: 240, minor: 7},
			{path: "/dev/loop-control", type: "c", major: 10, minor: 237},
			{path: "/dev/sdz", type: "b", major: 65, minor: 144},
			{path: "/dev/pipe", type: "p"}] |
		.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, access: "rwm"}]'
	run_container -- sh -c 'cd /dev; ls -d null absent loop-control sdz pipe 2>/dev/null'
	[ "$(cat "$T/out")" = $'loop-control\nnull\npipe' ]
	[ "$(grep -c level=warning "$T/err")" -eq 1 ]
	grep -q 'the virtual machine does not have /dev/absent, /dev/sdz, ignoring' "$T/err"
}
