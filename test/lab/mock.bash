# shellcheck shell=bash
# For tests in the lab: containers whose VM is a process that does nothing. What there is on the host,
# monitor, stand-in, VMM and cgroup, is all as it is. Every program that is started costs time there,
# so that these helpers are few, and mostly of the shell itself.

ID=one
# shellcheck disable=SC2034 # the tests use it
LIMITS='"memory": {"limit": 104857600, "reservation": 52428800}, "pids": {"limit": 50},
	"cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"}'

setup() {
	pids=()
	T=$(mktemp -d /tmp/lab.XXXXXX)
	mkdir -p "$T/bundle/rootfs/proc" "$T/root" "$T/run"
	echo '{"hypervisor": "mock", "agent": "noop", "accel": "tcg", "template": "off", "runtime_dir": "'"$T"'/run"}' \
		>"$T/config.json"
}

teardown() {
	local dir

	for dir in "$T"/root/*/; do
		[ ! -d "$dir" ] || vcrt delete --force "$(basename "$dir")"
	done
	rm -rf "$T"
}

fail() {
	echo "$*" >&2
	return 1
}

vcrt() {
	timeout 60 "$VCRT" --config "$T/config.json" --root "$T/root" "$@"
}

# A created container with this cgroupsPath and these members of linux.resources.
create_in() { # ID CGROUPSPATH RESOURCES [GLOBAL-OPTION...]
	cat >"$T/bundle/config.json" <<-END
		{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "hooks": {${hooks:-}}, "annotations": {${annotations:-}},
		 "process": {"args": ["sleep", "1000"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
		 "linux": {"cgroupsPath": "$2", "resources": {$3}, "namespaces": [{"type": "pid"},
		 {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]}}
	END
	vcrt "${@:4}" create --bundle "$T/bundle" "$1" </dev/null >"$T/$1.out" 2>&1 || {
		cat "$T/$1.out"
		return 1
	}
	pids+=("$(pid_of shim "$1")" "$(pid_of monitor "$1")" "$(pid_of vmm "$1")")
}

status_of() { # ID
	vcrt state "$1" | sed -n 's/^ *"status": "\(.*\)",$/\1/p'
}

# The pid of a container's monitor, vmm or shim, as published.
pid_of() { # WHAT ID
	[[ $(<"$T/root/$2/state.json") =~ \"$1\":[[:space:]]*\{[[:space:]]*\"pid\":\ *([0-9]+) ]]
	echo "${BASH_REMATCH[1]}"
}

# The first lines of files of a cgroup are these.
assert_files() { # DIR FILE=LINE...
	local file line

	for file in "${@:2}"; do
		read -r line <"$1/${file%%=*}"
		[ "$line" = "${file#*=}" ] || fail "${file%%=*}: '$line', not '${file#*=}'" || return 1
	done
}

# Exactly the processes of the container are in the cgroup.
assert_processes() { # DIR ID
	diff <(sort "$1/cgroup.procs") \
		<(for name in shim monitor vmm; do pid_of "$name" "$2"; done | sort)
}

is_gone() { # PID
	! grep -q -s '^VmSize:' "/proc/$1/status"
}

# No file, cgroup or process of any container.
assert_nothing_left() {
	local left pid

	left=$(
		find "$T/root" "$T/run" -mindepth 1
		find /sys/fs/cgroup -type d -name "*$ID*"
		for pid in "${pids[@]}"; do
			is_gone "$pid" || echo "process $pid"
		done
	)
	[ -z "$left" ] || fail "left behind: $left"
}

wait_until() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))

	until "${@:2}"; do
		[ "$SECONDS" -lt "$end" ] || fail "timed out: ${*:2}" || return 1
		sleep 0.2
	done
}
