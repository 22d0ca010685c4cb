#!/usr/bin/env bats
# The network of a container is that of its network namespace. Both ends of every wire are in
# namespaces of the test: $T/c is the container's, $T/p is the world's, with the interface p0.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load network

ECHO=5000 # port

# The container is in namespace c, has the means to look and to talk, and lives on.
setup_network() {
	local lib

	needs ip tc unshare nsenter cc
	cc -D_GNU_SOURCE -O -static -o "$B/rootfs/bin/traffic" "$BATS_TEST_DIRNAME/traffic.c"
	mkdir -p "$B/rootfs/usr/sbin"
	cp -L "$(type -P ip)" "$B/rootfs/usr/sbin/ip"
	for lib in $(ldd "$(type -P ip)" | grep -o '/[^ ]*'); do
		cp -L --parents "$lib" "$B/rootfs/"
	done
	use_namespace c
	edit '.process.capabilities |= map_values(. + ["CAP_NET_RAW"])'
	args sleep 1000
}

# c has eth0 with 10.1.0.2 and fd01::2, p has the other side with 10.1.0.1 and fd01::1.
usual_wire() { # [ATTRIBUTE OF ETH0...]
	new_namespace c
	new_namespace p
	wire c eth0 p p0 "$@"
	inside c ip addr add 10.1.0.2/24 dev eth0
	inside c ip addr add fd01::2/64 dev eth0 nodad
	inside p ip addr add 10.1.0.1/24 dev p0
	inside p ip addr add fd01::1/64 dev p0 nodad
}

start_echo() { # NAMESPACE
	background nsenter --net="$T/$1" "$B/rootfs/bin/traffic" echo "$ECHO"
}

run_detached() { # ID
	vcrt run -d --bundle "$B" "$1" </dev/null >"$T/$1.out" 2>"$T/$1.err"
}

# --- What there is, as JSON that is the same in the namespace and in the container ---------------

interfaces() { # COMMAND-PREFIX...
	"$@" ip -j addr show | jq -S -c 'map(select(.ifname | test("^(lo|vc[tbm][0-9]+)$") | not) | {ifname, mtu, address, up: (.flags | index("UP") != null),
		arp: (.flags | index("NOARP") == null), addresses: (.addr_info | map({family, local, address, prefixlen, scope,
		broadcast}) | sort)}) | sort_by(.ifname)'
}

routes() { # COMMAND-PREFIX...
	{
		"$@" ip -j -4 route show table all
		"$@" ip -j -6 route show table all
	} | jq -S -c -s 'add | map(select(.table != "local" and .dev != "lo") | .flags -= ["linkdown"]) | sort'
}

neighbours() { # COMMAND-PREFIX...
	"$@" ip -j neigh show nud permanent | jq -S -c sort
}

is_same_network() { # NAMESPACE ID
	[ "$(interfaces inside "$1")" = "$(interfaces vcrt exec "$2")" ] &&
		[ "$(routes inside "$1")" = "$(routes vcrt exec "$2")" ] &&
		[ "$(neighbours inside "$1")" = "$(neighbours vcrt exec "$2")" ]
}

# Wait for it, and show the difference when it does not come.
same_network() { # NAMESPACE ID
	local what

	wait_until 30 is_same_network "$1" "$2" || {
		for what in interfaces routes neighbours; do
			diff <("$what" inside "$1" | jq .) <("$what" vcrt exec "$2" | jq .) >&2 || true
		done
		return 1
	}
}

# In the guest; a NIC that it lets go of is gone a moment later.
has_interfaces() { # ID NAMES
	[ "$(vcrt exec "$1" ls /sys/class/net | paste -s -d ' ')" = "$2" ]
}

# All that a namespace has on its interfaces.
everything() { # NAMESPACE
	inside "$1" ip -d -j link show | jq -S 'map(del(.stats64, .linkinfo.info_data))'
	inside "$1" tc qdisc show
	inside "$1" ip -j addr show | jq -S 'map(.addr_info | map(del(.valid_life_time, .preferred_life_time, .tentative)))'
}

