#!/bin/sh
# run.sh BUILD SECONDS [NAME...]: build the fuzz targets in BUILD (meson setup -Dfuzz=true with
# CC=clang) and run each, or those named, for SECONDS. Fails on the first crash, leak, time-out or
# use of too much memory; the input that did it is left in BUILD/fuzz.
set -eu

usage() {
	echo "usage: $0 BUILD SECONDS [NAME...]" >&2
	exit 2
}

[ $# -ge 2 ] || usage
build=$1
seconds=$2
shift 2
case $seconds in '' | 0 | *[!0-9]*) usage ;; esac

here=$(cd "$(dirname "$0")" && pwd)
ninja -C "$build" -j2 fuzzers
mkdir -p "$build/fuzz"

if [ $# -eq 0 ]; then
	for target in "$build"/test/fuzz/fuzz_*; do
		if [ -f "$target" ] && [ -x "$target" ]; then
			set -- "$@" "${target##*/fuzz_}"
		fi
	done
fi
[ $# -gt 0 ] || { echo "$0: no fuzz targets in '$build'" >&2; exit 1; }

for name in "$@"; do
	# What is found is kept in the build directory and is where the next run starts.
	corpus=$build/fuzz/corpus-$name
	mkdir -p "$corpus"
	echo "fuzz: $name for $seconds s"
	set -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
		-verbosity=0 -print_final_stats=1 -artifact_prefix="$build/fuzz/$name-"
	[ ! -e "$here/$name.dict" ] || set -- "$@" -dict="$here/$name.dict"
	set -- "$@" "$corpus"
	[ ! -d "$here/seeds/$name" ] || set -- "$@" "$here/seeds/$name"
	"$build/test/fuzz/fuzz_$name" "$@"
done
