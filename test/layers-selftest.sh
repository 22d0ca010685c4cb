#!/bin/sh
# layers.sh must notice each kind of offence, and nothing else.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

# try EXPECTED FILE HEADER: FILE includes HEADER; EXPECTED is "" or a part of the complaint.
try() {
	rm -rf "${tree:?}"/*
	mkdir -p "$tree/$(dirname "$2")"
	printf '#include <stdio.h>\n\n#include "%s"\n' "$3" >"$tree/$2"
	if output=$("$here/layers.sh" "$tree" 2>&1); then status=0; else status=$?; fi
	if [ -z "$1" ] && [ $status -eq 0 ] && [ -z "$output" ]; then
		return
	fi
	if [ -n "$1" ] && [ $status -ne 0 ]; then
		case $output in "$2:3: "*"$1"*) return ;; esac
	fi
	echo "$2 includes $3: expected '$1', got status $status: $output" >&2
	failures=$((failures + 1))
}

try "" lib/base/a.c lib/base/b.h
try "" lib/monitor.c hypervisor/hypervisor.h
try "" lib/monitor.c oci/oci.h
try "" lib/monitor.c lib/monitor-internal.h
try "" cmd/main.c lib/vcrt.h
try "" agent/guest/main.c agent/protocol.h
try "" test/test_x.c hypervisor/qemu-internal.h
try "" build-x/generated.c nonsense.h

try 'lib/base may not include "oci/oci.h"' lib/base/a.c oci/oci.h
try 'lib/base may not include "lib/share.h"' lib/base/a.c lib/share.h
try 'oci may not include "agent/agent.h"' oci/a.c agent/agent.h
try 'hypervisor may not include "vfio/vfio.h"' hypervisor/a.c vfio/vfio.h
try 'hypervisor may not include "oci/oci.h"' hypervisor/a.c oci/oci.h
try 'vfio may not include "netns/netns.h"' vfio/a.h netns/netns.h
try 'agent may not include "lib/vcrt.h"' agent/a.c lib/vcrt.h
try 'agent may not include "agent/guest/guest.h"' agent/a.c agent/guest/guest.h
try 'agent/guest may not include "hypervisor/hypervisor.h"' agent/guest/a.c hypervisor/hypervisor.h
try 'interface of the host side' agent/guest/a.c agent/agent.h
try 'lib may not include "cmd/cmd.h"' lib/a.c cmd/cmd.h
try 'lib may not include "agent/guest/guest.h"' lib/a.c agent/guest/guest.h
try 'cmd may not include "hypervisor/hypervisor.h"' cmd/a.c hypervisor/hypervisor.h
try 'is internal to its folder' lib/a.c hypervisor/qemu-internal.h
try 'is internal to its folder' lib/a.c lib/base/json-internal.h
try 'is internal to its folder' agent/guest/a.c agent/mux-internal.h
try 'does not start at the root' lib/a.c share.h
try 'lib may not include "test/scratch.h"' lib/a.c test/scratch.h
try 'not in the table' newfolder/a.c lib/base/str.h

[ $failures -eq 0 ]