# --- Tests ---------------------------------------------------------------------------------------

@test "network: interfaces, addresses, routes and neighbours of the namespace are in the container" {
	setup_network
	usual_wire address 02:11:22:33:44:55 mtu 1400
	wire c other0 p p1 mtu 9000
	inside p ip link set p1 mtu 9000
	inside p ip link set p0 mtu 1400
	inside c ip addr add 10.1.0.3/24 dev eth0
	inside c ip addr add 192.0.2.1 peer 192.0.2.2/32 dev eth0
	inside c ip addr add 10.2.0.2/16 broadcast 10.2.255.255 dev other0
	inside c ip addr add 10.9.9.9/32 dev lo
	inside c ip route add default via 10.1.0.1
	inside c ip -6 route add default via fd01::1 metric 7
	inside c ip route add 10.3.0.0/16 via 10.1.0.1 metric 30 src 10.1.0.3 mtu 1300
	inside c ip route add 10.4.0.0/16 via 203.0.113.1 dev other0 onlink table 77
	inside c ip route add 10.5.0.0/16 dev other0 proto static scope link
	inside c ip route add blackhole 10.6.0.0/16
	inside c ip -6 route add fd05::/32 via fe80::1 dev other0
	inside c ip route del 10.2.0.0/16 dev other0
	inside c ip neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent
	inside c ip neigh add fd01::77 lladdr 02:00:00:00:00:78 dev eth0 nud permanent router
	run_detached "$ID"
	same_network c "$ID"
	vcrt exec "$ID" ip addr show dev lo | grep -qF 'inet 10.9.9.9/32'
	[ "$(vcrt exec "$ID" cat /sys/class/net/eth0/address)" = 02:11:22:33:44:55 ]

	vcrt exec "$ID" ping -c 1 -W 10 10.1.0.1
	vcrt exec "$ID" ping -c 1 -W 10 fd01::1
	inside p "$B/rootfs/bin/busybox" ping -c 1 -W 10 10.1.0.2
	inside p "$B/rootfs/bin/busybox" ping -c 1 -W 10 fd01::2
	# As much as the MTU lets through in one piece, and not more.
	inside p ip addr add 10.2.0.1/16 dev p1
	inside c ip route add 10.2.0.0/16 dev other0
	same_network c "$ID"
	vcrt exec "$ID" ping -c 1 -W 10 -s 8972 10.2.0.1
	inside p "$B/rootfs/bin/busybox" ping -c 1 -W 10 -s 8972 10.2.0.2
}

@test "network: TCP and UDP in both directions, and a large transfer that is intact" {
	local address

	setup_network
	usual_wire
	start_echo p
	run_detached "$ID"
	vcrt exec -d "$ID" traffic echo "$ECHO"
	for address in 10.1.0. fd01::; do
		[ "$(vcrt exec "$ID" traffic tcp "${address}1" "$ECHO" 300000)" = intact ]
		[ "$(vcrt exec "$ID" traffic udp "${address}1" "$ECHO" 5000)" = intact ]
		[ "$(inside p "$B/rootfs/bin/traffic" tcp "${address}2" "$ECHO" 300000)" = intact ]
		[ "$(inside p "$B/rootfs/bin/traffic" udp "${address}2" "$ECHO" 5000)" = intact ]
	done
	[ "$(inside p "$B/rootfs/bin/traffic" tcp 10.1.0.2 "$ECHO" 104857600)" = intact ]
}

