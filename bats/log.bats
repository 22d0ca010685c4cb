#!/usr/bin/env bats
# --log and --log-format: what containerd, podman and CRI-O read after a failure.
load helpers

@test "log: the file is made, and stays empty when all goes well" {
	vcrt --log "$T/log" --log-format json run --bundle "$B" "$ID" </dev/null
	[ -f "$T/log" ]
	[ ! -s "$T/log" ]
	[ "$(stat -c %a "$T/log")" = 644 ]
	vcrt --log "$T/log" --log-format json delete --force "$ID"
	[ ! -s "$T/log" ]
}

@test "log: a failure is one record of JSON, and the bare text on standard error" {
	run -1 --separate-stderr vcrt --log="$T/log" --log-format=json state "$ID"
	[ -z "$output" ]
	# shellcheck disable=SC2154 # run sets it
	[ "$stderr" = 'container does not exist' ]
	[ "$(wc -l <"$T/log")" -eq 1 ]
	jq -e '.level == "error" and .msg == "container does not exist" and
		(.time | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9:]{5})$")) and
		(keys_unsorted == ["level", "msg", "time"])' "$T/log"
	# The next one is appended.
	edit '.process.args = ["/no/such \"program\" <&>"]'
	run -1 vcrt --log "$T/log" --log-format json create --bundle "$B" "$ID"
	[ "$(wc -l <"$T/log")" -eq 2 ]
	[ "$(jq -r .msg "$T/log" | tail -n 1)" = "$output" ]
	[[ $output == *'stat /no/such "program" <&>: no such file or directory'* ]]
	assert_nothing_left
}

@test "log: text records, in the file or on standard error" {
	local record='^time="20[^"]*Z" level=error msg="container does not exist"$'
	run -1 --separate-stderr vcrt --log "$T/log" state "$ID"
	[ "$stderr" = 'container does not exist' ]
	[[ $(cat "$T/log") =~ $record ]]
	run -1 --separate-stderr vcrt state "$ID"
	[[ $stderr =~ $record ]]
	run -1 --separate-stderr vcrt --log-format json state "$ID"
	[ "$(jq -r .level <<<"$stderr")" = error ]
}

@test "log: failures before the container exists, and of exec, are in the file, too" {
	run vcrt --log "$T/log" --log-format json create --bundle /no/such/bundle "$ID"
	[ "$status" -eq 1 ]
	jq -e '.msg | contains("chdir /no/such/bundle: no such file or directory")' "$T/log"
	rm "$T/log"
	start_container "$ID" sleep 1000
	run vcrt --log "$T/log" --log-format json exec "$ID" no-such-program
	[ "$status" -eq 255 ]
	[ "$(jq -s 'map(select(.level == "error")) | length' "$T/log")" -eq 1 ]
	jq -e '.msg | contains("executable file not found in $PATH")' "$T/log"
	# A log that cannot be opened is an error of its own.
	run vcrt --log /no/such/dir/log state "$ID"
	[ "$status" -eq 1 ]
	[[ $output == */no/such/dir/log* ]]
}

@test "log: the log file is there whatever fails afterwards" {
	local i=0
	check_log() {
		i=$((i + 1))
		run vcrt --log "$i.log" --log-format json "$@"
		[ "$status" -ne 0 ]
		[ "$(jq -rs 'length, .[0].level' "$i.log" | tr '\n' ' ')" = "1 error " ]
	}
	check_log --bogus list
	check_log bogus
	check_log create
	check_log create --bogus x
	check_log create --bundle /nonexistent x
	check_log list --format wrong
	check_log exec x
	check_log checkpoint --image-path here --leave-running x
	check_log restore --image-path here x
	run vcrt --log ok.log list
	[ "$status" -eq 0 ]
	[ -e ok.log ] && [ ! -s ok.log ]
}

# The phases of the verb and of the monitor, in the order of their beginnings from the start of the verb.
check_timeline() { # FILE PROCESS/NAME...
	local file=$1 phase
	shift
	sed -nE 's/^\+[0-9.]+ ms: timeline: ([a-z]+) +([a-z-]+) +([0-9]+\.[0-9]) +([0-9]+\.[0-9])$/\1\/\2 \3 \4/p' \
		"$file" >"$T/phases"
	cat "$T/phases" >&2
	[ "$(grep -c ': timeline: ' "$file")" -eq "$(wc -l <"$T/phases")" ]
	for phase; do
		grep -q "^$phase " "$T/phases"
	done
	sort -c -s -n -k 2,2 "$T/phases"
	awk '$3 < $2 { exit 1 }' "$T/phases"
}

