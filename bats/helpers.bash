# shellcheck shell=bash
# What every integration test uses. Each test has a directory $T of its own with $ROOT (state),
# $RUN (sandboxes) and $B (a busybox bundle), and an $ID; containers are named $ID or $ID-more.
# From the environment:
#   VCRT                      the program (default: vcrt in PATH)
#   VCRT_KERNEL, VCRT_INITRD  the guest (default: what the program uses by itself)
#   VCRT_ACCEL                kvm or tcg (default), or auto
#   VCRT_SHARED_FS            9p or virtiofs (default: what the program uses by itself)
#   VCRT_TEMPLATE             1: VMs start from a template where they can, in place of booting
#   VCRT_TEST_STRICT          1: a test that cannot run fails in place of being skipped

bats_require_minimum_version 1.5.0

LIMIT=90 # seconds, for each call of vcrt

setup() {
	unset T ID
	VCRT=${VCRT:-$(type -P vcrt)}
	[ -x "$VCRT" ] || fail "there is no vcrt in PATH, and VCRT does not name it" || return 1
	VCRT=$(realpath "$VCRT")
	T=$(mktemp -d /tmp/vb.XXXXXX)
	ROOT=$T/root RUN=$T/run/sandboxes B=$T/bundle
	ID=t${T##*.}
	BACKGROUND=() HOST_MOUNTS=()
	VCRT_ARGS=(--config "$T/config.json" --root "$ROOT")
	# Every process that the test starts has this in its environment.
	export VCRT_BATS_TEST=$T
	cd "$T" || return 1
	configure memory 512
	make_bundle "$B"
}

# Nothing is searched for, killed or removed without this: with an empty name, all would match.
is_set_up() {
	[[ ${T:-} == /tmp/vb.?????? && -d $T && ${ID:-} == t?????? ]]
}

teardown() {
	local status=0 i

	is_set_up || return 1 # setup failed: there is nothing to take down
	record_processes
	delete_all || status=1
	# Each must have been let go.
	for ((i = ${#HOST_MOUNTS[@]} - 1; i >= 0; i--)); do
		umount "${HOST_MOUNTS[i]}" || status=1
	done
	end_background
	assert_nothing_left || status=1
	[ "$status" = 0 ] || sweep
	cd / || return 1
	rm -rf --one-file-system "$T" || status=1
	return "$status"
}

# --- The program ---------------------------------------------------------------------------------

vcrt() {
	timeout --foreground -k 5 "$LIMIT" "$VCRT" "${VCRT_ARGS[@]}" "$@"
}

# Write the configuration; NAME VALUE pairs (VALUE is JSON) go on top.
configure() {
	local json

	json=$(jq -n --arg run "$RUN" --arg accel "${VCRT_ACCEL:-tcg}" '{runtime_dir: $run, accel: $accel}')
	[ -z "${VCRT_KERNEL:-}" ] || json=$(jq --arg v "$VCRT_KERNEL" '.kernel = $v' <<<"$json")
	[ -z "${VCRT_INITRD:-}" ] || json=$(jq --arg v "$VCRT_INITRD" '.initrd = $v' <<<"$json")
	[ -z "${VCRT_SHARED_FS:-}" ] || json=$(jq --arg v "$VCRT_SHARED_FS" '.shared_fs = $v' <<<"$json")
	# setup_suite.bash has made it.
	# shellcheck disable=SC2153
	if [ -n "${VCRT_TEMPLATE:-}" ]; then
		set -- template '"manual"' template_dir "\"$VCRT_TEMPLATES\"" "$@"
	else
		set -- template '"off"' "$@"
	fi
	set -- vmm_preload "\"$(private_file)\"" "$@"
	while [ $# -gt 0 ]; do
		json=$(jq --arg k "$1" --argjson v "$2" '.[$k] = $v' <<<"$json")
		shift 2
	done
	echo "$json" >"$T/config.json"
}

# The library that the VMMs of clones load: beside the program, if it was not installed.
private_file() {
	local built=${VCRT%/cmd/vcrt}/hypervisor/vcrt-private-file.so

	[ -e "$built" ] || built=$(ls /usr/local/lib/*/vcrt/vcrt-private-file.so)
	realpath "$built"
}

# The value of a configuration key, as the program uses it.
configured() {
	vcrt env | sed -n "s/^config\.$1 = //p"
}

# Which of the two kernels the guest has; see build.sh.
guest_flavour() {
	jq -r .flavour "$(dirname "$(configured kernel)")/image.json"
}

# Skip, or fail where everything must be tested, unless the programs are there.
needs() {
	local tool

	for tool in "$@"; do
		command -v "$tool" >/dev/null && continue
		cannot_test "'$tool' is missing"
	done
}

cannot_test() { # REASON
	[ "${VCRT_TEST_STRICT:-}" != 1 ] || fail "$1" || return 1
	skip "$1"
}

fail() {
	echo "$*" >&2
	return 1
}

# --- Bundles -------------------------------------------------------------------------------------

make_bundle() { # DIR
	mkdir -p "$1"
	cp -a "$BATS_SUITE_TMPDIR/rootfs" "$1/rootfs"
	"$VCRT" spec --bundle "$1"
	edit_in "$1" '.process.terminal = false | .root.readonly = false | .process.args = ["true"]'
}

edit_in() { # DIR JQ-ARGUMENT...
	local dir=$1

	shift
	jq "$@" "$dir/config.json" >"$dir/config.new"
	mv "$dir/config.new" "$dir/config.json"
}

# Put descriptors.c into the container.
with_program() {
	needs cc
	cc -D_GNU_SOURCE -O -static -o "$B/rootfs/bin/descriptors" "$BATS_TEST_DIRNAME/descriptors.c"
}

# Change the bundle's config.json.
edit() { # JQ-ARGUMENT...
	edit_in "$B" "$@"
}

# What the container runs.
args() { # ARGUMENT...
	jq '.process.args = $ARGS.positional' "$B/config.json" --args -- "$@" >"$B/config.new"
	mv "$B/config.new" "$B/config.json"
}

# Add a mount.
mount_in() { # TYPE SOURCE DESTINATION OPTION...
	local type=$1 source=$2 destination=$3

	shift 3
	jq --arg t "$type" --arg s "$source" --arg d "$destination" \
		'.mounts += [{type: $t, source: $s, destination: $d, options: $ARGS.positional}]' \
		"$B/config.json" --args -- "$@" >"$B/config.new"
	mv "$B/config.new" "$B/config.json"
}

# The namespaces of config.json: a type, or TYPE=PATH.
namespaces() { # NAMESPACE...
	edit --argjson n "$(jq -n '[$ARGS.positional[] | split("=") | {type: .[0], path: .[1]} |
		del(.[] | nulls)]' --args -- "$@")" '.linux.namespaces = $n'
}

# Mount a tmpfs of the host, which the teardown unmounts.
host_mount() { # DIRECTORY [OPTIONS]
	mkdir -p "$1"
	mount -t tmpfs -o "${2:-rw}" none "$1"
	HOST_MOUNTS+=("$1")
}

# --- Containers ----------------------------------------------------------------------------------

# Run to the end: standard output in $T/out, standard error in $T/err, exit status in $code.
# shellcheck disable=SC2034 # the tests use it
run_container() { # [OPTION...] [-- ARGUMENT...]
	local -a options=()

	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	[ $# -le 1 ] || args "${@:2}"
	code=0
	vcrt run --bundle "$B" "${options[@]}" "$ID" >"$T/out" 2>"$T/err" || code=$?
	cat "$T/out" "$T/err" >&2
}

# Containers ID-1 to ID-COUNT, all run at the same time: each has its own input, output and status.
# Their standard error, for the caller to look at, is $T/err1 and so on, less the line that is theirs.
run_at_once() { # COUNT
	local i
	local -a pids=()

	args sh -c 'read -r n; echo "output of $n"; echo "error of $n" >&2; exit $n'
	for ((i = 1; i <= $1; i++)); do
		(
			code=0
			echo "$i" | vcrt run --bundle "$B" "$ID-$i" >"$T/out$i" 2>"$T/all$i" || code=$?
			echo "$code" >"$T/code$i"
		) 3>&- &
		pids[i]=$!
	done
	wait "${pids[@]}"
	tail -n 3 "$T"/all* "$T"/code* >&2
	for ((i = 1; i <= $1; i++)); do
		[ "$(cat "$T/out$i")" = "output of $i" ] || return 1
		[ "$(cat "$T/code$i")" = "$i" ] || return 1
		[ "$(grep -cxF "error of $i" "$T/all$i")" -eq 1 ] || return 1
		grep -vxF "error of $i" "$T/all$i" >"$T/err$i" || [ ! -s "$T/err$i" ]
	done
}

# A container that goes on in the background; its output is in $T/ID.out and $T/ID.err.
start_container() { # ID ARGUMENT...
	args "${@:2}"
	vcrt run -d --bundle "$B" "$1" </dev/null >"$T/$1.out" 2>"$T/$1.err"
}

create_container() { # ID [OPTION...]
	vcrt create --bundle "$B" "${@:2}" "$1" </dev/null >"$T/$1.out" 2>"$T/$1.err"
}

# Start a program, whose end the teardown brings about; its pid is $! then. "background vcrt" would
# be a subshell, which does not pass on signals: "$VCRT" "${VCRT_ARGS[@]}" is the program itself.
background() {
	"$@" 3>&- &
	BACKGROUND+=($!)
}

# End those that run. The pid of one that was waited for may be somebody else's by now.
end_background() {
	local pid

	for pid in "${BACKGROUND[@]}"; do
		[[ $'\n'$(jobs -r -p)$'\n' != *$'\n'$pid$'\n'* ]] || kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

# Wait for a program that was started so for at most so many seconds; its exit status.
wait_for() { # SECONDS PID
	wait_until "$1" is_gone "$2" || return 255
	wait "$2"
}

# What the start of a detached container has warned of.
warnings_of() { # ID
	grep -h level=warning "$RUN/$1"-*/monitor.log
}

status_of() { # ID
	vcrt state "$1" | jq -r .status
}

# The pid of a container's shim, monitor, vmm or virtiofsd, as published.
pid_of() { # shim|monitor|vmm|virtiofsd ID
	jq -e -r ".vcrt.$1.pid | select(. > 0)" "$ROOT/$2/state.json"
}

# Poll, 50 times a second, for at most so many seconds; the last look begins after them, so that one
# that takes long is no failure.
wait_until() { # SECONDS COMMAND...
	local began=${EPOCHREALTIME/[.,]/}
	local end=$((began + $1 * 1000000))

	shift
	until "$@"; do
		[ "$began" -lt "$end" ] || fail "timed out: $*" || return 1
		sleep 0.02
		began=${EPOCHREALTIME/[.,]/}
	done
}

# Dead, or without memory and descriptors: the first process of a pid namespace stays visible until
# all others in it have been reaped, and that is the matter of their parents, not ours. Memory goes
# first, and the descriptors stay as long as the last thread.
is_gone() { # PID
	! grep -q -s '^VmSize:' "/proc/$1/status" &&
		[ -z "$(find "/proc/$1/task/"*/fd -mindepth 1 2>/dev/null)" ]
}

is_status() { # ID STATUS
	[ "$(status_of "$1")" = "$2" ]
}

has_line() { # FILE LINE
	grep -qxF -- "$2" "$1" 2>/dev/null
}

# --- Nothing left --------------------------------------------------------------------------------

# Remember the processes of the containers that are there now, for processes_left.
record_processes() {
	local file pid

	for file in "$ROOT"/*/state.json "$ROOT"/*/vcrt.journal; do
		[ -f "$file" ] || continue
		for pid in $(jq -R -r 'fromjson? | .vcrt? | (.monitor, .vmm, .virtiofsd, .shim) | .pid? // empty' \
			"$file" 2>/dev/null); do
			[ ! -d "/proc/$pid" ] || echo "$pid $(start_time "$pid")" >>"$T/pids"
		done
	done
}

start_time() { # PID
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
}

# Everything this test has made, with as much force as a client may use.
delete_all() {
	local dir status=0

	for dir in "$ROOT"/*/; do
		[ -d "$dir" ] || continue
		vcrt delete --force "$(basename "$dir")" </dev/null || status=1
	done
	for dir in "$T"/runc/*/; do # see parity.bash
		[ ! -d "$dir" ] || runc --root "$T/runc" delete --force "$(basename "$dir")" || status=1
	done
	return "$status"
}

# Pids of processes that are this test's beyond doubt: by their environment, which it has marked, by
# their cgroup or an argument, which has the name of its containers. (Some get an environment of
# their own.)
pids_of_test() {
	is_set_up || return 0
	# The search must not find itself: the word comes from a file, and not in its environment.
	living "$(
		env -u VCRT_BATS_TEST grep -l -s -a -F -f <(echo "VCRT_BATS_TEST=$T") /proc/[0-9]*/environ
		grep -l -s -F "/$ID" /proc/[0-9]*/cgroup
		grep -l -s -a -z "^$ID" /proc/[0-9]*/cmdline
	)"
}

# Pids of processes that have to do with its directory: by their command line or open files.
pids_with_files() {
	is_set_up || return 0
	living "$(
		env -u VCRT_BATS_TEST grep -l -s -a -F -f <(echo "$T/") /proc/[0-9]*/cmdline
		find /proc/[0-9]*/fd -lname "$T/*" 2>/dev/null
	)"
}

# From paths below /proc the pids of processes that are not gone, each once.
living() { # PATHS
	local path pid
	local -A seen=()

	for path in $1; do
		pid=${path#/proc/}
		pid=${pid%%/*}
		[ -z "${seen[$pid]:-}" ] || continue
		seen[$pid]=1
		is_gone "$pid" || echo "$pid"
	done
}

# Of those that record_processes has seen, the ones that are still there.
pids_recorded() {
	local pid start

	[ ! -f "$T/pids" ] || while read -r pid start; do
		is_gone "$pid" || [ "$(start_time "$pid")" != "$start" ] || echo "$pid"
	done <"$T/pids"
}

processes_left() {
	local pid

	for pid in $(
		pids_of_test
		pids_with_files
		pids_recorded
	); do
		echo "process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
	done
}

# The test's own, and those that are named after its containers, as network namespaces are.
mounts_left() {
	grep -F -e " ${T:?}/" -e "/${ID:?}" /proc/self/mountinfo | sed 's/^/mount /' || true
}

# Of the program, and in the places for everybody. Other tests' directories come and go meanwhile.
files_left() {
	[ ! -d "$ROOT" ] || find "$ROOT" -mindepth 1 -printf 'file %p\n'
	[ ! -d "$RUN" ] || find "$RUN" -mindepth 1 -printf 'file %p\n'
	find /tmp /run /dev/shm -maxdepth 2 -path '/tmp/vb.??????' -prune -o \
		-name "*${ID:?}*" -printf 'file %p\n' 2>/dev/null || true
}

# Directories of cgroups, the innermost first. Those of other tests come and go meanwhile.
find_cgroups() { # TESTS OF find(1)
	find /sys/fs/cgroup -depth -type d "$@" 2>/dev/null || true
}

cgroups_left() {
	find_cgroups -name "*${ID:?}*" -printf 'cgroup %p\n'
}

# No process, mount, file or cgroup of this test's containers. Not one is given time to go away.
assert_nothing_left() {
	local left

	left=$(
		processes_left
		mounts_left
		files_left
		cgroups_left
	)
	[ -z "$left" ] || fail "left behind:"$'\n'"$left"
}

# After a failure, so that the next test starts clean. Kills only what this test has started.
sweep() {
	local pid

	is_set_up || return 0
	for pid in $(pids_of_test); do
		kill -9 "$pid" 2>/dev/null || true
	done
	sleep 0.2
	mounts_left | cut -d ' ' -f 6 | sort -r | xargs -r umount -l || true
	rm -f "/run/netns/${ID:?}"
	find_cgroups -name "*${ID:?}*" | xargs -r -d '\n' rmdir || true
}
