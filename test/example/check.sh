#!/bin/sh
# check.sh BUILD EXAMPLE.c [SCRATCH]: install BUILD into an empty directory and compile the example
# against nothing but what was installed there: header, library, pkg-config file. Also from C++ when
# there is a compiler, and the library must export its public functions only. With SCRATCH what was
# made stays there: SCRATCH/run-container, to be run with LD_LIBRARY_PATH from SCRATCH/libdir.
set -eu

build=$1
example=$2
scratch=${3:-}

if [ -z "$scratch" ]; then
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
fi
dest=$scratch/dest

fail() {
	echo "check.sh: $*" >&2
	exit 1
}

DESTDIR=$dest meson install -C "$build" --no-rebuild --quiet >"$scratch/install.log" 2>&1 || {
	cat "$scratch/install.log" >&2
	fail "the installation failed"
}
pc=$(find "$dest" -name libvcrt.pc)
[ -n "$pc" ] || fail "no libvcrt.pc was installed"
header=$(find "$dest" -path '*/include/*' -name '*.h')
[ "$(basename "$header")" = vcrt.h ] || fail "other headers than vcrt.h were installed: $header"

# The paths in the file are those of the prefix: look below the scratch directory for them.
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$dest"
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
# What the library itself needs is no concern of a program that is linked with it dynamically.
flags=$(pkg-config --cflags --libs libvcrt)
libdir=$(pkg-config --variable=libdir libvcrt)
case $libdir in "$dest"*) ;; *) libdir=$dest$libdir ;; esac

# A library with sanitizers wants them in the program, too.
so=$(find "$dest" -name 'libvcrt.so.*' -type f)
sanitize=
if nm -D --undefined-only "$so" | grep -q __asan_; then
	sanitize=-fsanitize=address,undefined
fi

# shellcheck disable=SC2086 # flags are words
compile() { # COMPILER OPTION...
	"$@" $flags $sanitize -Wl,-rpath-link,"$libdir"
}
compile "${CC:-cc}" -std=gnu11 -Wall -Wextra -Werror -o "$scratch/run-container" "$example"
echo "$libdir" >"$scratch/libdir"

if command -v c++ >/dev/null; then
	echo '#include <vcrt.h>
	int main() { struct vcrt_error e = vcrt_error(); vcrt_error_clear(&e); return 0; }' \
		>"$scratch/plus.cc"
	compile c++ -Wall -Wextra -Werror -o "$scratch/plus" "$scratch/plus.cc"
fi

# Every function of the header is there, and nothing else is.
nm -D --defined-only "$so" | awk '$2 ~ /[A-Z]/ { print $3 }' | sed 's/@.*//' |
	sort >"$scratch/exported"
sed -n 's/^VCRT_API .*[ *]\(vcrt_[a-z_]*\)(.*/\1/p' "$header" | sort >"$scratch/declared"
[ -s "$scratch/declared" ] || fail "no functions in $header"
diff "$scratch/declared" "$scratch/exported" >&2 ||
	fail "the library exports (>) not what the header declares (<)"

# It runs as far as it can without a virtual machine.
status=0
LD_LIBRARY_PATH=$libdir ASAN_OPTIONS=${ASAN_OPTIONS:-} \
	"$scratch/run-container" 2>"$scratch/usage" || status=$?
if [ "$status" != 125 ] || ! grep -q '^usage: ' "$scratch/usage"; then
	cat "$scratch/usage" >&2
	fail "the example does not run: status $status"
fi
