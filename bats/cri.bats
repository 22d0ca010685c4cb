#!/usr/bin/env bats
# Pods of Kubernetes: Debian's containerd with its CRI plugin and CNI networks, called as by a kubelet.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load cri

# For a container: what a server says, which is waited for. (The wget of a static busybox crashes.)
FETCH='nc() { busybox nc "$@"; }
fetch() {
	i=0
	until got=$(nc -w 5 "$1" 8080 </dev/null 2>/dev/null) && [ "$got" ]; do
		i=$((i + 1))
		[ $i -lt 150 ] || return 1
		sleep 0.2
	done
	echo "$got"
}
'
SERVE='touch /mine; exec nc -ll -p 8080 -e echo "served by $0"'

setup_file() {
	needs_cri
	needs runc busybox
	client_setup_file runc/k8s.io
	start_cri <<-END
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		    runtime_type = "io.containerd.runc.v2"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		      Root = "$T/native"
		  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.vcrt]
		    runtime_type = "io.containerd.runc.v2"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.vcrt.options]
		      BinaryName = "$RUNTIME"
		      Root = "$T/runc"
	END
	remember_engine
}

teardown_file() {
	client_teardown_file
}

remove_all() {
	remove_pods && find_cgroups -path "*/$ID/pod" | xargs -r -d '\n' rmdir
}

# From where containerd is: the host's side of the pods' bridge.
on_node() {
	nsenter -n -t "$(cat "$T/daemons/containerd")" timeout -k 5 60 "$@"
}

vms() {
	find "$RUN" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | wc -l
}

@test "cri: a pod's containers share one VM, network, /dev/shm and host name, and nothing else" {
	local pod one two ip other three

	pod=$(run_pod a vcrt '.linux.sysctls = {"net.ipv4.ip_local_port_range": "20000 30000", "kernel.msgmax": "12345"}')
	one=$(start_in a "$pod" one "$SERVE" '.command[3] = "one"')
	two=$(start_in a "$pod" two 'exec sleep 1000')
	[ "$(vms)" -eq 1 ]
	ip=$(pod_ip "$pod")
	run -0 in_container "$two" sh -c "$FETCH"'
		fetch 127.0.0.1
		hostname
		cat /etc/resolv.conf
		ip -4 addr show eth0 | grep -o "inet [0-9.]*"
		ip route | grep -o "^default via [0-9.]*"
		ls /mine 2>/dev/null
		echo shared >/dev/shm/file
		ps -o comm | grep -c nc
		cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/msgmax
		cat /proc/sys/kernel/random/boot_id'
	[ "${lines[0]}" = 'served by one' ]
	[ "${lines[1]}" = a ]
	[ "${lines[2]}" = 'search cluster.local' ]
	[ "${lines[3]}" = 'nameserver 10.96.0.10' ]
	[ "${lines[4]}" = "inet $ip" ]
	[ "${lines[5]}" = 'default via 10.88.1.1' ]
	[ "${lines[6]}" = 0 ]
	[ "${lines[7]}" = $'20000\t30000' ]
	[ "${lines[8]}" = 12345 ]
	[ "$(in_container "$one" cat /dev/shm/file /proc/sys/kernel/random/boot_id)" = "shared"$'\n'"${lines[9]}" ]
	[ "${lines[9]}" != "$(cat /proc/sys/kernel/random/boot_id)" ]

	# The node and another pod, in another VM, reach the pod by its address.
	[ "$(on_node sh -c "$FETCH fetch $ip")" = 'served by one' ]
	other=$(run_pod b)
	three=$(start_in b "$other" three "$FETCH fetch $ip; cat /proc/sys/kernel/random/boot_id; exec sleep 1000")
	[ "$(vms)" -eq 2 ]
	run -0 in_container "$three" sh -c "$FETCH fetch $ip; hostname; cat /proc/sys/kernel/random/boot_id"
	[ "${lines[0]}" = 'served by one' ]
	[ "${lines[1]}" = b ]
	[[ ${lines[2]} =~ ^[0-9a-f-]{36}$ ]]
	[ "${lines[2]}" != "$(in_container "$two" cat /proc/sys/kernel/random/boot_id)" ]
	in_container "$two" ping -c 1 -W 30 "$(pod_ip "$other")"

	# One pod's end is not the other's.
	remove_pod "$other"
	[ "$(vms)" -eq 1 ]
	[ "$(in_container "$two" echo still here)" = 'still here' ]
}