@test "log: --debug adds records about every step, with milliseconds, where the others go" {
	args sleep 1000
	vcrt --debug --log "$T/log" --log-format json create --bundle "$B" "$ID" </dev/null 2>"$T/err"
	[ ! -s "$T/err" ]
	jq -se 'length > 4 and all(.level == "debug" and (.msg | test("^\\+[0-9]+\\.[0-9] ms: ")))' "$T/log"
	jq -re .msg "$T/log" >"$T/steps"
	grep -q ": vcrt .*: create$" "$T/steps"
	grep -q "monitor .* is process $(pid_of monitor "$ID")$" "$T/steps"
	grep -q "stand-in of '$ID' is process $(pid_of shim "$ID")$" "$T/steps"
	grep -q ": '$ID' is created$" "$T/steps"
	check_timeline "$T/steps" verb/{document,launch,stand-in,set-up,create} \
		monitor/{share,spawn,agent-hello,sandbox,share,container}
	# Without a log file they go to standard error, for every verb.
	local verb
	for verb in start 'kill 0' state ps pause resume 'exec true'; do
		# shellcheck disable=SC2086
		set -- $verb
		vcrt --debug "$1" "$ID" "${@:2}" >"$T/out" 2>"$T/err"
		grep -qE "^time=\"[^\"]+\" level=debug msg=\"\+[0-9]+\.[0-9] ms: vcrt .*: $1\"$" "$T/err"
	done
	[ "$(vcrt exec "$ID" true 2>&1)" = '' ]
	vcrt --debug --log "$T/log2" --log-format json exec "$ID" true
	jq -re .msg "$T/log2" >"$T/steps"
	check_timeline "$T/steps" verb/exec monitor/exec verb/process
	vcrt --debug delete --force "$ID" 2>"$T/err"
	grep -q 'level=debug .*ask: delete' "$T/err"
}

# Detached, without a log of its own and without a terminal, standard error is the container's.
@test "log: warnings do not get into the output of a detached container" {
	edit '.process.apparmorProfile = "docker-default"'
	args sh -c 'echo to-stderr >&2; sleep 1000'
	vcrt run -d --bundle "$B" "$ID" </dev/null >"$T/out" 2>"$T/err"
	wait_until 20 has_line "$T/err" to-stderr
	[ "$(cat "$T/err")" = to-stderr ]
	grep -q 'level=warning msg="process.apparmorProfile: ' "$RUN"/*/monitor.log
	# So it is with exec; in the foreground they are for whoever called.
	jq -n '{args: ["sh", "-c", "echo also >&2"], cwd: "/", env: ["PATH=/bin"], selinuxLabel: "a:b:c:d"}' >"$T/p.json"
	vcrt exec -d --process "$T/p.json" "$ID" </dev/null >"$T/out" 2>"$T/err2"
	wait_until 20 has_line "$T/err2" also
	[ "$(cat "$T/err2")" = also ]
	grep -q 'level=warning msg="process.selinuxLabel: ' "$RUN"/*/monitor.log
	vcrt exec --process "$T/p.json" "$ID" </dev/null 2>"$T/err3"
	grep -q 'level=warning msg="process.selinuxLabel: ' "$T/err3"
	# With a log they are there, and after a failure before the error.
	vcrt --log "$T/log" exec -d --process "$T/p.json" "$ID" </dev/null >"$T/out" 2>"$T/err2"
	grep -q 'level=warning msg="process.selinuxLabel: ' "$T/log"
	vcrt delete --force "$ID"
	edit 'del(.process.apparmorProfile) | .windows = {}'
	args no-such-program
	run -1 vcrt create --bundle "$B" "$ID"
	[[ ${lines[0]} == *"level=warning"*"'windows' is for another platform"* ]]
	[[ ${lines[1]} == *'level=error'*'executable file not found'* ]]
}
