#!/usr/bin/env bash
# Collect the modules named in modules.list: modules.sh TREE DIR
#
# TREE is a kernel's lib/modules/RELEASE. DIR receives the stripped modules, flat, and the files
# `order`, `early`, `late` and `lazy`, in load order, with one line for each module:
#
#     NAME PATH [DEPENDENCY]...
#
# NAME as /proc/modules has it; PATH in the guest; every dependency has a line of its own in an
# earlier place of the same file or in the file of an earlier stage.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

declare -A file_of  # name -> file in TREE
declare -A extra_of # name -> needs from modules.list
declare -A done_of  # name -> it has its line

index_tree() { # TREE
	local file name

	while read -r file; do
		name=${file##*/}
		name=${name%%.ko*}
		file_of[${name//-/_}]=$file
	done < <(find "$1" -name '*.ko' -o -name '*.ko.xz' -o -name '*.ko.zst' -o -name '*.ko.gz')
	[ "${#file_of[@]}" -gt 0 ] || die "no modules below '$1'"
}

# Debian 12 ships plain modules; a newer kernel compresses them.
copy_module() { # FILE TO
	case $1 in
	*.xz) xz -dc "$1" >"$2" ;;
	*.zst) zstd -dqc "$1" >"$2" ;;
	*.gz) gzip -dc "$1" >"$2" ;;
	*) cp "$1" "$2" ;;
	esac
	# Dead weight goes: debug information, types for BPF tracing, trace events (the kernel looks
	# at all that it has for each module that brings some), stack unwinding tables (it sorts
	# them while loading; a backtrace through a module guesses instead). So does the signature,
	# on purpose: without secure boot the kernel does not ask for it, and checking it is slow
	# under emulation.
	strip -g -R .BTF -R .orc_unwind -R .orc_unwind_ip \
		-R _ftrace_events -R _ftrace_eval_map -R __bpf_raw_tp_map "$2"
}

# Modules built into this kernel need no file.
is_builtin() { # NAME TREE
	grep -qE "/${1//_/[-_]}\.ko\$" "$2/modules.builtin"
}

add() { # NAME STAGE TREE DIR
	local name=$1 stage=$2 tree=$3 dir=$4 dep deps='' file

	[ -z "${done_of[$name]:-}" ] || return 0
	if is_builtin "$name" "$tree"; then
		return 0
	fi
	file=${file_of[$name]:-}
	[ -n "$file" ] || die "the kernel has no module '$name' (tree '$tree')"
	for dep in $(modinfo -F depends "$file" | tr ',-' ' _') ${extra_of[$name]:-}; do
		is_builtin "$dep" "$tree" && continue
		add "$dep" "$stage" "$tree" "$dir"
		deps+=" $dep"
	done
	copy_module "$file" "$dir/$name.ko"
	echo "$name /lib/modules/$name.ko$deps" >>"$dir/$stage"
	done_of[$name]=1
}

collect() { # TREE DIR
	local stage name extra wanted
	local -a lines

	index_tree "$1"
	mapfile -t lines < <(grep -vE '^(#|$)' "$image_dir/modules.list")
	for wanted in "${lines[@]}"; do
		read -r _ name extra <<<"$wanted"
		extra_of[$name]=$extra
	done
	for stage in order early late lazy; do
		: >"$2/$stage"
		for wanted in "${lines[@]}"; do
			[ "${wanted%% *}" = "$stage" ] || continue
			read -r _ name _ <<<"$wanted"
			add "$name" "$stage" "$1" "$2"
		done
	done
}

[ $# -eq 2 ] || die "usage: modules.sh TREE DIR"
need_tools modinfo strip
collect "$1" "$2"
