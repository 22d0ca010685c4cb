# shellcheck shell=bash
# What the files with tests of Podman share; after clients.bash.
# shellcheck disable=SC2154 # the variables are those of clients.bash

podman_setup_file() {
	needs podman conmon docker-init
	client_setup_file vcrt-root
	# Podman passes no --root.
	sed -i "s|^exec .*|exec $VCRT --config $T/config.json --root $ROOT \"\$@\"|" "$RUNTIME"
	cat >"$T/containers.conf" <<-END
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
		init_path = "$(type -P docker-init)"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		infra_image = "localhost/busybox:test"
		runtime = "vcrt"
		runtime_supports_json = ["vcrt"]
		[engine.runtimes]
		vcrt = ["$RUNTIME"]
		[network]
		network_backend = "netavark"
		network_config_dir = "$T/networks"
	END
	# A program, for those that start one. The files may choose its network namespace with nsenter.
	cat >"$T/bin/podman" <<-END
		#!/bin/sh
		export VCRT_BATS_TEST=$T CONTAINERS_CONF=$T/containers.conf
		exec ${PODMAN_IN:-} timeout --foreground -k 5 $CLIENT_LIMIT $(type -P podman) \\
			--root $T/graph --runroot $T/runroot --tmpdir $T/tmp "\$@"
	END
	chmod 755 "$T/bin/podman"
	PATH=$T/bin:$PATH
	export PATH
	echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$T/policy.json"
	# For a pod's first container, and for what "play kube" makes, the image says what is missing.
	rootfs_tar | podman import -q -c 'CMD ["sleep", "1000"]' -c 'ENV PATH=/bin:/usr/bin' - busybox:test >/dev/null
	remember_engine
	# Podman binds this on itself when it first needs it, and leaves it.
	echo "$T/graph/overlay" >>"$T/mounts"
}

podman_teardown_file() {
	umount "$T/graph/overlay" 2>/dev/null || true
	client_teardown_file
}

remove_all() {
	local status=0

	[ -z "$(podman pod ps -q)" ] || remove_pods || status=1
	# It does not always begin with those that depend on others.
	podman rm -a -f -t 0 >/dev/null 2>&1 || podman rm -a -f -t 0 >/dev/null || status=1
	podman volume prune -f >/dev/null || status=1
	return "$status"
}

# Podman cannot remove a directory of a pod where no controller of cgroups is mounted, whatever the
# runtime: what has been a container's must be gone by then.
remove_pods() {
	podman pod rm -a -f -t 0 >/dev/null 2>"$T/pod-rm" || grep -q 'cgroup.*directory not empty' "$T/pod-rm"
	[ -z "$(podman ps -aq)$(podman pod ps -q)$(cgroups_left | grep libpod-)" ] || return 1
	wait_until 10 remove_cgroups
}

# How many virtual machines there are.
vmms() {
	jq -r '.vcrt.vmm.pid' "$ROOT"/*/state.json | sort -u | wc -l
}

podman_run() { # OPTION... COMMAND...
	podman run --network none --cgroup-parent "/$ID" "$@"
}

up() { # OPTION... -- COMMAND...: a container "c-c" that goes on
	local -a options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	podman_run -d --name c-c "${options[@]}" busybox:test "${@:2}" >/dev/null
}

inspect() { # FORMAT [NAME]
	podman inspect -f "$1" "${2:-c-c}"
}

# Standard output of the container so far.
logged() { # LINE
	podman logs c-c 2>/dev/null | grep -qxF -- "$1"
}

terminal() { # ACTION... -- PODMAN-ARGUMENT...
	local -a actions=()

	while [ "$1" != -- ]; do
		actions+=("$1")
		shift
	done
	python3 "$BATS_TEST_DIRNAME/terminal.py" run "${actions[@]}" -- podman "${@:2}"
}
