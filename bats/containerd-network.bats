#!/usr/bin/env bats
# Debian's containerd with ctr: networks of CNI, and namespaces of others.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load containerd

setup_file() {
	needs /usr/lib/cni/ptp /usr/lib/cni/host-local
	containerd_setup_file
}

teardown_file() {
	containerd_teardown_file
}

remove_all() {
	local ns status=0

	containerd_remove_all || status=1
	for ns in /run/netns/"${ID:?}"*; do
		[ ! -e "$ns" ] || ip netns del "${ns##*/}" || status=1
	done
	return "$status"
}

# The other end of the containers' networks, with a server on port 80. It ends with the test.
network_host() {
	ip netns add "$ID-host"
	ip -n "$ID-host" link set lo up
	mkdir -p www
	echo "from the host" >www/index.html
	background ip netns exec "$ID-host" busybox httpd -f -p 80 -h "$T/www"
	wait_until 30 ip netns exec "$ID-host" busybox wget -q -O /dev/null http://127.0.0.1/
}

@test "containerd: a network namespace that was made before, as by CNI" {
	network_host
	ip netns add "$ID-c"
	ip link add "v$ID" netns "$ID-host" type veth peer name eth0 netns "$ID-c"
	ip -n "$ID-host" addr add 10.123.0.1/24 dev "v$ID"
	ip -n "$ID-host" link set "v$ID" up
	ip -n "$ID-c" link set lo up
	ip -n "$ID-c" addr add 10.123.0.2/24 dev eth0
	ip -n "$ID-c" link set eth0 up mtu 1400
	ip -n "$ID-c" route add default via 10.123.0.1
	run_in "$V1" -d --with-ns "network:/run/netns/$ID-c" "$IMAGE" c sh -c '
		mkdir /www; echo from the container >/www/index.html; httpd -f -p 8080 -h /www'
	exec_out c ip addr show eth0 >seen
	grep ',UP.* mtu 1400' seen
	grep 'inet 10.123.0.2/24' seen
	[ "$(exec_out c wget -q -O - http://10.123.0.1/)" = "from the host" ]
	wait_until 30 eval '[ "$(timeout 30 ip netns exec "$ID-host" busybox wget -q -O - http://10.123.0.2:8080/)" = "from the container" ]'
	exec_out c ip route | grep '^default via 10.123.0.1 dev eth0'
	ctr_ task rm -f c
	ctr_ container rm c
	# It is the caller's, and as it was.
	ip -n "$ID-c" addr show eth0 | grep 'inet 10.123.0.2/24'
	[ "$(ip -n "$ID-c" -o link | wc -l)" -eq 2 ]
}

no_veth() { # NAMESPACE
	[ -z "$(ip -n "$1" -o link show type veth)" ]
}

@test "containerd: ctr's networks of CNI, set up between create and start" {
	network_host
	mkdir conf
	jq -n --arg dir "$T/leases" '{cniVersion: "0.4.0", name: "test", plugins: [{type: "ptp",
		ipam: {type: "host-local", subnet: "10.124.0.0/24", dataDir: $dir, routes: [{dst: "0.0.0.0/0"}]}}]}' \
		>conf/test.conflist
	# ctr runs the plugins, which it and they look for in fixed places. That it is in a network
	# namespace, too, keeps the host's own as it is.
	cat >ctr-cni <<-END
		mount -t tmpfs none /opt && mkdir -p /opt/cni && ln -s /usr/lib/cni /opt/cni/bin
		mount -t tmpfs none /var/lib
		mkdir -p upper work
		mount -t tmpfs none work && mkdir work/upper work/work
		mount -t overlay -o lowerdir=/etc,upperdir=work/upper,workdir=work/work none /etc
		mkdir -p /etc/cni && rm -rf /etc/cni/net.d && ln -s "$T/conf" /etc/cni/net.d
		exec timeout --foreground 60 ctr -a "$T/containerd.sock" -n "$ID" run --rm --cni --fifo-dir "$T/fifo" \
			--runc-binary "$RUNTIME" --cgroup "/$ID/c" "$IMAGE" c "\$@"
	END
	run -3 ip netns exec "$ID-host" sh -e ctr-cni sh -c 'ip -o addr show eth0; wget -q -O - http://10.124.0.1/; exit 3'
	echo "$output" >&2
	[[ $output == *"inet 10.124.0.2/24"*"from the host"* ]]
	# It goes with the container's namespace, which the kernel takes away when it has the time.
	wait_until 30 no_veth "$ID-host"
}

vmm_of() { # ID
	pid_of vmm "$1"
}

@test "containerd: containers of a pod have one shim and one virtual machine" {
	local pid pod=io.kubernetes.cri

	run_in "$V2" -d --annotation "$pod.container-type=sandbox" --annotation "$pod.sandbox-id=c" \
		"$IMAGE" c sh -c 'echo hello >/index.html; exec httpd -f -p 80 -h /'
	pid=$(task_pid c)
	CGROUP=c2 run_in "$V2" -d --annotation "$pod.container-type=container" --annotation "$pod.sandbox-id=c" \
		--with-ns "network:/proc/$pid/ns/net" --with-ns "ipc:/proc/$pid/ns/ipc" \
		--with-ns "uts:/proc/$pid/ns/uts" "$IMAGE" c2 sh -c 'trap "exit 4" TERM; while :; do sleep 0.2; done'
	[ "$(vmm_of c)" = "$(vmm_of c2)" ]
	[ "$(shim_of c)" = "$(shim_of c2)" ]
	wait_until 30 eval '[ "$(exec_in c2 wget -q -O - http://127.0.0.1/)" = hello ]'
	[ "$(exec_out c2 sh -c 'readlink /proc/self/ns/ipc')" = "$(exec_out c sh -c 'readlink /proc/self/ns/ipc')" ]
	# The first may go before the others.
	ctr_ task kill -s KILL c
	wait_until 30 is_task c STOPPED
	ctr_ task rm c || true
	ctr_ task kill c2
	wait_until 30 is_task c2 STOPPED
	[ "$(exit_of c2)" = 4 ]
}

@test "containerd: a container joins the namespaces of another one, and of nobody else" {
	local pid stranger

	run_in "$LINUX" -d "$IMAGE" c sleep 1234
	pid=$(task_pid c)
	CGROUP=c2 run_in "$LINUX" -d --with-ns "network:/proc/$pid/ns/net" --with-ns "pid:/proc/$pid/ns/pid" \
		"$IMAGE" c2 sleep 1000
	[ "$(vmm_of c)" = "$(vmm_of c2)" ]
	EXEC=second exec_out c2 ps | grep 'sleep 123[4]'
	[ "$(exec_out c readlink /proc/self/ns/net)" = "$(exec_out c2 readlink /proc/self/ns/net)" ]
	ctr_ task rm -f c2
	ctr_ container rm c2
	background unshare -i sleep 1000
	stranger=$!
	wait_until 10 eval '! [ "/proc/$stranger/ns/ipc" -ef /proc/self/ns/ipc ]'
	CGROUP=c2 run run_in "$LINUX" -d --with-ns "ipc:/proc/$stranger/ns/ipc" "$IMAGE" c2 true
	[ "$status" -eq 1 ]
	[[ $output == *'ipc'* ]]
	[ "$(exec_out c echo there)" = there ]
}
