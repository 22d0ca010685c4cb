#!/usr/bin/env bash
# Take the uncompressed ELF kernel out of a bzImage: vmlinux.sh BZIMAGE VMLINUX
#
# A bzImage would be decompressed by the guest, a second of emulation for each boot. Where the
# compressed kernel lies is read from the setup header (Documentation/arch/x86/boot.rst: setup_sects
# at 0x1f1, "HdrS" at 0x202, payload_offset at 0x248, payload_length at 0x24c), never searched for.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# An unsigned little-endian number of the file.
number_at() { # FILE OFFSET BYTES
	od -An -v --endian=little -tu"$3" -j"$2" -N"$3" "$1" | tr -d ' \n'
}

bytes_at() { # FILE OFFSET BYTES, as hex digits
	od -An -v -tx1 -j"$2" -N"$3" "$1" | tr -d ' \n'
}

# The program that unpacks a payload, by its first bytes.
unpacker() { # HEX
	case $1 in
	fd377a585a00*) echo xz ;;
	28b52ffd*) echo zstd ;;
	02214c18*) echo lz4 ;;
	1f8b*) echo gzip ;;
	*) return 1 ;;
	esac
}

# QEMU enters the kernel through the address in this note (owner "Xen", type 18).
has_pvh_note() { # VMLINUX
	readelf -nW "$1" 2>/dev/null | grep -q 'Xen .*0x00000012'
}

extract() { # BZIMAGE VMLINUX
	local sects offset length tool

	[ "$(bytes_at "$1" 514 4)" = 48647253 ] || die "'$1' is not a bzImage"
	sects=$(number_at "$1" 497 1)
	[ "$sects" -gt 0 ] || sects=4
	offset=$(((sects + 1) * 512 + $(number_at "$1" 584 4)))
	length=$(number_at "$1" 588 4)
	[ "$((offset + length))" -le "$(stat -c %s "$1")" ] || die "'$1' is truncated"
	tool=$(unpacker "$(bytes_at "$1" "$offset" 6)") ||
		die "'$1' is compressed in a way that is not known here"
	need_tools "$tool" readelf
	# The payload's last four bytes are the unpacked size, which the tools would take for a
	# damaged next frame.
	dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count="$((length - 4))" \
		status=none | "$tool" -dc >"$2" ||
		die "cannot unpack the kernel in '$1' with $tool"
	[ "$(stat -c %s "$2")" = "$(number_at "$1" "$((offset + length - 4))" 4)" ] ||
		die "the kernel in '$1' has not the size that its header names"
	has_pvh_note "$2" || die "the kernel in '$1' was built without PVH (CONFIG_PVH)"
}

[ $# -eq 2 ] || die "usage: vmlinux.sh BZIMAGE VMLINUX"
extract "$1" "$2"
