# shellcheck shell=bash
# Once for all files: the busybox root file system that every test's bundle is copied from.

setup_suite() {
	local rootfs=$BATS_SUITE_TMPDIR/rootfs

	mkdir -p "$rootfs"/{bin,dev,etc,proc,root,sys,tmp,usr/bin}
	chmod 1777 "$rootfs/tmp"
	cp /bin/busybox "$rootfs/bin/busybox"
	chroot "$rootfs" /bin/busybox --install -s /bin
	echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
	echo 'root:x:0:' >"$rootfs/etc/group"
	# Long-running tests must not inherit what our caller happens to have set.
	unset NOTIFY_SOCKET LISTEN_FDS LISTEN_PID XDG_RUNTIME_DIR
}
