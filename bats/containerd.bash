# shellcheck shell=bash
# What the files of tests with containerd share: a containerd of the file's own, whose namespace is
# named after the file, and with it vcrt's directory of states and the cgroups. After clients.bash.
# shellcheck disable=SC2034,SC2154 # the files use them

IMAGE=docker.io/library/busybox:test
V2=io.containerd.runc.v2 V1=io.containerd.runc.v1 LINUX=io.containerd.runtime.v1.linux

containerd_setup_file() {
	needs containerd ctr containerd-shim containerd-shim-runc-v1 containerd-shim-runc-v2
	client_setup_file unused
	# The second shim takes no other.
	ROOT=/run/containerd/runc/$ID
	export ROOT
	cat >"$T/containerd.toml" <<-END
		version = 2
		root = "$T/data"
		state = "$T/state"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		  address = "$T/containerd.sock"
		[plugins."io.containerd.runtime.v1.linux"]
		  shim = "containerd-shim"
		  runtime = "$RUNTIME"
	END
	# The second shim takes what is called runc.
	ln -s vcrt "$T/bin/runc"
	start_containerd
	make_image
	ctr_ images import "$T/image.tar" >/dev/null
	remember_engine
}

start_containerd() {
	PATH=$T/bin:$PATH start_daemon containerd containerd -c "$T/containerd.toml" -- ctr_ version
}

containerd_teardown_file() {
	client_teardown_file || return 1
	[ -z "${ID:-}" ] || [ ! -d "/run/containerd/runc/$ID" ] || rmdir "/run/containerd/runc/$ID"
}

# As "docker save" makes it.
make_image() {
	mkdir "$T/image"
	rootfs_tar >"$T/image/layer.tar"
	jq -n --arg id "sha256:$(sha256sum <"$T/image/layer.tar" | cut -d ' ' -f 1)" \
		'{architecture: "amd64", os: "linux", config: {Env: ["PATH=/bin:/usr/bin", "FROM=image"]},
		rootfs: {type: "layers", diff_ids: [$id]}}' >"$T/image/config.json"
	jq -n --arg image "$IMAGE" '[{Config: "config.json", RepoTags: [$image], Layers: ["layer.tar"]}]' \
		>"$T/image/manifest.json"
	tar -C "$T/image" -cf "$T/image.tar" manifest.json config.json layer.tar
	rm -r "$T/image"
}

# It passes the first signal on to the container: only the second ends it for certain.
ctr_() {
	timeout --foreground -k 5 "$CLIENT_LIMIT" ctr -a "$T/containerd.sock" -n "$ID" "$@"
}

# A file may have more to remove.
remove_all() {
	containerd_remove_all
}

containerd_remove_all() {
	local id status=0

	for id in $(ctr_ container ls -q); do
		ctr_ task rm -f "$id" >/dev/null 2>&1 || true
		ctr_ container rm "$id" || status=1
	done
	return "$status"
}

# ctr run; standard input is $INPUT, or nothing.
run_in() { # SHIM OPTION... IMAGE ID COMMAND...
	local -a options=(--runtime "$1" --fifo-dir "$T/fifo")

	[ "$1" != "$V2" ] || options+=(--runc-binary "$RUNTIME")
	ctr_ run "${options[@]}" --cgroup "/$ID/${CGROUP:-c}" "${@:2}" <"${INPUT:-/dev/null}"
}

exec_in() { # [OPTION...] ID COMMAND...
	ctr_ task exec --fifo-dir "$T/fifo" --exec-id "${EXEC:-e}" "$@" <"${INPUT:-/dev/null}"
}

# With what it prints. ctr may end before it has read the output of a program that is quick, whatever
# the runtime (6 of 200 times with runc): it is asked again when there is none.
exec_out() { # [OPTION...] ID COMMAND...
	local out status i

	for ((i = 0; i < 10; i++)); do
		status=0
		out=$(exec_in "$@") || status=$?
		[ -z "$out" ] || break
	done
	printf '%s\n' "$out"
	return "$status"
}

is_task() { # ID STATUS
	ctr_ task ls | grep -qE "^$1 +[0-9]+ +$2 *$"
}

task_pid() { # ID
	ctr_ task ls | awk -v id="$1" '$1 == id { print $2 }'
}

# Delete a stopped container; its exit status.
exit_of() { # ID
	ctr_ task rm "$1" 2>&1 | sed -n 's/.*non-zero exit code \([0-9]*\).*/\1/p'
	ctr_ container rm "$1"
}

# What has started a container's first process.
shim_of() { # ID
	ps -o ppid= -p "$(task_pid "$1")" | tr -d ' '
}
