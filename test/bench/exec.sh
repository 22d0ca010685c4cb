#!/usr/bin/env bash
# The round trip of an exec against runc's. Usage: exec.sh BUILD [CONFIG] [ROUNDS]
#
# "vcrt exec ID true" and "runc exec ID true" in containers of the same root file system, one after
# the other in one run, so that a slow moment of the machine hits both. Prints both medians and
# their ratio. Exit status 1 when the target is missed.
set -euo pipefail
# shellcheck source=test/bench/common.bash
source "$(dirname "$0")/common.bash"

rounds=${3:-15}
max_ratio=3 # of vcrt exec to runc exec
id=bench-$$
runc=(runc --root "$work/runc")

command -v runc >/dev/null || {
	echo "runc is missing: there is nothing to compare with" >&2
	exit 1
}

end() {
	"${vcrt[@]}" delete --force "$id" || true
	"${runc[@]}" delete --force "$id-runc" || true
	rm -rf "$work"
}
trap end EXIT

make_bundle '["sleep", "3600"]'
"${vcrt[@]}" run --detach --bundle "$work" "$id" </dev/null >/dev/null 2>&1
"${runc[@]}" run --detach --bundle "$work" "$id-runc" </dev/null >/dev/null 2>&1
"${vcrt[@]}" exec "$id" true # caches are warm for both
"${runc[@]}" exec "$id-runc" true

for ((i = 0; i < rounds; i++)); do
	timed "$work/vcrt.times" "${vcrt[@]}" exec "$id" true
	timed "$work/runc.times" "${runc[@]}" exec "$id-runc" true
done

ours=$(median_ms "$work/vcrt.times")
theirs=$(median_ms "$work/runc.times")
ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')
echo "vcrt exec ID true: $ours ms (median of $rounds)"
echo "runc exec ID true: $theirs ms (median of $rounds)"
echo "ratio:             $ratio (at most $max_ratio)"
awk -v r="$ratio" -v max="$max_ratio" 'BEGIN { exit !(r <= max) }'
