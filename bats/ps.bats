#!/usr/bin/env bats
# vcrt ps: the processes of a container.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "ps: shows the container's processes and their host pids" {
	start_container "$ID" sh -c 'sleep 1001 & exec sleep 1002'
	vcrt ps "$ID" >"$T/ps"
	grep -q 'PID' <(head -n 1 "$T/ps")
	grep -q 'sleep 1001' "$T/ps"
	grep -q 'sleep 1002' "$T/ps"
	[ "$(vcrt ps -f json "$ID" | jq -c "index($(pid_of shim "$ID")) != null")" = true ]
}
