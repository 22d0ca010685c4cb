#!/usr/bin/env bats
# What all commands have in common: global options, output, descriptors. See also runc-parity.bats.
load helpers

@test "cli: global options come in every form and order" {
	local form
	for form in "--root $ROOT" "--root=$ROOT" "-root $ROOT" "-root=$ROOT" \
		"--debug=false --root $ROOT" "--systemd-cgroup --root $ROOT --log-format=json" \
		"--rootless true --root=$ROOT" "--rootless=auto --criu criu --root=$ROOT" \
		"--root /nonexistent --root $ROOT" "--root $ROOT --"; do
		# shellcheck disable=SC2086
		run "$VCRT" $form features
		[ "$status" -eq 0 ]
	done
}

@test "cli: what contradicts itself is refused, and named, for a container that is there" {
	create_container "$ID"
	run vcrt exec "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *"exec failed: process args cannot be empty"* ]]
	run vcrt exec -p /nonexistent "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *"exec failed: open '/nonexistent': "* ]]
	# As with runc, what stands beside a document is not refused.
	echo '{"args": ["echo", "from the document"], "cwd": "/", "env": ["PATH=/bin"]}' >process.json
	run --separate-stderr vcrt exec -p process.json -e A=B "$ID" true
	[ "$status" -eq 0 ]
	[ "$output" = 'from the document' ]
	[[ ${stderr:-} == *"--env has no effect beside --process, ignoring"* ]]
	[[ ${stderr:-} == *"a command has no effect beside --process, ignoring"* ]]
	truncate -s 5M process.json
	run vcrt exec -p process.json "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *"process.json"* ]]
	run vcrt kill "$ID" BADSIG
	[ "$status" -eq 1 ]
	[[ $output == *'unknown signal \"BADSIG\"'* ]]
}

@test "cli: what cannot be done is refused in one sentence" {
	local verb
	for verb in checkpoint restore; do
		run vcrt "$verb" --image-path here --work-path there --leave-running --file-locks \
			--manage-cgroups-mode ignore x
		[ "$status" -eq 1 ]
		[ "${#lines[@]}" -eq 1 ]
		[[ $output == *"checkpoint and restore are not supported"* ]]
	done
	run vcrt checkpoint -h
	[ "$status" -eq 0 ]
	[[ ${lines[1]} == *"vcrt checkpoint - not supported"* ]]
}

@test "cli: output that cannot be written is an error" {
	local verb
	for verb in features --help --version "help run"; do
		# shellcheck disable=SC2086
		run bash -c "'$VCRT' $verb >/dev/full"
		[ "$status" -eq 1 ]
		[[ $output == *"write 'standard output': No space left on device"* ]]
	done
}

@test "cli: works with all descriptors closed" {
	run bash -c "'$VCRT' features <&- >&- 2>&-"
	[ "$status" -eq 0 ]
	run bash -c "'$VCRT' --root '$ROOT' --log closed.log state nobody <&- >&- 2>&-"
	[ "$status" -eq 1 ]
	[ "$(wc -l <closed.log)" -eq 1 ]
}
