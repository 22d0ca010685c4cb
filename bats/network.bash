# shellcheck shell=bash
# shellcheck disable=SC2154 # helpers.bash has set them
# Network namespaces of a test, files in $T, and wires between them.

new_namespace() { # NAME
	: >"$T/$1"
	unshare --net="$T/$1" true
	HOST_MOUNTS+=("$T/$1")
	inside "$1" ip link set lo up
}

inside() { # NAMESPACE COMMAND...
	nsenter --net="$T/$1" "${@:2}"
}

has_address() { # NAMESPACE INTERFACE
	inside "$1" ip -6 addr show dev "$2" scope link | grep -q inet6
}

# A veth pair, both ends up and with the addresses that they get by themselves: interface IF in namespace NS, PEER in PEER-NS.
wire() { # NS IF PEER-NS PEER [ATTRIBUTE...]
	inside "$1" ip link add "$2" "${@:5}" type veth peer name "$4" netns "$T/$3"
	inside "$1" ip link set "$2" up
	inside "$3" ip link set "$4" "${@:7}" up
	wait_until 30 has_address "$1" "$2"
	wait_until 30 has_address "$3" "$4"
}

use_namespace() { # NAME
	edit --arg p "$T/$1" '(.linux.namespaces[] | select(.type == "network")).path = $p'
}
