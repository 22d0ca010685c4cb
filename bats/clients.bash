# shellcheck shell=bash
# What the tests of container engines share. A file has one directory, one ID and one engine with
# sockets and data of its own, on which no other engine of the machine has any influence; a test's
# containers are all that come and go in it. After helpers.bash, whose setup and teardown these are:
#   setup_file     client_setup_file; then the engine is started with start_daemon
#   setup, teardown
#   remove_all     of the file: end and remove every container, however the test has ended
#   teardown_file  client_teardown_file
# Exported: $T (the directory), $ID, $ROOT, $RUN, $RUNTIME (a program that is vcrt with $T's
# configuration). Networks do not reach the guest, so every container has none.
# shellcheck disable=SC2034,SC2154 # the files use them

CLIENT_LIMIT=60 # seconds, for each call of a client

client_setup_file() { # ROOT, below the file's directory: where the client has vcrt keep its state
	T=$(mktemp -d /tmp/vb.XXXXXX)
	ID=t${T##*.} ROOT=$T/$1 RUN=$T/run/sandboxes RUNTIME=$T/bin/vcrt
	VCRT=$(realpath "${VCRT:-$(type -P vcrt)}")
	export T ID ROOT RUN RUNTIME VCRT
	# One engine serves all tests of the file, and their containers have the same names.
	export BATS_NO_PARALLELIZE_WITHIN_FILE=true
	mkdir -p "$T/bin" "$T/daemons"
	configure memory 512
	# Engines cannot pass options to a runtime, or only some of them.
	printf '#!/bin/sh\nexec %s --config %s/config.json "$@"\n' "$VCRT" "$T" >"$RUNTIME"
	chmod 755 "$RUNTIME"
}

# Start a daemon, and wait until a command succeeds. It ends with the file.
start_daemon() { # NAME COMMAND... -- READY-COMMAND...
	local name=$1
	local -a daemon=()

	shift
	while [ "$1" != -- ]; do
		daemon+=("$1")
		shift
	done
	# The mark that pids_of_test looks for: engines hand it on. The tests' own shells have none.
	VCRT_BATS_TEST=$T setsid "${daemon[@]}" </dev/null >>"$T/$name.log" 2>&1 3>&- &
	echo "$!" >"$T/daemons/$name"
	wait_until 60 "${@:2}" >/dev/null 2>&1 || {
		tail "$T/$name.log" >&2
		return 1
	}
}

# End it as its service manager would, and wait.
stop_daemon() { # NAME
	local pid

	pid=$(cat "$T/daemons/$1")
	kill "$pid" || true
	wait_until 30 is_gone "$pid" || kill -9 "$pid"
	rm "$T/daemons/$1"
}

# What is there without a container stays for the whole file.
remember_engine() {
	grep -F " $T/" /proc/self/mountinfo | cut -d ' ' -f 5 >"$T/mounts" || true
	engine_pids >"$T/engine"
}

engine_pids() {
	local file

	for file in "$T"/daemons/*; do
		[ ! -f "$file" ] || descendants "$(cat "$file")"
	done
}

descendants() { # PID
	local child
	local -a children

	echo "$1"
	read -r -d '' -a children < <(cat "/proc/$1/task"/*/children 2>/dev/null) || true
	for child in "${children[@]}"; do
		descendants "$child"
	done
}

client_teardown_file() {
	local file status=0

	[[ ${T:-} == /tmp/vb.?????? && -d $T ]] || return 0
	for file in "$T"/daemons/*; do
		[ ! -f "$file" ] || stop_daemon "${file##*/}" || status=1
	done
	: >"$T/engine"
	: >"$T/mounts"
	[ -z "$(pids_of_test)" ] || wait_until 10 no_process_left || status=1
	[ "$status" = 0 ] || sweep
	grep -F " $T/" /proc/self/mountinfo | cut -d ' ' -f 5 | sort -r | xargs -r umount -l || status=1
	remove_cgroups || status=1
	rm -rf --one-file-system "$T" || status=1
	return "$status"
}

# Where no controller is mounted, Podman makes plain directories and files.
remove_cgroups() {
	local dir

	for dir in /sys/fs/cgroup/"${ID:?}" /sys/fs/cgroup/*/"${ID:?}"; do
		[ -d "$dir" ] || continue
		if [ "$(stat -f -c %T "$dir")" = tmpfs ]; then
			rm -r "$dir"
		else
			find "$dir" -depth -type d -exec rmdir {} +
		fi || return 1
	done
}

no_process_left() {
	[ -z "$(pids_of_test)" ]
}

setup() {
	# shellcheck disable=SC2034
	BACKGROUND=() HOST_MOUNTS=()
	cd "$T" || return 1
}

teardown() {
	local status=0

	record_processes
	remove_all || status=1
	end_background
	# Clients end a shim or a monitor of their own after they have answered.
	wait_until 10 nothing_left 2>/dev/null || assert_nothing_left || status=1
	[ "$status" = 0 ] || sweep
	rm -f "$T/pids"
	return "$status"
}

nothing_left() {
	assert_nothing_left 2>/dev/null
}

# These replace those of helpers.bash: the engine is not something that is left.
eval "every_$(declare -f living)"
living() { # PATHS
	every_living "$1" | grep -vxF -f "$T/engine" || true
}

mounts_left() {
	awk -v dir="$T/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo |
		grep -vxF -f "$T/mounts" | sed 's/^/mount /' || true
}

cgroups_left() {
	# Podman keeps a group for all of its monitors.
	find_cgroups -path "*/${ID:?}/*" ! -name conmon -printf 'cgroup %p\n'
}

# Files of the busybox root file system, as a tar archive.
rootfs_tar() {
	tar -C "$BATS_SUITE_TMPDIR/rootfs" -c .
}
