# shellcheck shell=bash
# What the benchmarks share: the program under test, a scratch directory, a busybox bundle, and
# medians. Sourced with the benchmark's own BUILD and CONFIG arguments.

build=$(realpath "${1:?usage: $0 BUILD [CONFIG] ...}")
config=${2:+$(realpath "$2")}
work=$(mktemp -d)
vcrt=("$build/cmd/vcrt")
[ -z "$config" ] || vcrt+=(--config "$config")
vcrt+=(--root "$work/root")

make_bundle() { # JSON of process.args
	local program

	mkdir -p "$work/rootfs/bin"
	cp /bin/busybox "$work/rootfs/bin/busybox"
	for program in true sleep; do
		ln -sf busybox "$work/rootfs/bin/$program"
	done
	rm -f "$work/config.json"
	(cd "$work" && "${vcrt[@]}" spec)
	jq --argjson args "$1" '.process.terminal = false | .process.args = $args' \
		"$work/config.json" >"$work/config.new"
	mv "$work/config.new" "$work/config.json"
}

# Run a command and add its wall time to a file, in microseconds. A failure ends the benchmark.
timed() { # FILE COMMAND...
	local start end

	start=$EPOCHREALTIME
	"${@:2}" </dev/null >/dev/null
	end=$EPOCHREALTIME
	echo "$((${end/[.,]/} - ${start/[.,]/}))" >>"$1"
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# The median of such a file, in milliseconds.
median_ms() { # FILE
	median <"$1" | awk '{ printf "%.1f", $1 / 1000 }'
}
