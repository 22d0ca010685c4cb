# shellcheck shell=bash
# A containerd with its CRI plugin, and calls to it as the kubelet makes them. After clients.bash.
# It is in a network namespace of its own, where its CNI plugins make the bridge of the pods.
# shellcheck disable=SC2154 # of clients.bash

IMAGE=docker.io/library/busybox:latest

needs_cri() {
	needs containerd ctr containerd-shim-runc-v2 ip unshare nsenter /usr/bin/python3 /usr/lib/cni/bridge
	/usr/bin/python3 -c 'import grpc' || cannot_test 'python3-grpcio is missing'
}

# The tables of the configuration that a test file adds for its runtimes are read from standard input.
start_cri() {
	mkdir -p "$T/cni" "$T/logs"
	# Quick to be found: containerd looks for a network when it starts.
	jq -n --arg dir "$T/ipam" '{cniVersion: "0.4.0", name: "pods", plugins: [
		{type: "bridge", bridge: "pods0", isGateway: true, hairpinMode: true, ipam: {type: "host-local",
		ranges: [[{subnet: "10.88.1.0/24"}]], routes: [{dst: "0.0.0.0/0"}], dataDir: $dir}}]}' \
		>"$T/cni/10-pods.conflist"
	{
		cat <<-END
			version = 2
			root = "$T/data"
			state = "$T/state"
			[grpc]
			  address = "$T/containerd.sock"
			[plugins."io.containerd.grpc.v1.cri"]
			  sandbox_image = "$IMAGE"
			  restrict_oom_score_adj = true
			  netns_mounts_under_state_dir = true
			  [plugins."io.containerd.grpc.v1.cri".cni]
			    bin_dir = "/usr/lib/cni"
			    conf_dir = "$T/cni"
		END
		cat
	} >"$T/containerd.toml"
	start_daemon containerd unshare -n sh -c 'ip link set lo up; exec containerd -c "$0"' \
		"$T/containerd.toml" -- cri_is_ready
	image_tar "$IMAGE" >"$T/image.tar"
	timeout 60 ctr -a "$T/containerd.sock" -n k8s.io images import "$T/image.tar" >/dev/null
	rm "$T/image.tar"
	# The plugin hears of it from an event.
	wait_until 30 has_image
}

# One call; the answer's JSON.
cri() { # METHOD [REQUEST]
	timeout -k 5 150 "$BATS_TEST_DIRNAME/cri.py" "$T/containerd.sock" "$@"
}

# Does a call succeed, with an answer for which FILTER is true? (jq -e alone would take no answer.)
answers() { # METHOD REQUEST FILTER
	local answer

	answer=$(cri "$1" "$2") && jq -e "$3" <<<"$answer"
}

cri_is_ready() {
	answers Status '{}' '[.status.conditions[].status] == [1, 1]'
}

has_image() {
	answers ImageStatus "$(jq -n --arg image "$IMAGE" '{image: {$image}}')" .image.id
}

# An image of the busybox root file system, as "docker save" writes it.
image_tar() { # REFERENCE
	local dir=$T/image

	mkdir "$dir"
	rootfs_tar >"$dir/layer.tar"
	jq -n --arg sum "sha256:$(sha256sum "$dir/layer.tar" | cut -d ' ' -f 1)" \
		'{architecture: "amd64", os: "linux", rootfs: {type: "layers", diff_ids: [$sum]},
		config: {Env: ["PATH=/bin"], Cmd: ["sleep", "1000000"]}}' >"$dir/config.json"
	jq -n --arg tag "$1" '[{Config: "config.json", Layers: ["layer.tar"], RepoTags: [$tag]}]' \
		>"$dir/manifest.json"
	tar -C "$dir" -c manifest.json config.json layer.tar
	rm -r "$dir"
}

# --- Pods and containers -------------------------------------------------------------------------

# Start a pod, as configured and changed by FILTER; its ID.
run_pod() { # NAME [HANDLER [FILTER]]
	local answer

	jq -n --arg name "$1" --arg logs "$T/logs/$1" --arg parent "/$ID" '{
		metadata: {$name, uid: "uid-\($name)", namespace: "default"}, hostname: $name,
		log_directory: $logs, dns_config: {servers: ["10.96.0.10"], searches: ["cluster.local"]},
		linux: {cgroup_parent: $parent, security_context: {namespace_options: {pid: 1}}}}' |
		jq "${3:-.}" >"$T/pod-$1.json"
	answer=$(cri RunPodSandbox \
		"$(jq --arg h "${2-vcrt}" '{config: ., runtime_handler: $h}' "$T/pod-$1.json")") &&
		jq -r .pod_sandbox_id <<<"$answer"
}

# Create a container that runs a shell's commands, as configured and changed by FILTER; its ID.
create_in() { # POD-NAME POD-ID NAME COMMANDS [FILTER [JQ-ARGUMENT...]]
	local answer

	jq -n --arg name "$3" --arg image "$IMAGE" --arg commands "$4" '{metadata: {$name}, image: {$image},
		command: ["sh", "-c", $commands], log_path: "\($name).log",
		linux: {security_context: {namespace_options: {pid: 1}}}}' | jq "${@:6}" "${5:-.}" >"$T/container.json"
	answer=$(cri CreateContainer "$(jq -n --arg pod_sandbox_id "$2" --slurpfile pod "$T/pod-$1.json" \
		--slurpfile config "$T/container.json" \
		'{$pod_sandbox_id, config: $config[0], sandbox_config: $pod[0]}')") &&
		jq -r .container_id <<<"$answer"
}

start_in() { # POD-NAME POD-ID NAME COMMANDS [FILTER]
	local id

	id=$(create_in "$@") || return 1
	of_container StartContainer "$id" >/dev/null || return 1
	echo "$id"
}

of_container() { # METHOD CONTAINER-ID [FILTER]
	cri "$1" "$(jq -n --arg container_id "$2" "{\$container_id} | ${3:-.}")"
}

of_pod() { # METHOD POD-ID
	cri "$1" "$(jq -n --arg pod_sandbox_id "$2" '{$pod_sandbox_id}')"
}

# Run in a container: what it prints, and its exit status.
in_container() { # CONTAINER-ID ARGUMENT...
	local answer

	answer=$(cri ExecSync "$(jq -n --arg container_id "$1" \
		'{$container_id, cmd: $ARGS.positional, timeout: 60}' --args -- "${@:2}")") || return 255
	jq -j .stderr <<<"$answer" >&2
	jq -j .stdout <<<"$answer"
	return "$(jq .exit_code <<<"$answer")"
}

container_status() { # CONTAINER-ID: state (0 created, 1 running, 2 exited) and exit code
	of_container ContainerStatus "$1" | jq -r '.status | "\(.state) \(.exit_code)"'
}

has_container_status() { # CONTAINER-ID STATUS
	[ "$(container_status "$1")" = "$2" ]
}

pod_ip() { # POD-ID
	of_pod PodSandboxStatus "$1" | jq -er .status.network.ip
}

remove_pod() { # POD-ID
	of_pod StopPodSandbox "$1" && of_pod RemovePodSandbox "$1"
}

remove_pods() {
	local id status=0

	for id in $(cri ListPodSandbox | jq -r '.items[].id'); do
		remove_pod "$id" >/dev/null || status=1
	done
	return "$status"
}
