#!/bin/sh
# layers.sh ROOT: who may include whom (the table below), and nobody a *-internal.h of another
# folder. Prints each offence and fails.
set -eu
cd "$1"

find . \( -path './.*' -o -path './build*' \) -prune -o -name '*.[ch]' -type f -print |
	sed 's,^\./,,' |
	xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' |
	awk -F: '
	BEGIN {
		may["lib/base"] = "lib/base"
		may["oci"] = "oci lib/base"
		may["hypervisor"] = "hypervisor lib/base"
		may["netns"] = "netns lib/base"
		may["vfio"] = "vfio lib/base"
		may["blockdev"] = "blockdev lib/base"
		may["agent"] = "agent oci lib/base"
		may["agent/guest"] = "agent/guest agent oci lib/base"
		may["lib"] = "lib agent netns hypervisor blockdev vfio oci lib/base"
		may["cmd"] = "cmd lib oci lib/base"
		may["test"] = "*"
	}
	# The longest folder of the table that holds path, "" when there is none.
	function layer(path,   dir) {
		dir = path
		while (sub("/[^/]*$", "", dir))
			if (dir in may)
				return dir
		return ""
	}
	function dirname(path) {
		return sub("/[^/]*$", "", path) ? path : ""
	}
	function offence(text) {
		print $1 ":" $2 ": " text
		bad = 1
	}
	{
		split($0, part, "\"")
		header = part[2]
		from = layer($1)
		to = layer(header)
		if (from == "")
			offence("folder is not in the table of test/layers.sh")
		else if (from == "test")
			next
		else if (to == "")
			offence("include \"" header "\" does not start at the root")
		else if (index(" " may[from] " ", " " to " ") == 0)
			offence(from " may not include \"" header "\"")
		else if (from == "agent/guest" && header == "agent/agent.h")
			offence("\"" header "\" is the interface of the host side")
		else if (header ~ /-internal\.h$/ && dirname(header) != dirname($1))
			offence("\"" header "\" is internal to its folder")
	}
	END { exit bad }'
