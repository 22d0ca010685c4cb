#!/usr/bin/env bats
# vcrt ps: the processes of a container.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load parity

@test "ps: shows the container's processes and their host pids" {
	start_container "$ID" sh -c 'sleep 1001 & exec sleep 1002'
	# At first both are the shell, whose command line has the same words.
	both_sleep() {
		vcrt ps "$ID" >"$T/ps" && ! grep -q 'sh -c' "$T/ps" && [ "$(grep -c sleep "$T/ps")" -eq 2 ]
	}
	wait_until 20 both_sleep
	grep -q 'PID' <(head -n 1 "$T/ps")
	grep -q 'sleep 1001' "$T/ps"
	grep -q 'sleep 1002' "$T/ps"
	[ "$(vcrt ps -f json "$ID" | jq -c "index($(pid_of shim "$ID")) != null")" = true ]
}

@test "ps: has the columns that runc's ps has, whatever options choose them" {
	local options
	needs runc
	args sleep 1000
	runc_bundle
	start_container "$ID" sleep 1000
	runc run -d --bundle "$T/runc-bundle" "$ID" </dev/null >"$T/c.out" 2>&1
	for options in '' -ef '-e -f' '-e' '-e -x' aux 'a x' '-o pid,args' '-e -o pid,ppid,stat,comm' \
		'-o user,pid,tty,time,%cpu,%mem,vsz,rss'; do
		# shellcheck disable=SC2086
		vcrt ps "$ID" $options >"$T/ours"
		# shellcheck disable=SC2086
		runc ps "$ID" $options >"$T/theirs"
		diff <(head -n 1 "$T/ours" | tr -s ' ') <(head -n 1 "$T/theirs" | tr -s ' ')
		[ "$(wc -l <"$T/ours")" -eq 2 ]
		[[ $(tail -n 1 "$T/ours") == *sleep* || $options == *rss* ]]
	done
	[[ $(vcrt ps "$ID" aux | tail -n 1) =~ ^root\ +[0-9]+\ +[0-9.]+\ +[0-9.]+\ +[1-9][0-9]*\ +[1-9][0-9]*\ .*S ]]
	same ps "$ID" -o args
	run vcrt ps "$ID" -l
	[ "$status" -eq 1 ]
	[[ $output == *"ps option '-l' is not supported"* ]]
	# JSON looks at no option.
	same ps -f json "$ID" -l
	vcrt kill "$ID" 9
	wait_until 10 is_status "$ID" stopped
	[ "$(vcrt ps "$ID" | tr -s ' ')" = 'UID PID PPID C STIME TTY TIME CMD' ]
	[ "$(vcrt ps -f json "$ID")" = null ]
}
