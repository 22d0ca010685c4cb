#!/usr/bin/env bats
# vcrt spec: a config.json to start from.
load helpers

@test "spec: writes runc's document, with our version, name and a cgroup namespace" {
	mkdir ours theirs
	run vcrt spec --bundle ours
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(stat -c %a ours/config.json)" = 644 ]
	[ "$(ls -A ours)" = config.json ]
	runc spec --bundle theirs
	jq -e '.ociVersion == "1.3.0" and .hostname == "vcrt"' ours/config.json
	diff <(normal ours/config.json) <(normal theirs/config.json)
}

@test "spec: --rootless writes runc's document, too" {
	mkdir ours theirs
	(cd ours && vcrt spec --rootless)
	runc spec --rootless --bundle theirs
	diff <(normal ours/config.json) <(normal theirs/config.json)
}

# runc adds the cgroup namespace on hosts with cgroup v2 only.
normal() {
	jq -S '.ociVersion = "" | .hostname = "" |
		.linux.namespaces |= (map(.type) - ["cgroup"] | sort)' "$1"
}

@test "spec: does not replace a config.json" {
	mkdir bundle2
	cd bundle2
	vcrt spec
	cp config.json before
	run vcrt spec
	[ "$status" -eq 1 ]
	[[ $output == *"File config.json exists. Remove it first"* ]]
	cmp config.json before
	rm config.json
	ln -s /nonexistent config.json
	run vcrt spec
	[ "$status" -eq 1 ]
	[ -L config.json ]
}

@test "spec: a bundle that is not there is an error" {
	run vcrt spec --bundle /nonexistent
	[ "$status" -eq 1 ]
	[[ $output == *"open '/nonexistent': No such file or directory"* ]]
}

@test "spec: what it writes runs as it is, in a directory with rootfs" {
	local code=0
	rm "$B/config.json"
	cd "$B"
	vcrt spec
	cp config.json "$T/before"
	timeout 100 "$BATS_TEST_DIRNAME/terminal.py" run 24x80 expect='/ # ' \
		send='id -u; hostname; touch /x; tty; exit 4\n' -- \
		"$VCRT" "${VCRT_ARGS[@]}" run "$ID" >"$T/out" || code=$?
	cat -A "$T/out" >&2
	[ "$code" -eq 4 ]
	grep -q $'^0\r$' "$T/out"
	grep -q $'^vcrt\r$' "$T/out"
	grep -q 'Read-only file system' "$T/out"
	grep -q $'^/dev/' "$T/out"
	cmp config.json "$T/before"
	assert_nothing_left
}
