#!/usr/bin/env bash
# vcrt state and vcrt list beside many containers. Usage: state.sh BUILD [CONFIG] [CONTAINERS]
#
# Makes so many real containers, a few at a time, and takes the time of both verbs with all of them
# running. Exit status 1 when a target is missed.
set -euo pipefail
# shellcheck source=test/bench/common.bash
source "$(dirname "$0")/common.bash"

containers=${3:-50}
at_once=4
rounds=21
max_ms=10 # each verb
id=bench-$$

# What is made in parallel is removed in parallel.
for_all() { # COMMAND... with {} for the number of a container
	seq "$containers" | xargs -P "$at_once" -I {} "$@"
}

end() {
	for_all "${vcrt[@]}" delete --force "$id-{}" || true
	rm -rf "$work"
}
trap end EXIT

make_bundle '["sleep", "3600"]'
for_all bash -c '"$@" </dev/null >/dev/null 2>"$0"' "$work/err.{}" \
	"${vcrt[@]}" run --detach --bundle "$work" "$id-{}" || {
	cat "$work"/err.* >&2
	exit 1
}
running=$("${vcrt[@]}" list --format json | jq '[.[] | select(.status == "running")] | length')
echo "containers that run: $running of $containers"

for ((i = 0; i < rounds; i++)); do
	timed "$work/list.times" "${vcrt[@]}" list
	timed "$work/state.times" "${vcrt[@]}" state "$id-$((i % containers + 1))"
done

list=$(median_ms "$work/list.times")
state=$(median_ms "$work/state.times")
echo "vcrt list:  $list ms (median of $rounds, at most $max_ms)"
echo "vcrt state: $state ms (median of $rounds, at most $max_ms)"
awk -v n="$running" -v all="$containers" -v a="$list" -v b="$state" -v max="$max_ms" \
	'BEGIN { exit !(n == all && a <= max && b <= max) }'
