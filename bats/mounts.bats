#!/usr/bin/env bats
# The mounts of config.json, as the container sees them. A VM start is the expensive part: each test
# looks at several mounts in one.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# A container that only sleeps, to look at with inside().
start() {
	edit '.process.capabilities |= map_values(. + ["CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_CHOWN", "CAP_FOWNER"])'
	start_container "$ID" sleep 1000
	inside cat /proc/self/mountinfo >"$T/mountinfo"
	cat "$T/mountinfo" >&2
}

inside() { # COMMAND...
	vcrt exec "$ID" "$@" 2>&1
}

# The mount options of what is mounted there (the topmost), as mountinfo has them.
options_of() { # DESTINATION
	D=$1 awk '$5 == ENVIRON["D"] { o = $6 } END { print o }' "$T/mountinfo"
}

# Type and options of the file system.
super_of() { # DESTINATION
	D=$1 awk '$5 == ENVIRON["D"] { sub(".* - ", ""); s = $1 " " $3 } END { print s }' "$T/mountinfo"
}

# The optional fields: "shared:1", "unbindable", or nothing.
propagation_of() { # DESTINATION
	D=$1 awk '$5 == ENVIRON["D"] { sub(" - .*", ""); p = $7 } END { print p }' "$T/mountinfo"
}

fails_inside() { # MESSAGE COMMAND...
	run inside "${@:2}"
	[ "$status" -ne 0 ] || fail "succeeded: ${*:2}" || return 1
	[[ $output == *"$1"* ]] || fail "'$output' does not say '$1'"
}

refused() { # MESSAGE
	run_container -- true
	[ "$code" -eq 1 ]
	sed 's/\\"/"/g' "$T/err" | grep -F -- "$1"
	assert_nothing_left
}

@test "mounts: file systems of the guest's kernel, also those that are modules" {
	local type
	local -a types=(ramfs securityfs bpf pstore cgroup2 binfmt_misc fusectl debugfs tracefs)

	# The tuned kernel is without the last two.
	[ "$(guest_flavour)" != tuned ] || types=("${types[@]:0:7}")
	for type in "${types[@]}"; do
		mount_in "$type" "$type" "/m/$type"
	done
	mount_in hugetlbfs huge /m/huge pagesize=2M
	mount_in mqueue mqueue /m/mqueue nosuid
	mount_in proc proc /m/proc hidepid=2
	mount_in cgroup cgroup /m/cgroup ro nosuid
	mount_in sysfs sysfs /m/sysfs ro
	start
	for type in "${types[@]}"; do
		[[ $(super_of "/m/$type") == "$type "* ]] || fail "$type: $(super_of "/m/$type")"
	done
	[[ $(super_of /m/huge) == "hugetlbfs "*pagesize=2M* ]]
	[[ $(super_of /m/proc) == "proc "*hidepid=invisible* ]]
	[[ $(super_of /m/cgroup) == "cgroup2 "* ]]
	[ "$(options_of /m/cgroup)" = ro,nosuid,relatime ]
	[ "$(options_of /m/sysfs)" = ro,relatime ]
	inside test -f /m/cgroup2/cgroup.procs
	inside test -f /m/binfmt_misc/status
	fails_inside 'Read-only file system' mkdir /m/cgroup/x
}

@test "mounts: what the guest's kernel cannot mount is an error that names the mount" {
	mount_in nosuchfs none /x
	refused 'error mounting "none" to rootfs at "/x": the guest kernel has no file system '"'nosuchfs'"
	edit '.mounts[-1] = {destination: "/x", type: "tmpfs", source: "t", options: ["nosuchoption"]}'
	refused 'error mounting "t" to rootfs at "/x": mount option '"'nosuchoption': Invalid argument"
	edit '.mounts[-1] = {destination: "/x", type: "ext4", source: "/dev/nosuch"}'
	refused 'error mounting "/dev/nosuch" to rootfs at "/x": '
}

@test "mounts: ID-mapped mounts, nonsense and the root as destination are refused by name" {
	mkdir "$T/src"
	mount_in bind "$T/src" /x bind ridmap
	refused "mounts: '/x': options: the option 'ridmap' is not supported"
	edit '.mounts[-1].options = ["bind"] | .mounts[-1] += {uidMappings: [{containerID: 0, hostID: 1, size: 1}],
		gidMappings: [{containerID: 0, hostID: 1, size: 1}]}'
	refused "mounts: '/x': uidMappings: ID-mapped mounts are not supported"
	edit '.mounts[-1] = {destination: "/..", type: "tmpfs", source: "t"}'
	refused "mounts: '/..': destination: must not be '/'"
	edit '.mounts[-1] = {destination: "/x", type: "ramfs", source: "t", options: ["tmpcopyup"]}'
	refused "mounts: '/x': options: tmpcopyup is for tmpfs mounts only"
}

