#!/usr/bin/env bats
# What README.md says on engines, tried as it is written: each block of code under a comment
# "<!-- ENGINE: NAME -->" is used as it stands, but for the place of the program.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # tests are subshells
load helpers
load clients
load cri

setup_file() {
	needs_cri
	needs /usr/sbin/dockerd /usr/bin/docker podman conmon
	/usr/bin/python3 -c 'import yaml' || cannot_test 'python3-yaml is missing'
	client_setup_file states
	# States are for all engines where the tests look for them, and not in places for everybody.
	cat >"$RUNTIME" <<-END
		#!/bin/sh
		[ "\$1" != --root ] || shift 2
		exec $VCRT --config $T/config.json --root $ROOT "\$@"
	END
	KERNEL=$(jq -r .kernel "$(dirname "$("$RUNTIME" env | sed -n 's/^config\.kernel = //p')")/image.json")
	export KERNEL
	echo '{}' >"$T/daemon.json"
	start_daemon dockerd /usr/sbin/dockerd --config-file "$T/daemon.json" -H "unix://$T/docker.sock" \
		--data-root "$T/docker" --exec-root "$T/exec" --pidfile "$T/docker.pid" --bridge none \
		--iptables=false --ip-forward=false --ip-masq=false --userland-proxy=false \
		--cgroup-parent "/$ID" -- docker version
	block 'containerd: config.toml' | sed 's/^version = 2$//' | start_cri
	remember_engine
	echo "$T/graph/overlay" >>"$T/mounts" # Podman's own, see podman.bats
}

teardown_file() {
	umount "$T/graph/overlay" 2>/dev/null || true
	client_teardown_file
}

remove_all() {
	remove_pods
}

