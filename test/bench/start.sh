#!/usr/bin/env bash
# Cold start against its floor. Usage: start.sh BUILD [CONFIG] [ROUNDS]
#
# Interleaved in one run, so that a slow moment of the machine hits both sides: the raw time of the
# same VMM, kernel and initrd from start to the agent's hello (raw-boot), and the whole command
# "vcrt run" of /bin/true. Prints both medians and their ratio, then the memory of the host
# processes of one running container. Exit status 1 when a target is missed.
set -euo pipefail

build=$(realpath "${1:?usage: start.sh BUILD [CONFIG] [ROUNDS]}")
config=${2:+$(realpath "$2")}
rounds=${3:-10}
max_ratio=1.25   # of vcrt run to the floor
max_pss_kib=2048 # shim and monitor together

vcrt=("$build/cmd/vcrt")
[ -z "$config" ] || vcrt+=(--config "$config")
work=$(mktemp -d)
id=bench-$$
vcrt+=(--root "$work/root")
trap '"${vcrt[@]}" delete --force "$id" || true; rm -rf "$work"' EXIT

make_bundle() {
	mkdir -p "$work/rootfs/bin"
	cp /bin/busybox "$work/rootfs/bin/busybox"
	ln -s busybox "$work/rootfs/bin/true"
	ln -s busybox "$work/rootfs/bin/sleep"
	(cd "$work" && "${vcrt[@]}" spec)
	jq --argjson args "$1" '.process.terminal = false | .process.args = $args' \
		"$work/config.json" >"$work/config.new"
	mv "$work/config.new" "$work/config.json"
}

now_ms() {
	local t=$EPOCHREALTIME
	echo "$((${t%.*} * 1000 + 10#${t#*.} / 1000))"
}

median() {
	sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

make_bundle '["/bin/true"]'
"${vcrt[@]}" run --bundle "$work" "$id" # caches are warm for both
time_raw() {
	"$build/test/bench/raw-boot" ${config:+"$config"} >>"$work/raw"
}

time_run() {
	local start

	start=$(now_ms)
	"${vcrt[@]}" run --bundle "$work" "$id"
	echo "$(($(now_ms) - start))" >>"$work/run"
}

# What ran before has an effect (memory that was just freed, caches): each side comes after itself
# as often as after the other one.
for ((i = 0; i < rounds; i++)); do
	if ((i % 2)); then
		time_run
		time_raw
	else
		time_raw
		time_run
	fi
done

raw=$(median <"$work/raw")
run=$(median <"$work/run")
ratio=$(awk -v a="$run" -v b="$raw" 'BEGIN { printf "%.3f", a / b }')
echo "raw boot to the agent's hello: $raw ms (median of $rounds)"
echo "vcrt run /bin/true:            $run ms (median of $rounds)"
echo "ratio:                         $ratio (at most $max_ratio)"

rm "$work/config.json" "$work/rootfs/bin"/*
rmdir "$work/rootfs/bin"
make_bundle '["sleep", "600"]'
"${vcrt[@]}" run --detach --bundle "$work" "$id" </dev/null >/dev/null 2>&1
state=$work/root/$id/state.json
pss=0
for who in shim monitor; do
	pid=$(jq ".vcrt.$who.pid" "$state")
	kib=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup")
	echo "memory of the $who:            $kib KiB PSS"
	pss=$((pss + kib))
done
echo "host processes besides the VMM: $pss KiB PSS (at most $max_pss_kib)"
awk -v r="$ratio" -v max="$max_ratio" -v p="$pss" -v pmax="$max_pss_kib" \
	'BEGIN { exit !(r <= max && p <= pmax) }'
