#!/usr/bin/env bats
# events: statistics from the guest, kills for want of memory, the end.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands; helpers set the variables
load helpers

@test "events: statistics are what the container's cgroup counts" {
	local interval
	edit '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}, cpu: {quota: 50000}}'
	start_container "$ID" sleep 1000
	vcrt exec "$ID" sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done'
	vcrt events --stats "$ID" >"$T/stats"
	[ "$(wc -l <"$T/stats")" -eq 1 ]
	jq -e --arg id "$ID" '.type == "stats" and .id == $id and (keys_unsorted == ["type","id","data"])
		and (.data | keys_unsorted) == ["cpu","cpuset","memory","pids","blkio","hugetlb",
			"intel_rdt","network_interfaces"]' "$T/stats"
	jq -e '.data.cpu.usage | .total > 1000000 and .kernel + .user > 0' "$T/stats"
	jq -e '.data.cpu.throttling.periods > 0' "$T/stats"
	jq -e '.data.memory | .usage.limit == 67108864 and .usage.usage > 4096 and
		.usage.failcnt == 0 and .swap.usage >= .usage.usage and .raw.anon > 0 and
		(.raw | keys_unsorted) == (.raw | keys)' "$T/stats"
	jq -e '.data.pids == {current: 1, limit: 50}' "$T/stats"
	jq -e '[.data | .. | numbers | . >= 0 and floor == .] | all' "$T/stats"

	# In the container itself the same numbers are found.
	vcrt update --memory 50M "$ID"
	[ "$(vcrt events --stats "$ID" | jq .data.memory.usage.limit)" = \
		"$(vcrt exec "$ID" cat /sys/fs/cgroup/memory.max)" ]
	for interval in 0 -5s; do
		run vcrt events "--interval=$interval" "$ID"
		[ "$status" -eq 1 ]
		[[ $output == *'duration interval must be greater than 0'* ]]
	done
	vcrt pause "$ID"
	vcrt events --stats "$ID" | jq -e .data.memory.usage.usage
	vcrt resume "$ID"
}

@test "events: at intervals, with kills for want of memory, until the container ends" {
	local pid kills
	edit '.linux.resources.memory = {limit: 33554432, swap: 33554432}'
	start_container "$ID" sleep 1000
	background "$VCRT" "${VCRT_ARGS[@]}" events --interval 300ms "$ID" >"$T/events"
	pid=$!
	wait_until 10 grep -q '"type":"stats"' "$T/events"
	run vcrt exec "$ID" tail /dev/zero # keeps all of a line
	[ "$status" -eq 137 ]
	wait_until 10 has_line "$T/events" "{\"type\":\"oom\",\"id\":\"$ID\"}"
	[ "$(status_of "$ID")" = running ]
	two_intervals() { [ "$(grep -c '"type":"stats"' "$T/events")" -ge 2 ]; }
	wait_until 10 two_intervals
	kills=$(vcrt exec "$ID" sed -n 's/^oom_kill //p' /sys/fs/cgroup/memory.events)
	vcrt kill "$ID" KILL
	wait_for 10 "$pid"
	# No kill is told twice.
	jq -e -s --argjson kills "$kills" '[.[] | select(.type == "oom")] | length <= $kills' "$T/events"
	jq -e -s --arg id "$ID" 'all(.id == $id) and (map(select(.type == "stats")) | length > 1)
		and all(.type == "oom" or (.type == "stats" and .data.memory.usage.limit == 33554432))' "$T/events"

	run vcrt events "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"container with id $ID is not running"* ]]
	run vcrt events --stats "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"container with id $ID is not running"* ]]
}

@test "events: options are checked as by runc" {
	local interval
	for interval in 5 abc 5x; do
		run vcrt events --interval "$interval" "$ID"
		[ "$status" -eq 1 ]
		[[ $output == *"Incorrect Usage: invalid value \"$interval\" for flag -interval: parse error"* ]]
	done
	run vcrt events "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'container does not exist'* ]]
	run vcrt events
	[ "$status" -eq 1 ]
	[[ $output == *'requires exactly 1 argument(s)'* ]]
}
