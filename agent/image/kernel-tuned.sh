#!/usr/bin/env bash
# Build the tuned guest kernel from Debian's source package: kernel-tuned.sh CACHE
#
# Prints the directory in CACHE that holds `vmlinux` and `release`. The build takes several minutes
# and is done once for each version of the source and of tuned.config. Set VCRT_JOBS for another
# number of compilers than one for each processor.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

package=linux-source-6.1
tarball=/usr/src/$package.tar.xz
jobs=${VCRT_JOBS:-$(nproc)}

# The version that would be built: of the installed package, else of apt's candidate.
source_version() { # CACHE
	local answer=$1/source-candidate version

	if [ -f "$tarball" ]; then
		dpkg-query -W -f '${Version}' "$package" 2>/dev/null || stat -c '%s.%Y' "$tarball"
		return
	fi
	if [ ! -s "$answer" ] || [ /var/lib/apt/lists -nt "$answer" ]; then
		version=$(apt-cache policy "$package" | awk '$1 == "Candidate:" { print $2 }')
		[ -n "$version" ] || die "apt does not know $package (apt-get update?)"
		echo "$version" >"$answer.$$"
		mv "$answer.$$" "$answer"
	fi
	cat "$answer"
}

unpack() { # VERSION SCRATCH
	local archive=$tarball

	if [ ! -f "$archive" ]; then
		say "fetching $package $1"
		(cd "$2" && apt-get -q -o APT::Sandbox::User=root download "$package=$1") \
			>"$2/log" 2>&1 || die "cannot fetch '$package': $(tail -n 1 "$2/log")"
		dpkg-deb -x "$2"/*.deb "$2" || die "cannot unpack '$package'"
		archive=$2$tarball
	fi
	say "unpacking the source"
	mkdir "$2/source"
	tar -x -C "$2/source" --strip-components=1 -f "$archive" || die "cannot unpack '$archive'"
}

kernel_make() { # SCRATCH ARGUMENT...
	local scratch=$1

	shift
	make -C "$scratch/source" O="$scratch/build" ARCH=x86_64 \
		KBUILD_BUILD_USER=vcrt KBUILD_BUILD_HOST=vcrt "$@"
}

# Show how far the build is, in place on a terminal, else a line a minute.
progress() {
	local files=0 step=500

	[ ! -t 2 ] || step=50
	while read -r _; do
		files=$((files + 1))
		[ $((files % step)) -ne 0 ] || say "building the kernel: $files files"
	done
}

compile() { # SCRATCH
	mkdir "$1/build"
	kernel_make "$1" KCONFIG_ALLCONFIG="$image_dir/tuned.config" allnoconfig >"$1/log" 2>&1 ||
		die "kernel configuration failed: $(tail -n 1 "$1/log")"
	"$image_dir/check-config.sh" "$image_dir/tuned.config" "$1/build/.config" ||
		die "tuned.config does not fit this kernel"
	say "building the kernel with $jobs jobs (some 2000 files, several minutes)"
	kernel_make "$1" -j"$jobs" vmlinux 2>"$1/errors" | tee "$1/log" | progress ||
		die "the kernel build failed: $(tail -n 20 "$1/errors")"
}

main() { # CACHE
	local version key dir

	mkdir -p "$1" || die "cannot create '$1'"
	version=$(source_version "$1")
	key=$(hash_of "$version" --file "$image_dir/tuned.config" --file "$image_dir/common.sh" \
		--file "${BASH_SOURCE[0]}")
	dir=$1/tuned-$key
	if [ ! -d "$dir" ]; then
		need_tools make gcc bc flex bison dpkg-deb tar strip
		scratch=$(scratch_beside "$dir")
		trap 'rm -rf "$scratch"' EXIT
		unpack "$version" "$scratch"
		compile "$scratch"
		mkdir "$scratch/out"
		strip -s -o "$scratch/out/vmlinux" "$scratch/build/vmlinux"
		cp "$scratch/build/include/config/kernel.release" "$scratch/out/release"
		publish "$scratch/out" "$dir"
		prune "$1/tuned-" 3
	fi
	echo "$dir"
}

[ $# -eq 1 ] || die "usage: kernel-tuned.sh CACHE"
main "$1"