@test "network: two containers talk through a bridge, and by no other way" {
	setup_network
	new_namespace p
	inside p ip link add br0 type bridge
	inside p ip link set br0 up
	inside p ip addr add 10.1.0.1/24 dev br0
	new_namespace c
	wire c eth0 p p0
	inside c ip addr add 10.1.0.2/24 dev eth0
	new_namespace d
	wire d eth0 p p1
	inside d ip addr add 10.1.0.3/24 dev eth0
	inside p ip link set p0 master br0
	inside p ip link set p1 master br0
	args traffic echo "$ECHO"
	run_detached "$ID"
	use_namespace d
	edit '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0.forwarding": "0", "net.core.somaxconn": "77"}'
	args sleep 1000
	run_detached "$ID-2"
	[ "$(vcrt exec "$ID-2" traffic tcp 10.1.0.2 "$ECHO" 1000000)" = intact ]
	[ "$(vcrt exec "$ID-2" traffic udp 10.1.0.2 "$ECHO" 4000)" = intact ]
	vcrt exec "$ID-2" ping -c 1 -W 10 10.1.0.1
	inside p ip link set p0 down
	run ! vcrt exec "$ID-2" ping -c 1 -W 2 10.1.0.2
	# Sysctls of the network, also of an interface that came with it.
	[ "$(vcrt exec "$ID-2" sh -c 'cd /proc/sys/net; echo $(cat ipv4/ip_forward ipv4/conf/eth0/forwarding \
		core/somaxconn)')" = '1 0 77' ]
}

@test "network: devices of the host go into the container, and come back when it cannot be made" {
	setup_network
	new_network
	new_namespace p
	# The runtime's own network is one of the test's.
	new_namespace d
	wire d "v$ID" p p0 mtu 1400
	inside d ip addr add 10.1.0.2/24 dev "v$ID"
	inside p ip addr add 10.1.0.1/24 dev p0
	edit --arg n "v$ID" '.linux.netDevices = {($n): {name: "lan0"}, nosuch: {}}'
	refused_inside d "linux.netDevices: no interface 'nosuch'"
	inside d ip addr show dev "v$ID" | grep -qF 'inet 10.1.0.2/24'

	edit 'del(.linux.netDevices.nosuch)'
	edit '.hooks.createRuntime = [{path: "/bin/false"}]'
	refused_inside d 'hook'
	inside d ip addr show dev "v$ID" | grep -qF 'inet 10.1.0.2/24'

	edit 'del(.hooks)'
	args sh -c 'cat /sys/class/net/lan0/mtu; ping -c 1 -W 10 10.1.0.1'
	inside d timeout "$LIMIT" "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" </dev/null >"$T/out"
	has_line "$T/out" 1400
	run ! inside d ip link show dev "v$ID"
	wait_until 30 is_without p p0
}

