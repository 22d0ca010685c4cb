#!/usr/bin/env bats
# The root file system and bind mounts: what the container and the host see of each other's files.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2094,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "files: what the container writes is on the host when it stops, with owner and mode" {
	edit '.process.capabilities |= map_values(. + ["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID"])'
	run_container -- sh -c 'echo content >/file; chmod 640 /file; chown 12:34 /file
		mkdir -m 1750 /dir; ln -s target /link; ln /file /hard
		chmod 4711 /dir; : >/empty; rm /etc/group; mv /etc/passwd /etc/moved
		dd if=/dev/zero of=/big bs=1M count=3 2>/dev/null'
	[ "$code" -eq 0 ]
	cd "$B/rootfs"
	[ "$(cat file)" = content ]
	[ "$(stat -c '%a %u:%g %h' file)" = '640 12:34 2' ]
	[ "$(stat -c '%a %F' dir)" = '4711 directory' ]
	[ "$(readlink link)" = target ]
	[ "$(stat -c %i file)" = "$(stat -c %i hard)" ]
	[ "$(stat -c %s empty)" = 0 ]
	[ "$(stat -c %s big)" = 3145728 ]
	[ ! -e etc/group ]
	[ -f etc/moved ]
	cd "$T"
	assert_nothing_left
}

@test "files: a bind mount of a directory, of a file, read-only, and through links" {
	mkdir -p "$T/dir/sub" "$B/rootfs/real"
	echo from-host >"$T/dir/sub/file"
	echo single >"$T/single"
	ln -s dir "$T/dirlink"
	ln -s real "$B/rootfs/destlink"
	ln -s /etc/../../../../real "$B/rootfs/upwards"
	mkdir "$B/rootfs/real/deep"
	mount_in bind "$T/dir" /rw rbind rw
	mount_in bind "$T/dir" /ro bind ro
	mount_in bind "$T/single" /etc/single bind
	mount_in bind "$T/single" /etc/single-ro bind ro
	mount_in bind "$T/dirlink" /through-link rbind
	mount_in bind "$T/dir" /destlink/a rbind
	mount_in bind "$T/dir" /upwards/b rbind
	mount_in none "$T/dir" /typeless rbind rw
	start_container "$ID" sleep 1000

	[ "$(vcrt exec "$ID" cat /rw/sub/file)" = from-host ]
	[ "$(vcrt exec "$ID" cat /ro/sub/file)" = from-host ]
	[ "$(vcrt exec "$ID" cat /etc/single /etc/single-ro)" = $'single\nsingle' ]
	[ "$(vcrt exec "$ID" cat /through-link/sub/file)" = from-host ]
	[ "$(vcrt exec "$ID" cat /real/a/sub/file /real/b/sub/file /typeless/sub/file)" = \
		$'from-host\nfrom-host\nfrom-host' ]

	vcrt exec "$ID" sh -c 'echo new >/rw/new; echo changed >/etc/single'
	[ "$(cat "$T/dir/new")" = new ]
	[ "$(cat "$T/single")" = changed ]
	run vcrt exec "$ID" sh -c 'echo no >/ro/no'
	[ "$status" -ne 0 ]
	[[ $output == *'Read-only file system'* ]]
	run vcrt exec "$ID" sh -c 'echo no >/etc/single-ro'
	[ "$status" -ne 0 ]
	[[ $output == *'Read-only file system'* ]]
	run vcrt exec "$ID" rm /ro/sub/file
	[ "$status" -ne 0 ]
	[ ! -e "$T/dir/no" ]
	[ "$(cat "$T/single")" = changed ]

	# What the host changes is seen at once: "docker cp", rewritten resolv.conf and the like.
	echo later >"$T/dir/sub/file"
	[ "$(vcrt exec "$ID" cat /rw/sub/file)" = later ]
	echo in-place >"$T/single"
	[ "$(vcrt exec "$ID" cat /etc/single)" = in-place ]
	echo added >"$B/rootfs/added"
	[ "$(vcrt exec "$ID" cat /added)" = added ]
	rm "$T/dir/sub/file"
	run vcrt exec "$ID" cat /rw/sub/file
	[ "$status" -eq 1 ]

	vcrt delete --force "$ID"
	assert_nothing_left
	[ -f "$T/dir/new" ] # the source is not part of what is removed
}

@test "files: a read-only root file system" {
	mkdir "$B/rootfs/data" "$T/data"
	edit '.root.readonly = true'
	mount_in bind "$T/data" /data rbind rw
	run_container -- sh -c 'echo x >/file; echo y >/data/file; echo z >/dev/shm/file && cat /dev/shm/file'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = z ]
	grep -q "can't create /file: Read-only file system" "$T/err"
	[ ! -e "$B/rootfs/file" ]
	[ "$(cat "$T/data/file")" = y ]
}

@test "files: an absolute rootfs, the current directory as bundle" {
	edit --arg r "$B/rootfs" '.root.path = $r | .process.args = ["pwd"] | .process.cwd = "/tmp"'
	cd "$B"
	[ "$(vcrt run "$ID" </dev/null)" = /tmp ]
	cd "$T"
	assert_nothing_left
}

@test "files: a rootfs that is a mount of its own can be unmounted once delete has returned" {
	mkdir "$T/mount"
	mount -t tmpfs none "$T/mount"
	cp -a "$B/rootfs/." "$T/mount"
	edit --arg r "$T/mount" '.root.path = $r'
	mkdir "$T/mount/inner"
	mount -t tmpfs none "$T/mount/inner"
	touch "$T/mount/inner/file"
	run_container -- ls /inner
	umount "$T/mount/inner"
	umount "$T/mount"
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = file ]
	assert_nothing_left
}

@test "files: links in the rootfs do not lead out of it" {
	echo secret >"$T/secret"
	ln -s "$T" "$B/rootfs/escape"
	ln -s /../../../../.. "$B/rootfs/top"
	mkdir "$T/source"
	mount_in bind "$T/source" /escape/planted rbind
	mount_in bind "$T/source" /top/planted2 rbind
	run_container -- sh -c 'cat /escape/secret; ls -d /planted2'
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = /planted2 ]
	[ ! -e "$T/planted" ]
	[ ! -e /planted2 ]
}
