#!/usr/bin/env bats
# Networks of Debian's Podman, with netavark and aardvark-dns. The file has a network namespace of its
# own that plays the host: bridges, filters and ports are there, and nothing of them on the machine.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load podman

setup_file() {
	needs ip nsenter iptables /usr/lib/podman/netavark /usr/lib/podman/aardvark-dns
	NETNS=vb$$ PODMAN_IN="nsenter --net=/run/netns/vb$$"
	export NETNS PODMAN_IN
	ip netns add "$NETNS"
	ip -n "$NETNS" link set lo up
	podman_setup_file
	# Podman keeps leases by the network's name, for all of the machine.
	FIRST=first$ID SECOND=second$ID
	export FIRST SECOND
	podman network create --subnet 10.89.77.0/24 "$FIRST" >/dev/null
	podman network create --subnet 10.89.78.0/24 --subnet fd00:89:78::/64 --ipv6 --opt mtu=1400 \
		"$SECOND" >/dev/null
}

teardown_file() {
	local status=0

	podman network rm "$FIRST" "$SECOND" >/dev/null || status=1
	podman_teardown_file || status=1
	# After a failure a container may be listed there for ever.
	rm -f "/run/containers/networks/aardvark-dns/${FIRST:?}" "/run/containers/networks/aardvark-dns/${SECOND:?}"
	# It may still be bound to what a process of Podman has copied of it.
	[ -z "${NETNS:-}" ] || ip netns del "$NETNS" || status=1
	return "$status"
}

host() { # COMMAND...: in the namespace that plays the host
	timeout -k 5 20 nsenter --net="/run/netns/$NETNS" "$@"
}

start() { # NAME OPTION... -- COMMAND...
	local -a options=()
	local name=$1

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	podman run -d --name "$name" --cgroup-parent "/$ID" "${options[@]}" busybox:test "${@:2}" >/dev/null
}

# Connections are served one after the other, each with this line; the first may come too early.
serve() { # LINE
	echo "while :; do echo $1 | nc -l -p 80; done"
}

says() { # LINE COMMAND...
	[ "$("${@:2}" </dev/null 2>/dev/null)" = "$1" ]
}

@test "podman network: containers find one another by name, ports are published, MTU and IPv6 are the network's" {
	start c-server --network "$FIRST" -p 18080:80 --hostname inside -- sh -c "$(serve hello)"
	wait_until 20 says hello host busybox nc -w 5 127.0.0.1 18080
	wait_until 20 says hello host busybox nc -w 5 "$(podman inspect -f \
		"{{.NetworkSettings.Networks.$FIRST.IPAddress}}" c-server)" 80
	start c-client --network "$FIRST" --network "$SECOND" -- sleep 1000
	wait_until 20 says hello podman exec c-client nc -w 5 c-server 80
	podman exec c-client ping -c 1 -W 10 c-server >/dev/null
	podman exec c-client ping -c 1 -W 10 10.89.77.1 >/dev/null # the host
	# Podman gives the names eth0 and eth1 in any order.
	[ "$(podman exec c-client cat /sys/class/net/eth0/mtu /sys/class/net/eth1/mtu | sort | xargs)" = '1400 1500' ]
	[[ "$(podman exec c-client ip -6 addr)" == *'mtu 1400 '*'inet6 fd00:89:78::'*'scope global'* ]]
	podman exec c-client ping -6 -c 1 -W 10 fd00:89:78::1 >/dev/null
	[ "$(podman exec c-server hostname)" = inside ]
	# What the host counts is what the container has sent.
	podman stats --no-stream --format '{{.NetIO}}' c-server | grep -qv '^0B'
}

@test "podman network: addresses, name servers and hosts are those asked for; restarts keep the networks" {
	start c-fixed --network "$FIRST:ip=10.89.77.55,mac=02:11:22:33:44:55" --dns 9.9.9.9 --add-host other:1.2.3.4 \
		-- sleep 1000
	podman exec c-fixed sh -c 'cat /sys/class/net/eth0/address; ip -4 addr show dev eth0 | grep -o "inet [0-9./]*"
		ip route | head -n 1 | cut -d " " -f 1-5; grep -c "^nameserver 9.9.9.9" /etc/resolv.conf
		grep other /etc/hosts' >out
	diff out - <<-'END'
		02:11:22:33:44:55
		inet 10.89.77.55/24
		default via 10.89.77.1 dev eth0
		1
		1.2.3.4	other
	END
	podman restart -t 0 c-fixed >/dev/null
	podman exec c-fixed ip -4 addr show dev eth0 | grep -q 'inet 10.89.77.55/24'
	podman exec c-fixed ping -c 1 -W 10 10.89.77.1 >/dev/null
}

@test "podman network: networks are connected and disconnected while the container runs" {
	start c-moving --network "$FIRST" -- sleep 1000
	start c-server --network "$SECOND" -- sh -c "$(serve second)"
	[ "$(podman exec c-moving ls /sys/class/net | sort | xargs)" = "eth0 lo" ]
	podman network connect "$SECOND" c-moving
	wait_until 20 eval '[ "$(podman exec c-moving ls /sys/class/net | sort | xargs)" = "eth0 eth1 lo" ]'
	wait_until 20 says second podman exec c-moving nc -w 5 c-server 80
	podman network disconnect "$FIRST" c-moving
	wait_until 20 eval '[ "$(podman exec c-moving ls /sys/class/net | sort | xargs)" = "eth1 lo" ]'
	wait_until 20 says second podman exec c-moving nc -w 5 c-server 80
}

@test "podman network: --network container:X is X's network, in X's virtual machine; none has a loopback only" {
	start c-server --network "$FIRST" -- sh -c "$(serve hello)"
	start c-joined --network container:c-server -- sleep 1000
	wait_until 20 says hello podman exec c-joined nc -w 5 127.0.0.1 80
	[ "$(podman exec c-joined cat /sys/class/net/eth0/address)" = "$(podman exec c-server cat /sys/class/net/eth0/address)" ]
	[ "$(podman exec c-joined ls /proc | grep -c '^[0-9]')" -lt 5 ] # its own processes
	[ "$(vmms)" -eq 1 ]
	# A container that is no other's.
	run podman_run --rm busybox:test ls /sys/class/net
	[ "$output" = lo ]
}
