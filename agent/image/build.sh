#!/usr/bin/env bash
# Build the guest's kernel and initramfs. See --help; DESIGN section 5 says what the flavours are.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

top=$(cd "$image_dir/../.." && pwd)
flavour=debian
agent=$top/build/agent/vcrt-agent
output=$top/build/image
cache=/var/cache/vcrt/image
[ -w /var/cache ] || cache=${XDG_CACHE_HOME:-$HOME/.cache}/vcrt/image

usage() {
	cat <<-END
		usage: build.sh [--flavour debian|tuned] [--agent FILE] [--output DIR] [--cache DIR]

		Writes vmlinux, initrd.img and image.json to DIR, or nothing when they are up to date.

		  --flavour debian  Debian's kernel with its modules, quick to make (default)
		  --flavour tuned   a kernel of our own configuration, quicker to boot; the first
		                    build takes several minutes
		  --agent FILE      the static agent ($agent)
		  --output DIR      ($output)
		  --cache DIR       kernels are kept here ($cache)
	END
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--flavour | --agent | --output | --cache)
			[ -n "${2:-}" ] || die "option '$1' needs a value"
			printf -v "${1#--}" '%s' "$2"
			shift 2
			;;
		*) die "unknown argument '$1' (see --help)" ;;
		esac
	done
	case $flavour in
	debian | tuned) ;;
	*) die "unknown flavour '$flavour': debian or tuned" ;;
	esac
	[ -f "$agent" ] || die "the agent '$agent' does not exist (build it: ninja -C build)"
}

sha256_of() { # FILE
	sha256sum <"$1" | cut -d' ' -f1
}

project_version() {
	sed -n "s/^ *version: '\\(.*\\)',\$/\\1/p" "$top/meson.build" | head -n 1
}

# The description is written last, and names the inputs and both files by hash: what it describes
# is complete and unchanged.
is_current() { # KEY
	local json=$output/image.json file

	grep -qF "\"key\": \"$1\"" "$json" 2>/dev/null || return 1
	for file in vmlinux initrd.img; do
		[ -f "$output/$file" ] || return 1
		grep -qF "\"$(sha256_of "$output/$file")\"" "$json" || return 1
	done
}

describe() { # KEY RELEASE SCRATCH
	cat <<-END
		{
		  "flavour": "$flavour",
		  "kernel": "$2",
		  "vmlinux_sha256": "$(sha256_of "$3/vmlinux")",
		  "initrd_sha256": "$(sha256_of "$3/initrd.img")",
		  "agent_version": "$(project_version)",
		  "agent_sha256": "$(sha256_of "$agent")",
		  "key": "$1"
		}
	END
}

make_image() { # KEY KERNEL
	local modules=none file

	scratch=$(scratch_beside "$output/image.json")
	trap 'rm -rf "$scratch"' EXIT
	[ ! -d "$2/modules" ] || modules=$2/modules
	say "making the initramfs"
	"$image_dir/initrd.sh" "$agent" "$modules" "$scratch/initrd.img"
	cp "$2/vmlinux" "$scratch/vmlinux"
	describe "$1" "$(<"$2/release")" "$scratch" >"$scratch/image.json"
	rm -f "$output/image.json"
	for file in vmlinux initrd.img image.json; do
		chmod 644 "$scratch/$file"
		mv "$scratch/$file" "$output/$file"
	done
}

main() {
	local kernel key

	parse "$@"
	mkdir -p "$output" || die "cannot create '$output'"
	exec 9>"$output/.lock"
	flock 9
	kernel=$("$image_dir/kernel-$flavour.sh" "$cache" 9>&-)
	key=$(hash_of "$(basename "$kernel")" --file "$agent" --file "${BASH_SOURCE[0]}" \
		--file "$image_dir/initrd.sh" --file "$image_dir/common.sh")
	if is_current "$key"; then
		say "$flavour image in '$output' is up to date"
		return
	fi
	make_image "$key" "$kernel"
	say "$flavour image with kernel $(<"$kernel/release") is in '$output'"
}

main "$@"