@test "mounts: each option of a file system has its effect" {
	mkdir -m 2751 "$B/rootfs/there"
	mount_in tmpfs t /m/data size=1m nr_inodes=50 mode=1770 uid=5 gid=6
	mount_in tmpfs t /m/joined size=64k,mode=700
	mount_in tmpfs t /m/new
	mount_in tmpfs t /there
	mount_in tmpfs t /m/ro ro noexec nosuid nodev
	mount_in tmpfs t /m/nosymfollow nosymfollow
	mount_in tmpfs t /m/noexec noexec
	mount_in tmpfs t /m/nodev nodev
	mount_in tmpfs t /m/undone noexec exec nosuid suid nodev dev ro rw nosymfollow symfollow noatime atime
	mount_in tmpfs t /m/super sync dirsync lazytime iversion mand silent
	mount_in tmpfs t /m/plain async loud noiversion nolazytime nomand defaults
	mount_in tmpfs t /m/noatime noatime nodiratime
	mount_in tmpfs t /m/strict strictatime
	mount_in tmpfs t /m/relatime strictatime nostrictatime relatime
	mount_in tmpfs t /m/diratime nodiratime diratime norelatime
	start
	[[ $(super_of /m/data) == *size=1024k,nr_inodes=50,mode=1770,uid=5,gid=6* ]]
	[ "$(inside stat -c '%a %u %g' /m/data)" = '1770 5 6' ]
	[[ $(super_of /m/joined) == *size=64k,mode=700* ]]
	[ "$(inside stat -c %a /m/new)" = 1777 ]   # as with a native runtime
	[ "$(inside stat -c %a /there)" = 2751 ]   # that of the directory below
	[ "$(options_of /m/ro)" = ro,nosuid,nodev,noexec,relatime ]
	fails_inside 'Read-only file system' touch /m/ro/x
	inside cp /bin/busybox /m/noexec/busybox
	fails_inside 'Permission denied' sh -c '/m/noexec/busybox true'
	inside mknod -m 666 /m/nodev/null c 1 3
	fails_inside 'Permission denied' cat /m/nodev/null
	inside mknod -m 666 /m/undone/null c 1 3
	inside cat /m/undone/null
	inside ln -s /etc/passwd /m/nosymfollow/link
	fails_inside 'Too many' cat /m/nosymfollow/link
	inside ln -s /etc/passwd /m/undone/link
	inside cat /m/undone/link
	[ "$(options_of /m/undone)" = rw,relatime ]
	[[ $(super_of /m/super) == "tmpfs rw,sync,dirsync,"*lazytime* ]]
	[[ $(super_of /m/plain) != *sync* && $(super_of /m/plain) != *lazytime* ]]
	[ "$(options_of /m/noatime)" = rw,noatime,nodiratime ]
	[ "$(options_of /m/strict)" = rw ]
	[ "$(options_of /m/relatime)" = rw,relatime ]
	[ "$(options_of /m/diratime)" = rw,relatime ]
}

