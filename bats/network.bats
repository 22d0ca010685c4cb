#!/usr/bin/env bats
# The network of a container is that of its network namespace. Both ends of every wire are in
# namespaces of the test: $T/c is the container's, $T/p is the world's, with the interface p0.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

ECHO=5000 # port

new_namespace() { # NAME
	: >"$T/$1"
	unshare --net="$T/$1" true
	HOST_MOUNTS+=("$T/$1")
	inside "$1" ip link set lo up
}

inside() { # NAMESPACE COMMAND...
	nsenter --net="$T/$1" "${@:2}"
}

# A veth pair, both ends up: interface IF in namespace NS, PEER in PEER-NS.
wire() { # NS IF PEER-NS PEER [ATTRIBUTE...]
	inside "$1" ip link add "$2" "${@:5}" type veth peer name "$4" netns "$T/$3"
	inside "$1" ip link set "$2" up
	inside "$3" ip link set "$4" "${@:7}" up
}

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

use_namespace() { # NAME
	edit --arg p "$T/$1" '(.linux.namespaces[] | select(.type == "network")).path = $p'
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

# All that a namespace has on its interfaces.
everything() { # NAMESPACE
	inside "$1" ip -d -j link show | jq -S 'map(del(.stats64, .linkinfo.info_data))'
	inside "$1" tc qdisc show
	inside "$1" ip -j addr show | jq -S 'map(.addr_info | map(del(.valid_life_time, .preferred_life_time)))'
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
