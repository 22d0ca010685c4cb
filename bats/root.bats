#!/usr/bin/env bats
# root, linux.rootfsPropagation and what every container finds in /dev.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# The value that the container printed under a name: "name: value".
said() { # NAME
	sed -n "s/^$1: //p" "$T/out"
}

# Prints what is in /dev, and whether it works.
LOOK='for d in null zero full random urandom tty; do
		echo "device: $(stat -c "%n %a %t:%T %u %g" /dev/$d)"
	done
	for l in fd stdin stdout stderr ptmx; do echo "link: $l $(readlink /dev/$l)"; done
	echo x >/dev/null && echo "null: works"
	echo "zero: $(head -c 2 /dev/zero | od -A n -t x1)"
	echo x 2>&1 >/dev/full | sed "s/^/full: /"
	echo "urandom: $(head -c 5 /dev/urandom | wc -c)"
	echo in | cat /dev/stdin | sed "s/^/stdin: /"
	echo "stdout: works" >/dev/stdout
	[ -c /dev/ptmx ] && echo "ptmx: a device"'

finds_all_devices() {
	[ "$code" -eq 0 ]
	[ "$(said device)" = '/dev/null 666 1:3 0 0
/dev/zero 666 1:5 0 0
/dev/full 666 1:7 0 0
/dev/random 666 1:8 0 0
/dev/urandom 666 1:9 0 0
/dev/tty 666 5:0 0 0' ]
	[ "$(said link)" = 'fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx' ]
	[ "$(said null)" = works ]
	[ "$(said zero)" = ' 00 00' ]
	[[ $(said full) == *'No space left'* ]]
	[ "$(said urandom)" = 5 ]
	[ "$(said stdin)" = in ]
	[ "$(said stdout)" = works ]
	[ "$(said ptmx)" = 'a device' ]
}

@test "root: readonly is about the root, not about what is mounted in it" {
	mkdir -p "$T/data" "$B/rootfs"/{data,scratch}
	host_mount "$B/rootfs/inner"
	edit '.root.readonly = true'
	mount_in bind "$T/data" /data bind
	mount_in tmpfs t /scratch
	mount_in tmpfs t /made/for/it
	run_container -- sh -c 'for d in / /etc /data /inner /scratch /made /made/for/it /dev /tmp; do
			touch $d/x && echo "writable: $d"
		done
		mkdir /dir || mv /etc/passwd /etc/moved || chmod 700 /etc || rm /etc/passwd || echo "root: sealed"
		sed -n "s/.* \/ \(r[ow],[^ ]*\) .*/options: \1/p" /proc/self/mountinfo'
	[ "$code" -eq 0 ]
	[ "$(said writable)" = $'/data\n/inner\n/scratch\n/made/for/it\n/dev' ]
	[ "$(grep -c 'Read-only file system' "$T/err")" -eq 8 ]
	[ "$(said root)" = sealed ]
	[ "$(said options)" = ro,relatime ]
	[ -f "$T/data/x" ]
	[ -f "$B/rootfs/inner/x" ]
}

@test "root: the path may be relative, or a link; it must be a directory that is there" {
	mv "$B/rootfs" "$B/elsewhere"
	ln -s elsewhere "$B/rootfs"
	edit '.root.path = "./rootfs/"'
	run_container -- echo found
	[ "$(cat "$T/out")" = found ]
	edit '.root.path = "missing"'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q "stat $B/missing: no such file or directory" "$T/err"
	edit '.root.path = "config.json"'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q 'not a directory' "$T/err"
}

@test "root: rootfsPropagation sets that of the root, with an r of all but those that say otherwise" {
	local word

	mount_in tmpfs t /plain
	mount_in tmpfs t /private private
	mount_in tmpfs t /shared shared
	for word in private shared unbindable rshared rslave; do
		edit --arg w "$word" '.linux.rootfsPropagation = $w'
		run_container -- awk '$5 ~ "^/(|plain|private|shared)$" { sub(" - .*", ""); sub(":.*", "", $7)
			print "at " $5 ": " $7 }' /proc/self/mountinfo
		[ "$code" -eq 0 ]
		[ "$(said 'at \/private')" = '' ]
		[ "$(said 'at \/shared')" = shared ]
		case $word in
		private | rslave) [ "$(said 'at \/')$(said 'at \/plain')" = '' ] ;;
		shared) [ "$(said 'at \/')$(said 'at \/plain')" = shared ] ;;
		rshared) [ "$(said 'at \/')$(said 'at \/plain')" = sharedshared ] ;;
		unbindable) [ "$(said 'at \/')$(said 'at \/plain')" = unbindable ] ;;
		esac
	done
	edit '.linux.rootfsPropagation = "sideways"'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q 'linux.rootfsPropagation' "$T/err"
}

@test "root: /dev is filled in a tmpfs of config.json" {
	run_container -- sh -c "$LOOK"
	finds_all_devices
	[ -z "$(ls -A "$B/rootfs/dev")" ]
}

@test "root: /dev is filled also where config.json mounts nothing, and twice" {
	edit '.mounts |= map(select(.destination | startswith("/dev") | not)) |
		.mounts += [{destination: "/dev/pts", type: "devpts", source: "devpts",
			options: ["newinstance", "ptmxmode=0666", "mode=0620"]}]'
	run_container -- sh -c "$LOOK"
	finds_all_devices
	run_container -- sh -c "$LOOK"
	finds_all_devices
}

@test "root: a /dev that config.json binds is left as it is" {
	mkdir "$T/dev"
	mknod -m 666 "$T/dev/zero" c 1 5
	edit --arg s "$T/dev" '.mounts |= map(select(.destination | startswith("/dev") | not)) |
		.mounts += [{destination: "/dev", type: "bind", source: $s, options: ["bind"]}]'
	run_container -- sh -c 'ls /dev; head -c 2 /dev/zero | od -A n -t x1'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'zero\n 00 00' ]
	[ "$(ls "$T/dev")" = zero ]
}

@test "root: an image cannot lead /dev, /proc or /sys elsewhere with links" {
	rmdir "$B/rootfs/dev" "$B/rootfs/proc"
	mkdir -p "$B/rootfs/proc" "$B/rootfs/inside"
	ln -s ../../../../../../../../"$T/escape" "$B/rootfs/dev"
	mkdir "$T/escape"
	run_container -- test -c "$T/escape/null"
	[ "$code" -eq 0 ]
	[ -z "$(ls -A "$T/escape")" ]

	rmdir "$B/rootfs/proc"
	ln -s /inside "$B/rootfs/proc"
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q 'filesystem ."proc." must be mounted on ordinary directory' "$T/err"
	rm "$B/rootfs/proc"
	rmdir "$B/rootfs/sys"
	ln -s /inside "$B/rootfs/sys"
	run_container -- true
	[ "$code" -eq 1 ]
	grep -q 'filesystem ."sysfs." must be mounted on ordinary directory' "$T/err"
}

@test "root: without pivot_root no user namespace can mount a proc or sysfs that is not masked" {
	edit '.process.capabilities |= map_values(. + ["CAP_SETFCAP", "CAP_SYS_ADMIN"])'
	run_container --no-pivot -- sh -c 'mount -t proc proc /tmp && umount /tmp && echo "admin: may"
		unshare -mrpf sh -c "mount -t proc none /tmp || mount -t sysfs none /tmp" || echo "user: may not"'
	[ "$code" -eq 0 ]
	[ "$(said admin)" = may ]
	[ "$(said user)" = 'may not' ]
	grep -qi 'permission denied\|operation not permitted' "$T/err"
}
