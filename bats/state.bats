#!/usr/bin/env bats
# vcrt state: the document of the specification, as runc prints it.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# Is the state what the schema says? It knows no "paused", which the specification allows.
valid() { # STATUS
	vcrt state "$ID" >"$T/state"
	[ "$(jq -r .status "$T/state")" = "$1" ]
	jq 'if .status == "paused" then .status = "running" else . end' "$T/state" >"$T/judged"
	"$BATS_TEST_DIRNAME/validate.py" state-schema.json "$T/judged"
}

@test "state: is what the schema says in every status, and names pid and bundle" {
	local pid
	args sleep 1000
	edit '.annotations = {b: "2", a: "1", "a.b": "3"}'
	create_container "$ID"
	valid created
	[ "$(jq -c keys_unsorted "$T/state")" = \
		'["ociVersion","id","pid","status","bundle","rootfs","created","annotations","owner"]' ]
	pid=$(pid_of shim "$ID")
	jq -e --arg id "$ID" --argjson pid "$pid" --arg b "$B" '.id == $id and .pid == $pid and
		.bundle == $b and .rootfs == $b + "/rootfs" and .ociVersion == "1.3.0" and
		.owner == "" and .annotations == {a: "1", b: "2", "a.b": "3"}' "$T/state"
	jq -e '.created | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]+Z$")' "$T/state"
	# Two spaces of indentation, no newline at the end.
	[ "$(sed -n 3p "$T/state")" = "  \"id\": \"$ID\"," ]
	[ "$(tail -c 1 "$T/state")" = '}' ]
	vcrt start "$ID"
	valid running
	[ "$(jq .pid "$T/state")" -eq "$pid" ]
	vcrt pause "$ID"
	valid paused
	vcrt kill "$ID" KILL
	wait_until 10 is_status "$ID" stopped
	valid stopped
	[ "$(jq .pid "$T/state")" -eq 0 ]
	is_gone "$pid"
	# The judge can say no.
	jq 'del(.bundle) | .pid = -1' "$T/state" >"$T/wrong"
	run "$BATS_TEST_DIRNAME/validate.py" state-schema.json "$T/wrong"
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 2 ]
}

@test "state: a container without annotations has none" {
	create_container "$ID"
	[ "$(vcrt state "$ID" | jq 'has("annotations")')" = false ]
}