refused_inside() { # NAMESPACE MESSAGE
	run inside "$1" timeout "$LIMIT" "$VCRT" "${VCRT_ARGS[@]}" run --bundle "$B" "$ID" </dev/null
	[ "$status" -eq 1 ]
	[[ ${output//\\/} == *"$2"* ]]
	[ ! -e "$ROOT/$ID" ]
}

# The program of a hook, or of the caller, that fills the namespace of a stand-in.
filler() {
	cat >"$T/fill" <<-END
		#!/bin/sh
		set -e
		state=\$(cat)
		pid=\$(echo "\$state" | jq .pid)
		ip link show dev lo up | grep -q lo || echo "lo is down" >&2
		nsenter --net=/proc/\$pid/ns/net ip link show dev lo | grep -q LOOPBACK,UP
		nsenter --net="$T/p" ip link add p0 type veth peer name eth7 netns /proc/\$pid/ns/net
		nsenter --net="$T/p" ip link set p0 up
		nsenter --net="$T/p" ip addr add 10.1.0.1/24 dev p0
		nsenter --net=/proc/\$pid/ns/net sh -c '
			ip addr add 10.1.0.2/24 dev eth7
			ip link set eth7 up
			ip route add default via 10.1.0.1'
	END
	chmod +x "$T/fill"
}

new_network() {
	edit '.linux.namespaces |= map(if .type == "network" then del(.path) else . end)'
}

@test "network: a hook on the host fills the namespace, or the caller between create and start" {
	setup_network
	new_namespace p
	filler
	new_network
	edit --arg t "$T" --arg path "$PATH" '.hooks.prestart = [{path: ($t + "/fill"), env: ["PATH=" + $path]}]'
	run_container -- sh -c 'ping -c 1 -W 10 10.1.0.1 && ip route show default'
	[ "$code" -eq 0 ]
	grep -qx 'default via 10.1.0.1 dev eth7 ' "$T/out"
	# The namespace, which nobody else has, is gone, and its wire.
	wait_until 30 is_without p p0

	edit 'del(.hooks)'
	args sh -c 'ping -c 1 -W 10 10.1.0.1 && ip route show default'
	create_container "$ID"
	vcrt state "$ID" | "$T/fill"
	vcrt start "$ID"
	wait_until 30 is_status "$ID" stopped
	grep -qx 'default via 10.1.0.1 dev eth7 ' "$T/$ID.out"
}

is_without() { # NAMESPACE INTERFACE
	! inside "$1" ip link show dev "$2" >/dev/null 2>&1
}

@test "network: what changes while the container runs is followed" {
	setup_network
	usual_wire
	run_detached "$ID"
	same_network c "$ID"

	inside c ip addr add 10.1.0.9/24 dev eth0
	inside c ip addr del fd01::2/64 dev eth0
	inside c ip route add 10.8.0.0/16 via 10.1.0.1
	inside c ip link set eth0 mtu 1300
	same_network c "$ID"
	inside p "$B/rootfs/bin/busybox" ping -c 1 -W 10 10.1.0.9

	inside c ip link set eth0 down
	inside c ip link set eth0 name lan0
	inside c ip link set lan0 mtu 9000 address 02:00:00:00:00:09 up
	inside c ip addr del 10.1.0.9/24 dev lan0
	inside p ip link set p0 mtu 9000
	same_network c "$ID"
	vcrt exec "$ID" ping -c 1 -W 10 -s 8972 10.1.0.1

	# As "docker network connect" and "disconnect" do it.
	wire c eth1 p p1
	inside c ip addr add 10.2.0.2/24 dev eth1
	inside p ip addr add 10.2.0.1/24 dev p1
	same_network c "$ID"
	vcrt exec "$ID" ping -c 1 -W 10 10.2.0.1
	inside c ip link del lan0
	same_network c "$ID"
	wait_until 30 has_interfaces "$ID" 'eth1 lo'
	vcrt exec "$ID" ping -c 1 -W 10 10.2.0.1
	inside c ip link set eth1 netns "$T/p"
	same_network c "$ID"
	wait_until 30 has_interfaces "$ID" lo
	run ! grep ingress <(inside c tc qdisc show)
}

@test "network: every model carries traffic, and nothing is left, also after kill -9 of the monitor" {
	local model before

	setup_network
	usual_wire
	start_echo p
	for model in bridge macvtap tcfilter; do
		configure memory 512 network_model "\"$model\""
		before=$(everything c)
		wire c eth1 p p1
		run_detached "$ID"
		[ "$(vcrt exec "$ID" traffic tcp 10.1.0.1 "$ECHO" 200000)" = intact ]
		[ "$(vcrt exec "$ID" traffic udp fd01::1 "$ECHO" 1000)" = intact ]
		[ "$(everything c)" != "$before" ]
		# Of the second one it is taken away while the first one stays.
		inside c ip link del eth1
		wait_until 30 has_interfaces "$ID" 'eth0 lo'
		wait_until 30 is_alone c
		if [ "$model" = macvtap ]; then
			vcrt delete --force "$ID"
		else
			kill -9 "$(pid_of monitor "$ID")"
			wait_until 10 is_status "$ID" stopped
			vcrt delete --force "$ID"
		fi
		diff <(echo "$before") <(everything c)
	done

	# Crashed, and not deleted: the next one takes over what is left.
	run_detached "$ID"
	kill -9 "$(pid_of monitor "$ID")"
	wait_until 10 is_status "$ID" stopped
	run_detached "$ID-2"
	[ "$(vcrt exec "$ID-2" traffic tcp 10.1.0.1 "$ECHO" 200000)" = intact ]
	# And keeps it.
	vcrt delete --force "$ID"
	[ "$(vcrt exec "$ID-2" traffic tcp 10.1.0.1 "$ECHO" 200000)" = intact ]

	# A tap that is connected to nothing.
	vcrt delete --force "$ID-2"
	configure memory 512 network_model '"none"'
	run_detached "$ID"
	wait_until 30 has_interfaces "$ID" 'eth0 lo'
	run ! vcrt exec "$ID" ping -c 1 -W 2 10.1.0.1
	vcrt delete --force "$ID"
	diff <(echo "$before") <(everything c)
}

# One interface, and what was made for it.
is_alone() { # NAMESPACE
	[ "$(inside "$1" ip -j link show | jq 'map(select(.ifname | test("^vc[tm]"))) | length')" = 1 ]
}

@test "network: macvlan, ipvlan, and taps and macvtaps of somebody else" {
	setup_network
	new_namespace c
	new_namespace p
	new_namespace d
	wire d lower p p0
	inside d ip link add eth0 link lower netns "$T/c" type macvlan mode bridge
	inside d ip link add tap0 link lower netns "$T/c" type macvtap mode bridge
	inside c ip link set eth0 up
	inside c ip addr add 10.1.0.2/24 dev eth0
	inside c ip link set tap0 up
	inside c ip addr add 10.1.0.3/24 dev tap0
	inside p ip addr add 10.1.0.1/24 dev p0
	inside p ip addr add fd01::1/64 dev p0 nodad
	run_detached "$ID"
	same_network c "$ID"
	vcrt exec "$ID" ping -c 1 -W 10 -I eth0 10.1.0.1
	vcrt exec "$ID" ping -c 1 -W 10 -I tap0 10.1.0.1
	vcrt delete --force "$ID"

	inside c ip link del eth0
	inside c ip link del tap0
	# Not every kernel has them.
	inside d ip link add eth0 link lower netns "$T/c" type ipvlan mode l2 || return 0
	inside c ip link set eth0 up
	inside c ip addr add 10.1.0.4/24 dev eth0
	run_detached "$ID"
	same_network c "$ID"
	vcrt exec "$ID" ping -c 1 -W 10 10.1.0.1
}

refused() { # MESSAGE
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF -- "$1" <(sed 's/[\]//g' "$T/err") # the log escapes quotes
	[ ! -e "$ROOT/$ID" ]
}

@test "network: what cannot be a network of a virtual machine is refused, and nothing stays" {
	local i before

	setup_network
	usual_wire
	inside c ip link add odd0 type bridge
	inside c ip link set odd0 up
	before=$(everything c)
	refused "interface 'odd0' is of kind 'bridge', which is not supported"
	[ "$(everything c)" = "$before" ]
	inside c ip link del odd0

	for ((i = 1; i < 9; i++)); do
		wire c "eth$i" p "p$i"
	done
	before=$(everything c)
	refused "all 8 PCIe ports are taken"
	diff <(echo "$before") <(everything c)
	inside c ip link del eth8
	configure memory 512 network_model '"carrier-pigeon"'
	refused "unknown network model 'carrier-pigeon'"
	configure memory 512

	# With as many as there may be.
	args sleep 1000
	run_detached "$ID"
	same_network c "$ID"
	vcrt exec "$ID" ping -c 1 -W 10 10.1.0.1
}

maps_libnl() { # PID
	grep -qF /libnl-route-3.so "/proc/$1/maps"
}

@test "network: libnl is loaded when there is an interface, and missed by nobody else" {
	local libnl error="load 'libnl-route-3.so.200': "

	setup_network
	new_namespace c
	new_namespace p
	run_detached "$ID"
	[ "$(vcrt exec "$ID" ls /sys/class/net)" = lo ]
	run ! maps_libnl "$(pid_of shim "$ID")"
	run ! maps_libnl "$(pid_of monitor "$ID")"
	wire c eth0 p p0
	inside c ip addr add 10.1.0.2/24 dev eth0
	same_network c "$ID"
	maps_libnl "$(pid_of monitor "$ID")"
	run ! maps_libnl "$(pid_of shim "$ID")"
	vcrt delete --force "$ID"

	# A host that lacks it. Debian's QEMU needs it, too: only the monitor is without.
	libnl=$(ldconfig -p | awk '$1 == "libnl-route-3.so.200" { print $NF; exit }')
	run unshare --mount sh -c 'mount --bind /dev/null "$0" && exec "$@"' "$libnl" \
		"$VCRT" "${VCRT_ARGS[@]}" check
	grep "^warning .*network .*no interfaces of containers: $error" <<<"$output"
	inside c ip link del eth0
	create_container "$ID"
	nsenter --mount --target "$(pid_of monitor "$ID")" mount --bind /dev/null "$libnl"
	wire c eth0 p p0
	run -1 vcrt start "$ID"
	grep -F "$error" <<<"$output"
}

@test "network: who joins a virtual machine by a PID namespace has a network of its own, that others can join" {
	usual_wire
	setup_network
	run_detached "$ID"
	new_namespace c2
	wire c2 eth0 p p2
	inside c2 ip addr add 10.2.0.2/24 dev eth0
	inside c2 ip route add default via 10.2.0.1
	inside p ip addr add 10.2.0.1/24 dev p2
	use_namespace c2
	edit --arg p "/proc/$(pid_of shim "$ID")/ns/pid" '(.linux.namespaces[] | select(.type == "pid")).path = $p
		| .linux.sysctl = {"net.ipv4.ip_default_ttl": "99"}'
	run_detached "$ID-b"
	[ "$(pid_of vmm "$ID")" = "$(pid_of vmm "$ID-b")" ]
	same_network c "$ID"
	same_network c2 "$ID-b"
	vcrt exec "$ID" ping -c 1 -W 10 10.1.0.1
	vcrt exec "$ID-b" ping -c 1 -W 10 10.2.0.1
	[ "$(vcrt exec "$ID-b" cat /proc/sys/net/ipv4/ip_default_ttl)" = 99 ]
	[ "$(vcrt exec "$ID" cat /proc/sys/net/ipv4/ip_default_ttl)" != 99 ]

	# Changes are followed; a second interface of the same name as there comes and goes.
	inside c2 ip addr add 10.2.0.3/24 dev eth0
	wire c2 eth1 p p3
	same_network c2 "$ID-b"

	# A third one is in the network of the second, which outlives that.
	edit --arg p "/proc/$(pid_of shim "$ID-b")/ns/net" '(.linux.namespaces[] | select(.type == "network")).path = $p
		| (.linux.namespaces[] | select(.type == "pid")) |= del(.path) | del(.linux.sysctl)'
	run_detached "$ID-c"
	same_network c2 "$ID-c"
	vcrt delete --force "$ID-b"
	vcrt exec "$ID-c" ping -c 1 -W 10 10.2.0.1
	inside c2 ip addr del 10.2.0.3/24 dev eth0
	same_network c2 "$ID-c"
	vcrt delete --force "$ID-c"
	run ! grep -q vc <(inside c2 ip -o link)
	vcrt exec "$ID" ping -c 1 -W 10 10.1.0.1
	is_same_network c "$ID"
	vcrt delete --force "$ID"
	run ! grep -q vc <(inside c ip -o link)
}
