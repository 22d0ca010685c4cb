#!/usr/bin/env bash
# Make the guest's initramfs: initrd.sh AGENT MODULES OUTPUT
#
# With modules it is compressed with LZ4 in the old format, the only one that the kernel knows:
# median of 7 to the first byte on the agent's port under emulation, with 11.6 MB of archive, was
# 1.66 s with lz4, 1.70 s plain, 1.80 s gzip, 1.84 s zstd (QEMU has less to load than plain, and LZ4
# unpacks nearly as fast as memory is copied). The bare agent of the tuned flavour stays plain.
#
# AGENT (static) becomes /init; MODULES is a directory made by modules.sh, or "none". The archive is
# written here in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst),
# so that it needs neither root for the device nodes nor a scratch tree, and equal input gives an
# equal file.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

inode=0

pad() { # BYTES: zeros up to a multiple of four
	head -c "$((-$1 & 3))" /dev/zero
}

entry() { # PATH MODE [FILE [MAJOR MINOR]]; FILE "" is no content
	local path=$1 mode=$2 file=${3:-} major=${4:-0} minor=${5:-0} size=0

	[ -z "$file" ] || size=$(stat -Lc %s "$file")
	inode=$((inode + 1))
	printf '070701'
	# ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
	printf '%08x' "$inode" "$mode" 0 0 1 0 "$size" 0 0 "$major" "$minor" $((${#path} + 1)) 0
	printf '%s\0' "$path"
	pad $((110 + ${#path} + 1))
	[ -z "$file" ] || cat "$file"
	pad "$size"
}

archive() { # AGENT MODULES
	local dir file

	for dir in dev lib lib/modules; do
		entry "$dir" "$((8#40755))"
	done
	# The kernel opens /dev/console for PID 1 before anything can mount devtmpfs.
	entry dev/console "$((8#20600))" '' 5 1
	entry dev/null "$((8#20666))" '' 1 3
	entry init "$((8#100755))" "$1"
	if [ "$2" != none ]; then
		for file in "$2"/*; do
			entry "lib/modules/${file##*/}" "$((8#100644))" "$file"
		done
	fi
	entry 'TRAILER!!!' 0
}

check_agent() { # AGENT
	[ -f "$1" ] || die "the agent '$1' does not exist (build it: ninja -C build)"
	# No PT_INTERP: a dynamic /init would find no libraries in the guest.
	if ! readelf -lW "$1" >/dev/null 2>&1 || readelf -lW "$1" | grep -q INTERP; then
		die "the agent '$1' is not a static program"
	fi
}

[ $# -eq 3 ] || die "usage: initrd.sh AGENT MODULES|none OUTPUT"
need_tools readelf stat lz4
check_agent "$1"
if [ "$2" = none ]; then
	archive "$1" "$2" >"$3"
else
	archive "$1" "$2" | lz4 -l -9 -q - - >"$3"
fi