@test "mounts: a bind and the host's mounts below it" {
	local d

	host_mount "$T/src"
	host_mount "$T/src/sub"
	host_mount "$T/src/sub/deep dir" noexec
	echo sub >"$T/src/sub/file"
	cp /bin/busybox "$T/src/sub/deep dir/true"
	mount_in bind "$T/src" /m/bind bind
	mount_in bind "$T/src" /m/rbind rbind
	mount_in bind "$T/src" /m/ro rbind ro
	mount_in bind "$T/src" /m/rro rbind rro
	mount_in bind "$T/src" /m/rrw rbind ro rrw
	mount_in bind "$T/src" /m/all rbind rnosuid rnodev rnoexec rnoatime rnodiratime rnosymfollow
	mount_in bind "$T/src" /m/some rbind nosuid nodev noatime
	mount_in bind "$T/src" /m/undo rbind nosuid rsuid nodev rdev noexec rexec noatime ratime nosymfollow rsymfollow
	mount_in bind "$T/src" /m/strict rbind rstrictatime
	mount_in bind "$T/src" /m/relatime rbind rstrictatime rrelatime
	mount_in bind "$T/src" /m/rshared rbind rshared
	mount_in bind "$T/src" /m/shared rbind shared
	mount_in bind "$T/src" /m/rslave rbind rshared rslave
	mount_in bind "$T/src" /m/rprivate rbind rshared rprivate
	mount_in bind "$T/src" /m/unbindable bind unbindable
	mount_in bind "$T/src" /m/runbindable rbind runbindable
	start

	[ -z "$(inside ls -A /m/bind/sub)" ]
	[ -z "$(options_of /m/bind/sub)" ]
	for d in rbind ro rro rrw all some undo strict relatime rshared shared rslave rprivate runbindable; do
		[ "$(inside cat "/m/$d/sub/file")" = sub ]
	done
	[ "$(options_of /m/rbind/sub)" = rw,relatime ]
	[ "$(options_of '/m/rbind/sub/deep\040dir')" = rw,noexec,relatime ]
	fails_inside 'Permission denied' sh -c '"/m/rbind/sub/deep dir/true"'

	# "ro" is about the mount, "rro" about all of them.
	fails_inside 'Read-only file system' touch /m/ro/x
	inside touch /m/ro/sub/written
	[ -f "$T/src/sub/written" ]
	for d in /m/rro /m/rro/sub '/m/rro/sub/deep dir'; do
		fails_inside 'Read-only file system' touch "$d/x"
	done
	[ "$(options_of /m/rro/sub)" = ro,relatime ]
	inside touch /m/rrw/x /m/rrw/sub/x
	[ "$(options_of /m/rrw)" = rw,relatime ]

	for d in /m/all /m/all/sub '/m/all/sub/deep\040dir'; do
		[ "$(options_of "$d")" = rw,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow ]
	done
	[ "$(options_of /m/some)" = rw,nosuid,nodev,noatime ]
	[ "$(options_of /m/some/sub)" = rw,relatime ]
	[ "$(options_of /m/undo)" = rw,relatime ]
	[ "$(options_of '/m/undo/sub/deep\040dir')" = rw,relatime ]
	[ "$(options_of /m/strict)" = rw ]
	[ "$(options_of /m/strict/sub)" = rw ]
	[ "$(options_of /m/relatime/sub)" = rw,relatime ]

	[[ $(propagation_of /m/rshared/sub) == shared:* ]]
	[[ $(propagation_of /m/shared) == shared:* ]]
	[ -z "$(propagation_of /m/shared/sub)" ]
	[ -z "$(propagation_of /m/rslave/sub)" ]
	[ -z "$(propagation_of /m/rprivate)" ]
	[ "$(propagation_of /m/unbindable)" = unbindable ]
	[ "$(propagation_of /m/runbindable/sub)" = unbindable ]
}

@test "mounts: a bind has the flags of the mount that it is made from, unless it clears them" {
	host_mount "$T/src" nosuid,nodev,noexec,ro
	mount_in bind "$T/src" /kept bind
	mount_in bind "$T/src" /cleared bind suid dev exec
	start
	[ "$(options_of /kept)" = ro,nosuid,nodev,noexec,relatime ]
	[ "$(options_of /cleared)" = ro,relatime ]
	fails_inside 'Read-only file system' touch /kept/x
}

@test "mounts: sources of binds: files, devices, links, in the bundle; and what the host changes later" {
	mkdir "$T/dir" "$B/data"
	echo in-bundle >"$B/data/file"
	echo single >"$T/single"
	ln -s dir "$T/link"
	ln -s single "$T/filelink"
	echo of-dir >"$T/dir/file"
	mount_in bind data /m/relative rbind
	mount_in bind "$T/link" /m/link rbind
	mount_in bind "$T/filelink" /m/filelink bind
	mount_in bind "$T/single" /m/single bind ro
	mount_in bind /dev/null /m/null bind
	mount_in bind /dev/zero /dev/zero bind
	start
	[ "$(inside cat /m/relative/file /m/link/file /m/filelink /m/single)" = \
		$'in-bundle\nof-dir\nsingle\nsingle' ]
	inside sh -c 'echo lost >/m/null'
	[ "$(inside head -c 4 /dev/zero | od -A n -t x1)" = ' 00 00 00 00' ]
	fails_inside 'Read-only file system' sh -c 'echo x >/m/single'

	# Rewritten in place it is the same file; another one under its name is not what was bound.
	echo rewritten >"$T/single"
	[ "$(inside cat /m/single)" = rewritten ]
	echo another >"$T/new"
	mv "$T/new" "$T/single"
	[ "$(inside cat /m/single)" = rewritten ]
	mkdir "$T/dir/later"
	touch "$T/dir/later/x"
	[ "$(inside ls /m/link/later)" = x ]
}

