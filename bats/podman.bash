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
	rootfs_tar | podman import - busybox:test >/dev/null
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

	podman pod rm -a -f -t 0 >/dev/null || status=1
	podman rm -a -f -t 0 >/dev/null || status=1
	podman volume prune -f >/dev/null || status=1
	return "$status"
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
