#!/usr/bin/env bash
# Take a guest kernel out of Debian's own package: kernel-debian.sh CACHE
#
# Prints the directory in CACHE that holds `vmlinux`, `modules/` (see modules.sh) and `release`.
# The kernel is the newest one installed with its modules, else the package that linux-image-amd64
# depends on. That one is fetched and unpacked but not installed: its installation scripts would
# build an initramfs for a machine that never boots it.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

meta_package=linux-image-amd64

# The newest kernel in /boot that has its modules: "RELEASE", or nothing.
installed_release() {
	local file release

	for file in /boot/vmlinuz-*; do
		release=${file#/boot/vmlinuz-}
		[ ! -d "/lib/modules/$release/kernel" ] || echo "$release"
	done | sort -V | tail -n 1
}

# "PACKAGE VERSION" of the candidate. Asking apt takes longer than everything else in a run with
# nothing to do, so the answer is kept until apt's lists change.
candidate() { # CACHE
	local answer=$1/candidate package version

	if [ ! -s "$answer" ] || [ /var/lib/apt/lists -nt "$answer" ]; then
		package=$(apt-cache depends --important "$meta_package" 2>/dev/null |
			awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
		[ -n "$package" ] ||
			die "no kernel in /boot, and apt does not know $meta_package (apt-get update?)"
		version=$(apt-cache policy "$package" | awk '$1 == "Candidate:" { print $2 }')
		echo "$package $version" >"$answer.$$"
		mv "$answer.$$" "$answer"
	fi
	cat "$answer"
}

fetch() { # PACKAGE VERSION DIR
	say "fetching $1 $2"
	# apt may drop root for the download only where that user can write; say nothing about it.
	(cd "$3" && apt-get -q -o APT::Sandbox::User=root download "$1=$2") >"$3/log" 2>&1 ||
		die "cannot fetch '$1': $(tail -n 1 "$3/log")"
	say "unpacking $1"
	dpkg-deb --fsys-tarfile "$3"/*.deb | tar -x -C "$3" ./boot ./lib/modules ||
		die "cannot unpack '$1'"
}

# Fill SCRATCH/out from a kernel below ROOT.
take() { # ROOT RELEASE SCRATCH
	local tree=$1/lib/modules/$2

	mkdir -p "$3/out/modules"
	say "taking vmlinux out of vmlinuz-$2"
	"$image_dir/vmlinux.sh" "$1/boot/vmlinuz-$2" "$3/out/vmlinux"
	say "collecting modules of $2"
	"$image_dir/modules.sh" "$tree" "$3/out/modules"
	echo "$2" >"$3/out/release"
}

main() { # CACHE
	local release version package='' key dir answer

	mkdir -p "$1" || die "cannot create '$1'"
	release=$(installed_release)
	if [ -n "$release" ]; then
		version=$(stat -c '%s.%Y' "/boot/vmlinuz-$release")
	else
		need_tools apt-get apt-cache dpkg-deb tar
		answer=$(candidate "$1")
		read -r package version <<<"$answer"
		release=${package#linux-image-}
	fi
	key=$(hash_of "$release" "$version" --file "${BASH_SOURCE[0]}" \
		--file "$image_dir/common.sh" --file "$image_dir/vmlinux.sh" \
		--file "$image_dir/modules.sh" --file "$image_dir/modules.list")
	dir=$1/debian-$release-$key
	if [ ! -d "$dir" ]; then
		scratch=$(scratch_beside "$dir")
		trap 'rm -rf "$scratch"' EXIT
		if [ -n "$package" ]; then
			fetch "$package" "$version" "$scratch"
			take "$scratch" "$release" "$scratch"
		else
			say "using the installed kernel $release"
			take '' "$release" "$scratch"
		fi
		publish "$scratch/out" "$dir"
		prune "$1/debian-" 3
	fi
	echo "$dir"
}

[ $# -eq 1 ] || die "usage: kernel-debian.sh CACHE"
main "$1"