@test "mounts: sources that are missing, or that no VM can reach, are refused" {
	mount_in bind "$T/missing" /x bind
	refused "error mounting \"$T/missing\" to rootfs at \"/x\": stat $T/missing: no such file or directory"
	mkfifo "$T/fifo"
	edit --arg s "$T/fifo" '.mounts[-1].source = $s'
	refused "error mounting \"$T/fifo\" to rootfs at \"/x\": a FIFO of the host cannot be reached"
	/usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$T/socket"
	edit --arg s "$T/socket" '.mounts[-1].source = $s'
	refused "error mounting \"$T/socket\" to rootfs at \"/x\": a socket of the host cannot be reached"
}

@test "mounts: destinations are made, and found through links, but never outside of the root" {
	local long

	mkdir -p "$T/dir" "$B/rootfs/real" "$B/rootfs/outer/inner"
	echo file >"$T/dir/file"
	ln -s /real "$B/rootfs/absolute"
	ln -s real "$B/rootfs/linked"
	ln -s ../../../../../"$T" "$B/rootfs/upwards"
	ln -s /made/by/link "$B/rootfs/dangling"
	ln -s loop "$B/rootfs/loop"
	long=/$(printf 'd%.0s' {1..200})
	long=$long$long$long$long$long$long$long$long
	mount_in bind "$T/dir" /new/dir/tory rbind
	mount_in bind "$T/dir/file" /new/file bind
	mount_in bind "$T/dir" /absolute/a rbind
	mount_in bind "$T/dir" /linked rbind
	mount_in bind "$T/dir" /upwards/b rbind
	mount_in bind "$T/dir" /dangling rbind
	mount_in bind "$T/dir" /../../out rbind
	mount_in bind "$T/dir" relative/one rbind
	mount_in bind "$T/dir" /slashes// rbind
	mount_in bind "$T/dir" "$long" rbind
	# One over the other, in the order of config.json.
	mount_in tmpfs t /outer mode=711
	mount_in tmpfs t /outer/inner mode=722
	mount_in tmpfs t /outer/inner mode=733
	mount_in tmpfs t /dev/extra mode=744
	start
	for d in /new/dir/tory /real "$T/b" /made/by/link /out /relative/one /slashes "$long"; do
		[ "$(inside cat "$d/file")" = file ] || fail "$d"
	done
	[ "$(inside cat /new/file)" = file ]
	[ ! -e "$T/b" ]
	[ ! -e /out ]
	[ "$(inside stat -c %a /outer /outer/inner /dev/extra)" = $'711\n733\n744' ]
	warnings_of "$ID" | grep -q "the destination 'relative/one' is not absolute"
	vcrt delete --force "$ID"

	edit '.mounts = .mounts[:7]'
	mount_in bind "$T/dir" /loop/x rbind
	refused 'error mounting to rootfs at "/loop/x"'
}

@test "mounts: a file is not mounted on a directory, nor a directory on a file" {
	mkdir "$T/dir"
	echo x >"$T/file"
	mount_in bind "$T/file" /tmp bind
	refused 'error mounting to rootfs at "/tmp": a file cannot be mounted on a directory'
	edit --arg s "$T/dir" '.mounts[-1] |= (.source = $s | .destination = "/etc/passwd")'
	refused 'error mounting to rootfs at "/etc/passwd": open '"'/etc/passwd': Not a directory"
}

