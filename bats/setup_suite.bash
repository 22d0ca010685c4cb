# shellcheck shell=bash
# Once for all files: the busybox root file system that every test's bundle is copied from, and the
# template of the VMs, if they are to start from one.

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
	[ -z "${VCRT_TEMPLATE:-}" ] || make_template
}

make_template() {
	# shellcheck source=bats/helpers.bash
	. "$BATS_TEST_DIRNAME/helpers.bash"
	VCRT=$(realpath "${VCRT:-$(type -P vcrt)}")
	export VCRT_TEMPLATES=$BATS_SUITE_TMPDIR/templates
	T=$BATS_SUITE_TMPDIR RUN=$T/run
	configure memory 512
	"$VCRT" --config "$T/config.json" --root "$T/root" template create
}
