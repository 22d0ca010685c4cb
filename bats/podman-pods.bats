#!/usr/bin/env bats
# Pods of Debian's Podman: all containers of one are in one virtual machine.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load podman

setup_file() {
	podman_setup_file
}

teardown_file() {
	podman_teardown_file
}

make_pod() { # OPTION...
	podman pod create --name p-p --network none --cgroup-parent "/$ID" "$@" >/dev/null
}

join() { # NAME COMMAND...
	podman run -d --pod p-p --name "$1" busybox:test "${@:2}" >/dev/null
}

# Podman cannot remove a pod's directory where no controller of cgroups is mounted, with any runtime.
remove_pod() { # OPTION...
	podman pod rm "$@" p-p >/dev/null 2>err || grep -q 'cgroup.*directory not empty' err
	[ -z "$(podman pod ps -q)" ] || podman pod rm -f p-p >/dev/null 2>&1 || true
	[ -z "$(podman ps -aq)" ]
}