# The block with that title, for the program to be tested.
block() { # TITLE
	local text

	text=$(awk -v title="<!-- $1 -->" '$0 == title { found = 1; next }
		found && /^```/ { if (inside) exit; inside = 1; next }
		inside { print }' "$BATS_TEST_DIRNAME/../README.md")
	[ -n "$text" ] || fail "README.md has no block '$1'" || return 1
	echo "${text//\/usr\/local\/bin\/vcrt/$RUNTIME}"
}

# What a block of TOML or YAML says, as JSON.
parsed() { # toml|yaml TITLE
	block "$2" >"$T/block" && /usr/bin/python3 -c 'import json, sys, tomllib, yaml
load = {"toml": tomllib.load, "yaml": yaml.safe_load}[sys.argv[1]]
print(json.dumps(load(open(sys.argv[2], "rb"))))' "$1" "$T/block"
}

# Is FILTER true for a block?
says() { # toml|yaml TITLE JQ-ARGUMENT...
	parsed "$1" "$2" >"$T/parsed" && jq -e "${@:3}" "$T/parsed"
}

# The engines, for the blocks that call them: as on a host that has no other.
docker() {
	timeout --foreground -k 5 "$CLIENT_LIMIT" /usr/bin/docker -H "unix://$T/docker.sock" "$@"
}

ctr() {
	timeout --foreground -k 5 "$CLIENT_LIMIT" "$(type -P ctr)" -a "$T/containerd.sock" -n "$ID" "$@"
}

podman() {
	VCRT_BATS_TEST=$T CONTAINERS_CONF=$T/containers.conf timeout --foreground -k 5 "$CLIENT_LIMIT" \
		podman --root "$T/graph" --runroot "$T/runroot" --tmpdir "$T/tmp" \
		--cgroup-manager cgroupfs --events-backend file "$@"
}

# The command of a block prints the guest's kernel. FILTER is for sed.
prints_kernel() { # TITLE [FILTER]
	local command

	command=$(block "$1" | sed "${2:-}")
	echo "$command" >&2
	[ "$(eval "$command" </dev/null)" = "$KERNEL" ]
}

knows_vcrt() {
	[ "$(docker info --format '{{json .Runtimes}}' | jq -r .vcrt.path)" = "$RUNTIME" ]
}

@test "readme: Docker, after a reload of its configuration" {
	image_tar busybox:latest | docker load -q
	run ! knows_vcrt
	block 'docker: daemon.json' >"$T/daemon.json"
	kill -HUP "$(cat "$T/daemons/dockerd")"
	wait_until 30 knows_vcrt
	prints_kernel 'docker: command'
}

@test "readme: containerd with ctr" {
	image_tar docker.io/library/busybox:latest >"$T/ctr.tar"
	ctr images import "$T/ctr.tar"
	rm "$T/ctr.tar"
	prints_kernel 'containerd: command'
}

@test "readme: Podman" {
	block 'podman: containers.conf' >"$T/containers.conf"
	rootfs_tar | podman import - busybox:latest >/dev/null
	# Without more limits than it may set, and without a network on this machine.
	prints_kernel 'podman: command' "s|--rm|& --network none --cgroup-parent /$ID --ulimit nofile=1024 --ulimit nproc=1024|"
}

# The kubelet in short: what becomes of the pod's description on a node.
@test "readme: a pod of the Kubernetes class, in containerd" {
	local class pod id container log=$T/logs/hello/hello.log

	class=$(parsed yaml 'kubernetes: class.yaml')
	pod=$(parsed yaml 'kubernetes: pod.yaml')
	[ "$(jq -r .spec.runtimeClassName <<<"$pod")" = "$(jq -r .metadata.name <<<"$class")" ]
	id=$(run_pod "$(jq -r .metadata.name <<<"$pod")" "$(jq -r .handler <<<"$class")")
	container=$(start_in hello "$id" hello '' "$(jq -c '.spec.containers[0]' <<<"$pod") as \$spec |
		.command = \$spec.command | .image.image = \$spec.image |
		.linux.resources.memory_limit_in_bytes = (\$spec.resources.limits.memory | rtrimstr(\"Mi\") | tonumber * 1048576)")
	wait_until 60 has_container_status "$container" '2 0'
	[ "$(cut -d ' ' -f 2- "$log")" = "stdout F $KERNEL" ]
}

# node.k8s.io/v1 and crio.conf(5)
@test "readme: the blocks for Kubernetes and CRI-O have what their documentation names, for one handler" {
	local handler

	says yaml 'kubernetes: class.yaml' '.apiVersion == "node.k8s.io/v1" and .kind == "RuntimeClass" and
		(keys - ["apiVersion", "kind", "metadata", "handler", "overhead"]) == [] and
		(.overhead | keys) == ["podFixed"] and (.overhead.podFixed | keys) == ["cpu", "memory"] and
		(.handler | test("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))'
	says yaml 'kubernetes: pod.yaml' '.apiVersion == "v1" and .kind == "Pod" and
		(.spec | keys) == ["containers", "restartPolicy", "runtimeClassName"] and
		(.spec.containers[] | keys) == ["command", "image", "name", "resources"]'
	handler=$(parsed yaml 'kubernetes: class.yaml' | jq -r .handler)
	says toml 'containerd: config.toml' --arg name "$handler" \
		'.plugins["io.containerd.grpc.v1.cri"].containerd.runtimes | keys == ["runc", $name]'
	says toml 'crio: 50-vcrt.conf' --arg name "$handler" --arg path "$RUNTIME" '
		keys == ["crio"] and (.crio.runtime.runtimes | keys) == [$name] and
		(.crio.runtime.runtimes[] | .runtime_path == $path and .runtime_type == "oci" and
		(keys - ["runtime_path", "runtime_type", "runtime_root", "monitor_path", "privileged_without_host_devices"]) == [])'
}

# What the pod's overhead says is what the program uses.
@test "readme: the overhead of a pod is that of the default configuration" {
	echo '{}' >"$T/defaults.json"
	"$VCRT" --config "$T/defaults.json" env --json >"$T/env.json"
	jq '.config.memory + .config.memory_overhead | "\(.)Mi"' "$T/env.json" >"$T/total"
	says yaml 'kubernetes: class.yaml' --slurpfile total "$T/total" '.overhead.podFixed.memory == $total[0]'
}