@test "mounts: tmpcopyup starts with what it covers" {
	local d=$B/rootfs/full

	mkdir -m 1750 "$d"
	echo content >"$d/file"
	chown 3:4 "$d/file"
	chmod 4751 "$d/file"
	ln -s nowhere "$d/link"
	mkfifo -m 640 "$d/fifo"
	mknod -m 604 "$d/null" c 1 3
	mkdir -m 1711 "$d/dir"
	chown 7:8 "$d/dir"
	head -c 3000000 /dev/urandom >"$d/dir/big"
	mount_in tmpfs tmpfs /full tmpcopyup size=8m
	start
	[ "$(inside stat -c '%a %u %g %F' /full /full/file /full/dir /full/fifo)" = '1750 0 0 directory
4751 3 4 regular file
1711 7 8 directory
640 0 0 fifo' ]
	[ "$(inside readlink /full/link)" = nowhere ]
	[ "$(inside stat -c '%a %t:%T' /full/null)" = 604\ 1:3 ]
	[ "$(inside md5sum </dev/null /full/dir/big | cut -d ' ' -f 1)" = "$(md5sum <"$d/dir/big" | cut -d ' ' -f 1)" ]
	inside rm -r /full/dir /full/file
	inside touch /full/new
	[ -f "$d/dir/big" ]
	[ ! -e "$d/new" ]
}

@test "mounts: a remount changes what it names and nothing else" {
	mkdir "$T/dir"
	mount_in bind "$T/dir" /b bind nosuid nodev
	mount_in none none /b bind remount ro
	mount_in tmpfs t /t size=1m nosuid
	mount_in tmpfs t /t remount size=2m nosuid noexec
	mount_in none none /proc remount bind noexec
	start
	[ "$(options_of /b)" = ro,nosuid,nodev,relatime ]
	fails_inside 'Read-only file system' touch /b/x
	[ "$(options_of /t)" = rw,nosuid,noexec,relatime ]
	[[ $(super_of /t) == *size=2048k* ]]
	[ "$(options_of /proc)" = rw,noexec,relatime ]
}

@test "mounts: an overlay of directories of the host" {
	mkdir "$T"/{lower,upper,work}
	echo lower >"$T/lower/file"
	echo gone >"$T/lower/gone"
	mount_in overlay overlay /o "lowerdir=$T/lower" "upperdir=$T/upper" "workdir=$T/work" nosuid
	start
	[ "$(options_of /o)" = rw,nosuid,relatime ]
	[ "$(inside cat /o/file)" = lower ]
	inside sh -c 'echo changed >/o/file; echo new >/o/new; rm /o/gone'
	[ "$(inside ls /o)" = $'file\nnew' ]
	[ "$(cat "$T/lower/file")" = lower ]
	[ "$(cat "$T/upper/file" "$T/upper/new")" = $'changed\nnew' ]
	vcrt delete --force "$ID"

	edit --arg l "lowerdir=$T/missing" '.mounts[-1].options[0] = $l'
	refused 'error mounting "overlay" to rootfs at "/o": mount an overlay with '
}

@test "mounts: masked and read-only paths: files, directories, links, missing, below mounts" {
	mkdir -p "$T/dir/sub" "$B/rootfs/etc/dir" "$B/rootfs/data/below"
	echo secret | tee "$T/dir/file" "$T/dir/sub/file" "$B/rootfs/etc/secret" "$B/rootfs/etc/dir/file"
	ln -s secret "$B/rootfs/etc/link"
	ln -s dir "$B/rootfs/etc/dirlink"
	mount_in bind "$T/dir" /m rbind
	mount_in tmpfs t /data/below
	edit '.linux.maskedPaths = ["/etc/link", "/etc/dirlink", "/m/file", "/missing", "/etc/passwd/x", "/m/sub"] |
		.linux.readonlyPaths = ["/etc/group", "/data", "/missing/too", "/m"]'
	echo g >"$B/rootfs/etc/group"
	start
	[ -z "$(inside cat /etc/secret /m/file)" ]
	[ -z "$(inside ls -A /etc/dir /m/sub | sed '/:$/d')" ]
	fails_inside 'Read-only file system' touch /m/sub/x
	fails_inside 'Read-only file system' touch /m/x
	fails_inside 'Read-only file system' sh -c 'echo x >/etc/group'
	fails_inside 'Read-only file system' touch /data/x
	inside touch /data/below/x # a mount of its own, as with a native runtime
	[ "$(cat "$T/dir/file" "$B/rootfs/etc/secret")" = $'secret\nsecret' ]
}

@test "mounts: a bind of shared memory is shared memory of the guest, of its size" {
	host_mount "$T/shm" size=3m
	touch "$T/shm/of-the-host"
	edit --arg s "$T/shm" '(.mounts[] | select(.destination == "/dev/shm")) |=
		{destination: "/dev/shm", type: "bind", source: $s, options: ["rbind", "rprivate"]}'
	start
	[[ $(super_of /dev/shm) == "tmpfs "*size=3072k* ]]
	[ "$(options_of /dev/shm)" = rw,nosuid,nodev,noexec,relatime ]
	[ "$(inside stat -c %a /dev/shm)" = 1777 ]
	inside touch /dev/shm/of-the-guest
	[ "$(inside ls /dev/shm)" = of-the-guest ]
	[ "$(ls "$T/shm")" = of-the-host ]
}

@test "mounts: more of them than descriptors fit into a message" {
	local i

	mkdir "$T/src"
	for i in {1..600}; do
		mkdir "$T/src/$i"
	done
	touch "$T/src/600/last"
	edit --arg s "$T/src" '.mounts += [range(1; 601) | {destination: "/many/\(.)", type: "bind",
		source: "\($s)/\(.)", options: ["rbind"]}]'
	run_container -- sh -c 'grep -c " /many/" /proc/self/mountinfo; ls /many/600'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = $'600\nlast' ]
	assert_nothing_left
}
