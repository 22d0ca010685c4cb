#!/usr/bin/env bats
# A name server on the loopback of the network namespace, as Docker has one for networks that users
# make: the container asks it as if it were in that namespace. $T/c is the container's namespace,
# 4053 the port that the server really has there: address translation leads to it from port 53.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands
load helpers

PORT=4053

inside() { # COMMAND...
	nsenter --net="$T/c" "$@"
}

new_namespace() { # NAME
	: >"$T/$1"
	unshare --net="$T/$1" true
	HOST_MOUNTS+=("$T/$1")
	nsenter --net="$T/$1" ip link set lo up
}

setup_dns() {
	needs iptables ip ss unshare nsenter cc /usr/bin/python3
	cc -D_GNU_SOURCE -O -static -o "$B/rootfs/bin/lookups" "$BATS_TEST_DIRNAME/lookups.c"
	new_namespace c
	edit --arg p "$T/c" '(.linux.namespaces[] | select(.type == "network")).path = $p'
	echo nameserver 127.0.0.11 >"$B/rootfs/etc/resolv.conf"
	args sleep 1000
}

resolver() { # NAMESPACE ADDRESS PORT [UPSTREAM]
	local protocol

	background nsenter --net="$T/$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/resolver.py" "${@:2}"
	for protocol in udp tcp; do
		wait_until 30 is_listening "$1" "$protocol" "$2:$3"
	done
}

is_listening() { # NAMESPACE udp|tcp ADDRESS:PORT
	nsenter --net="$T/$1" ss -H -l -n "--$2" src "$3" | grep -q .
}

start_name_server() { # [UPSTREAM]
	local protocol

	resolver c 127.0.0.11 "$PORT" "$@"
	for protocol in udp tcp; do
		inside iptables -w -t nat -A OUTPUT -d 127.0.0.11 -p "$protocol" --dport 53 \
			-j DNAT --to-destination "127.0.0.11:$PORT"
	done
}

lookups() { # ARGUMENT...
	vcrt exec "$ID" lookups "$@"
}

says() { # TEXT COMMAND...
	[ "$("${@:2}")" = "$1" ]
}

is_not_refused() { # COMMAND...
	run "$@"
	[ "$output" != 'Connection refused' ]
}

@test "dns: names are looked up by UDP and TCP, many at a time, in answers of every size" {
	setup_dns
	start_name_server
	vcrt run -d --bundle "$B" "$ID" </dev/null
	vcrt exec "$ID" nslookup web.test >out
	[ "$(grep -c 127.0.0.11:53 out)" -eq 1 ]
	[ "$(grep -c '^Address: 10\.99\.0\.1$' out)" -eq 1 ]
	[ "$(grep -c '^Address: fd99::1$' out)" -eq 1 ]
	[ "$(lookups udp 100 web.test 512)" = '100 answers of 42 bytes' ]
	[ "$(lookups tcp 100 web.test 512)" = '100 answers of 42 bytes' ]
	[ "$(lookups udp 20 size-4000.test 4096)" = '20 answers of 4000 bytes' ]
	[ "$(lookups udp 2 size-65000.test 65507)" = '2 answers of 65000 bytes' ]
	[ "$(lookups udp 1 size-4000.test 512)" = '1 answers of 32 bytes, cut off' ]
	[ "$(lookups tcp 20 size-65000.test 512)" = '20 answers of 65000 bytes' ]

	# One that is never answered is in nobody's way.
	background "$VCRT" "${VCRT_ARGS[@]}" exec "$ID" lookups udp 100 mute.test 512 >mute 2>&1
	[ "$(lookups udp 100 web.test 512)" = '100 answers of 42 bytes' ]
	[ ! -s mute ]

	# The port is free for a server of the container, as it is with address translation.
	vcrt exec -d "$ID" nc -l -p 53 -e echo own
	wait_until 30 says own vcrt exec "$ID" nc -w 5 127.0.0.1 53
	[ "$(lookups tcp 1 web.test 512)" = '1 answers of 42 bytes' ]

	# Nothing else of the loopback is within reach.
	resolver c 127.0.0.11 5000
	run -1 vcrt exec "$ID" nc -w 5 127.0.0.11 5000
	[[ $output == *refused* ]]
}

@test "dns: a name server is found as the program starts, may end, and come back" {
	setup_dns
	create_container "$ID"
	start_name_server
	vcrt start "$ID"
	[ "$(lookups udp 1 web.test 512)" = '1 answers of 42 bytes' ]
	kill "$!"
	wait_until 30 is_gone "$!"
	run -1 lookups udp 1 web.test 512
	[ "$output" = 'Connection refused' ]
	run -1 lookups tcp 1 web.test 512
	inside iptables -w -t nat -F OUTPUT
	PORT=4054 start_name_server
	# Address translation still leads a port that was used before to the first server. One of the
	# hundred may get it and be refused; the next time their ports are others.
	wait_until 30 is_not_refused lookups udp 100 web.test 512
	[ "$output" = '100 answers of 42 bytes' ]
	[ "$(lookups tcp 100 web.test 512)" = '100 answers of 42 bytes' ]
}

@test "dns: without a name server there is nothing, and one that comes with an interface is found" {
	setup_dns
	vcrt run -d --bundle "$B" "$ID" </dev/null
	run -1 lookups udp 1 web.test 512
	[ "$output" = 'Connection refused' ]
	[ "$(vcrt exec "$ID" cat /proc/net/udp | wc -l)" -eq 1 ]
	new_namespace p
	inside ip link add eth0 type veth peer name p0 netns "$T/p"
	inside ip addr add 10.98.0.2/24 dev eth0
	nsenter --net="$T/p" ip addr add 10.98.0.1/24 dev p0
	nsenter --net="$T/p" ip link set p0 up
	resolver p 10.98.0.1 53
	start_name_server 10.98.0.1
	inside ip link set eth0 up
	wait_until 30 says '1 answers of 42 bytes' lookups udp 1 web.test 512
	[ "$(lookups tcp 100 web.test 512)" = '100 answers of 42 bytes' ]
	# That name server asks another one itself, from an address that the container has, too.
	[ "$(lookups udp 10 up.test 512)" = '10 answers of 41 bytes' ]
	[ "$(lookups tcp 10 up.test 512)" = '10 answers of 41 bytes' ]
	vcrt exec "$ID" nslookup web.test 10.98.0.1 >out
	[ "$(grep -c '^Address: 10\.99\.0\.1$' out)" -eq 1 ]
}