@test "cri: exec, probes, logs, statistics, restarts and stops of containers" {
	local pod id again debugger

	pod=$(run_pod a)
	id=$(create_in a "$pod" main 'echo out; echo err >&2; printf "no newline"
		trap "exit 3" TERM
		touch /ready
		while :; do sleep 0.1; done' '.envs = [{key: "COLOUR", value: "blue"}] | .working_dir = "/tmp"')
	[ "$(container_status "$id")" = '0 0' ]
	of_container StartContainer "$id"
	[ "$(container_status "$id")" = '1 0' ]

	run -5 --separate-stderr in_container "$id" sh -c 'echo "$COLOUR"; pwd; echo err >&2; exit 5'
	[ "$output" = $'blue\n/tmp' ]
	[ "$stderr" = err ]
	run -255 in_container "$id" nosuch
	[[ $output == *'executable file not found in $PATH'* ]]
	wait_until 30 in_container "$id" test -e /ready
	# A probe that takes too long is ended, and reported so.
	run of_container ExecSync "$id" '.cmd = ["sleep", "1000"] | .timeout = 1'
	[ "$status" -eq 1 ]
	[[ $output == *DEADLINE_EXCEEDED* || $output == *'timeout 1s exceeded'* ]]
	wait_until 30 no_sleep_in "$id"

	# A debugger: another container, in the process namespace of this one.
	debugger=$(start_in a "$pod" debugger 'exec sleep 1000' ".linux.security_context.namespace_options = {pid: 3, target_id: \"$id\"}")
	run -0 in_container "$debugger" ps -o pid,args
	[[ ${lines[1]} == '    1 sh -c echo out; echo err'* ]]
	[[ $output == *'sleep 1000'* ]]

	of_container ContainerStats "$id" | jq '.stats |
		[.cpu.usage_core_nano_seconds.value, .memory.working_set_bytes.value] | min' >"$T/least"
	[ "$(cat "$T/least")" -gt 0 ]

	# The end that it wants itself, within its time.
	of_container StopContainer "$id" '.timeout = 60'
	[ "$(container_status "$id")" = '2 3' ]
	[ "$(cut -d ' ' -f 2- "$T/logs/a/main.log" | sort)" = $'stderr F err\nstdout F out\nstdout P no newline' ]
	grep -qE '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z stdout F out$' "$T/logs/a/main.log"

	# A restart is another container in the pod; one that does not want to end is killed.
	again=$(start_in a "$pod" main 'trap "" TERM; touch /ready; while :; do sleep 0.1; done' '.metadata.attempt = 1')
	of_container RemoveContainer "$id"
	wait_until 30 in_container "$again" test -e /ready
	of_container StopContainer "$again" '.timeout = 1'
	[ "$(container_status "$again")" = '2 137' ]
	[ "$(vms)" -eq 1 ]
}

no_sleep_in() { # CONTAINER-ID
	in_container "$1" sh -c '! ps -o args | grep -qx "sleep 1000"'
}

@test "cri: the security context, volumes and resources of containers" {
	local pod id

	mkdir "$T/volume"
	echo data >"$T/volume/file"
	chmod 777 "$T/volume"
	# A pod's cgroup has the limit of its containers, and README.md's overhead.
	make_pod_cgroup $(((768 + 64) << 20))
	pod=$(run_pod a vcrt ".linux.cgroup_parent = \"/$ID/pod\" | .linux.security_context.privileged = true")
	id=$(start_in a "$pod" user 'exec sleep 1000' '
		.linux.security_context += {run_as_user: {value: 1000}, run_as_group: {value: 1001},
			supplemental_groups: [1002], readonly_rootfs: true, no_new_privs: true,
			capabilities: {drop_capabilities: ["ALL"]}, seccomp: {profile_type: 0}} |
		.mounts = [{container_path: "/rw", host_path: $dir}, {container_path: "/ro", host_path: $dir, readonly: true}]' \
		--arg dir "$T/volume")
	run -0 in_container "$id" sh -c 'id; ! touch /file 2>/dev/null && echo read-only; cat /ro/file
		! touch /ro/new 2>/dev/null && echo read-only; touch /rw/new
		grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status'
	[ "${lines[0]}" = 'uid=1000 gid=1001 groups=1001,1002' ]
	[ "${lines[1]}" = read-only ]
	[ "${lines[2]}" = data ]
	[ "${lines[3]}" = read-only ]
	[ "${lines[4]}" = $'CapEff:\t0000000000000000' ]
	[ "${lines[5]}" = $'NoNewPrivs:\t1' ]
	[ "${lines[6]}" = $'Seccomp:\t2' ]
	[ "$(stat -c %u:%g "$T/volume/new")" = 1000:1001 ]

	# With a list of every device of the host.
	id=$(start_in a "$pod" privileged 'exec sleep 1000' '.linux.security_context.privileged = true')
	run -0 in_container "$id" sh -c 'grep CapEff /proc/self/status; [ -c /dev/kmsg ] && echo kmsg
		mkdir /mnt && mount -t tmpfs none /mnt && echo mounted
		grep -q "^proc /proc/sysrq-trigger" /proc/mounts || echo not masked'
	# containerd gives what it has itself.
	[ "${lines[0]}" = "$(grep ^CapEff "/proc/$(cat "$T/daemons/containerd")/status")" ]
	[ "${lines[1]}" = kmsg ]
	[ "${lines[2]}" = mounted ]
	[ "${lines[3]}" = 'not masked' ]

	# More memory than the limit ends this one and none of the others.
	id=$(start_in a "$pod" limited 'tail /dev/zero; echo "tail: $?"; exec sleep 1000' \
		'.linux.resources = {memory_limit_in_bytes: 67108864, cpu_period: 100000, cpu_quota: 50000}')
	wait_until 60 grep -q 'stdout F tail: 137$' "$T/logs/a/limited.log"
	[ "$(container_status "$id")" = '1 0' ]
	of_container UpdateContainerResources "$id" '.linux = {memory_limit_in_bytes: 134217728}'
	[ "$(vms)" -eq 1 ]
}

# What a kubelet does. In the hierarchy of memory, whichever version it has.
make_pod_cgroup() { # BYTES
	local base=/sys/fs/cgroup/memory file=memory.limit_in_bytes

	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
		base=/sys/fs/cgroup file=memory.max
		mkdir -p "$base/$ID"
		echo +memory | tee "$base/cgroup.subtree_control" "$base/$ID/cgroup.subtree_control" >/dev/null
	fi
	mkdir -p "$base/$ID/pod"
	echo "$1" >"$base/$ID/pod/$file"
}

@test "cri: a pod of the size of its limits, with one process namespace, whose sandbox is killed first" {
	local pod one two cpus

	cpus=$(($(nproc) < 2 ? $(nproc) : 2))
	pod=$(run_pod a vcrt '.linux.security_context.namespace_options.pid = 0 |
		.linux.resources = {memory_limit_in_bytes: 805306368, cpu_period: 100000, cpu_quota: 150000}')
	one=$(start_in a "$pod" one 'exec sleep 1001' 'del(.linux.security_context.namespace_options)')
	two=$(start_in a "$pod" two 'exec sleep 1002' 'del(.linux.security_context.namespace_options)')
	all_sleep() {
		in_container "$two" ps -o pid,args >"$T/ps" && [ "$(grep -c '^ *[0-9]* sleep 100[12]$' "$T/ps")" -eq 2 ]
	}
	wait_until 30 all_sleep
	grep -q '    1 sleep 1000000' "$T/ps"
	# Without the kernel's own.
	[ "$(in_container "$two" awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" -gt 640 ]
	[ "$(in_container "$two" nproc)" = "$cpus" ]
	# The end of the first process is that of the namespace.
	kill -KILL "$(cat "$T/state/io.containerd.runtime.v2.task/k8s.io/$pod/init.pid")"
	wait_until 60 has_container_status "$one" '2 137'
	wait_until 60 has_container_status "$two" '2 137'
	remove_pod "$pod"
	[ "$(vms)" -eq 0 ]
}

@test "cri: containers go on and are removed when their sandbox has been killed" {
	local pod one

	pod=$(run_pod a)
	one=$(start_in a "$pod" one 'trap "exit 4" TERM; touch /ready; while :; do sleep 0.1; done')
	wait_until 30 in_container "$one" test -e /ready
	kill -KILL "$(cat "$T/state/io.containerd.runtime.v2.task/k8s.io/$pod/init.pid")"
	wait_until 60 is_not_ready "$pod"
	[ "$(in_container "$one" echo still here)" = 'still here' ]
	of_container StopContainer "$one" '.timeout = 60'
	[ "$(container_status "$one")" = '2 4' ]
	of_container RemoveContainer "$one"
	remove_pod "$pod"
	[ "$(vms)" -eq 0 ]
}

is_not_ready() { # POD-ID
	[ "$(of_pod PodSandboxStatus "$1" | jq .status.state)" = 1 ]
}

@test "cri: a pod in the host's network is refused; runc's pods and those of no known handler are as before" {
	local pod id native

	run ! run_pod a vcrt '.hostname = "" | .linux.security_context.namespace_options.network = 2'
	[[ $output == *"the host's network"* ]]
	run ! run_pod b nosuch
	[[ $output == *'no runtime for "nosuch" is configured'* ]]
	[ "$(vms)" -eq 0 ]

	# Beside each other, and within reach.
	pod=$(run_pod c)
	id=$(start_in c "$pod" server "$SERVE" '.command[3] = "vcrt"')
	native=$(run_pod d runc)
	id=$(start_in d "$native" client 'exec sleep 1000')
	[ "$(in_container "$id" sh -c "$FETCH fetch $(pod_ip "$pod")")" = 'served by vcrt' ]
	[ "$(in_container "$id" uname -r)" = "$(uname -r)" ]
	[ "$(vms)" -eq 1 ]
}
