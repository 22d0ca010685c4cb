#!/usr/bin/env bash
# Cold start against its floor. Usage: start.sh BUILD [CONFIG] [ROUNDS]
#
# Interleaved in one run, so that a slow moment of the machine hits both sides: the raw time of the
# same VMM, kernel and initrd from start to the agent's hello (raw-vm), and the whole command
# "vcrt run" of /bin/true. Prints both medians and their ratio, then the memory of the host
# processes of one running container. Exit status 1 when a target is missed.
set -euo pipefail

# shellcheck source=test/bench/common.bash
source "$(dirname "$0")/common.bash"

rounds=${3:-10}
max_ratio=1.25   # of vcrt run to the floor
max_pss_kib=2048 # shim and monitor together
id=bench-$$
trap '"${vcrt[@]}" delete --force "$id" || true; rm -rf "$work"' EXIT

make_bundle '["/bin/true"]'
"${vcrt[@]}" run --bundle "$work" "$id" # caches are warm for both
time_raw() {
	"$build/test/bench/raw-vm" boot ${config:+"$config"} | awk '/^reply/ { print $2 }' >>"$work/raw"
}

time_run() {
	timed "$work/run" "${vcrt[@]}" run --bundle "$work" "$id"
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
run=$(median_ms "$work/run")
ratio=$(awk -v a="$run" -v b="$raw" 'BEGIN { printf "%.3f", a / b }')
echo "raw boot to the agent's hello: $raw ms (median of $rounds)"
echo "vcrt run /bin/true:            $run ms (median of $rounds)"
echo "ratio:                         $ratio (at most $max_ratio)"

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
