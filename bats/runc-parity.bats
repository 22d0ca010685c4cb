#!/usr/bin/env bats
# The same calls to vcrt and to runc: with wrong usage, and about containers in every state. What
# differs on purpose is named here, with its reason:
# - help texts, the version, "check" and "env", the order of keys in "features": our own
# - ps shows the pids in the virtual machine, where the first process of a created container is the
#   agent's (/init); "ps -f json" has pids of the host, as runc
# - checkpoint and restore are refused at once: CRIU cannot see into a virtual machine
# - exec --apparmor, --process-label: the guest has neither module, a warning says so
# - an option may be given in both its forms ("-e A=B --env C=D"), which runc refuses
# - a switch behind the id does not swallow the argument behind it ("kill ID --all 9")
# - exec --ignore-paused hangs with runc on cgroup v1
# - messages about files: ours have the path in quotes, and the words of the C library
# shellcheck disable=SC2030,SC2031 # every test is a subshell
load helpers
load parity

setup_file() {
	needs runc
}

@test "parity: a wrong number of arguments" {
	local verb
	for verb in create start run exec kill delete state list ps pause resume update events spec; do
		same "$verb" --bogus
		same "$verb" -x
		same "$verb" --bogus=x a
		same "$verb" a --bogus b c
		same "$verb" -- a b c d
		same "$verb" --help=maybe
		same "$verb" --help --bogus
	done
	for verb in create start run exec kill delete state ps pause resume update events; do
		same "$verb"
		same "$verb" --
	done
	for verb in create start run delete state pause resume update events; do
		same "$verb" a b
	done
	same kill a 9 c
	same list a
	same spec a
	same features a
	same bogus
	same help bogus
	same help list a b
	same --help list
	same list --help
	same list -h=true a
}

@test "parity: wrong options and values" {
	same --bogus list
	same --debug=maybe list
	same --log-format wrong list
	same --rootless=bogus list
	same --root
	same --log
	same --help --bogus
	same --version --bogus
	same create --bogus x
	same create --preserve-fds x y
	same create --preserve-fds
	same create --preserve-fds 99999999999999999999 x
	same create --- x
	same create --=x y
	same create --bundle
	same create --no-pivot=maybe x
	same run -dx y
	same run --detach=maybe x
	same run --keep=1 x y
	same exec -eA=B x y
	same exec -t=maybe x y
	same exec --tty=maybe x y
	same exec -g x y z
	same exec --additional-gids 1 -g 1x y z
	same kill -a=maybe x
	same list --format
	same list --format=wrong
	same list -q --format=wrong
	same events --interval x y
	same events --interval 5 y
	same update --pids-limit x y
	same update --blkio-weight x y
	same spec --rootless=maybe
}

@test "parity: an unknown container comes before all else that is wrong" {
	local verb id
	for verb in start exec kill delete state ps pause resume update events; do
		same "$verb" nobody
		same "$verb" -- nobody
		for id in '' a/b .. . 'a b' a,b - ...; do
			same "$verb" -- "$id"
		done
	done
	same delete -f nobody
	same delete nobody --force
	same delete --force=false nobody
	same delete -f ''
	same kill nobody BAD
	same kill nobody 99
	same kill nobody -9
	same kill -9 nobody
	same kill --all nobody 9
	same kill nobody 9 --all
	same kill nobody --bogus
	same ps -f yaml nobody
	same ps nobody -ef
	same ps --format json nobody
	same events --interval 0 nobody
	same events --interval -5s nobody
	same events --stats nobody
	same update --memory x nobody
	same update nobody --cpu-quota x
	same update --resources /nonexistent nobody
	same exec nobody true
	same exec -t -e A=B --cwd=/ nobody ls --all
	same exec -p /nonexistent nobody
	same exec -p /nonexistent nobody true
	same exec -u x nobody true
	same exec --console-socket /nonexistent nobody true
}

@test "parity: what is wrong with a bundle, and in which order it is found" {
	local verb
	runc_bundle
	mkdir "$T/empty"
	cd "$T/empty"
	for verb in create run; do
		same "$verb" nobody
		same "$verb" ''
		same "$verb" --bundle /nonexistent ''
		same "$verb" -b "$T/empty" a/b
	done
	# The document comes before the id, the id before the root file system.
	jq 'del(.process.rlimits, .linux.resources)' "$B/config.json" >config.json
	for verb in create run; do
		same "$verb" ''
		same "$verb" a/b
		same "$verb" nobody
		same "$verb" a,b
	done
}

@test "parity: lists that are empty, and options in every form" {
	same list
	same list -f json
	same list -f table
	same list -q
	same list --quiet --format=json
	same --debug=false list
	same --systemd-cgroup=false list
	same --rootless true list
	same -rootless=auto list
	same --criu criu list
	same --log "$T/list.log" list
	same -- list
	same list --
	same spec --bundle "$T"
	same spec --bundle "$T"
	mkdir "$T/root/foreign" "$T/runc" 2>/dev/null || mkdir -p "$T/root/foreign" "$T/runc"
	same list
	same list -f json
	rmdir "$T/root/foreign"
}

@test "parity: records in the log file" {
	local format tool
	for format in text json; do
		for tool in vcrt runc; do
			answer "$tool" --log "$T/$tool.$format" --log-format "$format" state nobody
			answer "$tool" --log "$T/$tool.$format" --log-format "$format" create
			answer "$tool" --log "$T/$tool.$format" --log-format "$format" list
			answer "$tool" --log "$T/$tool.$format" --log-format "$format" bogus
			answer "$tool" --log-format "$format" --bogus --log "$T/$tool.$format" list
			sed -i -E 's/20[0-9-]{8}T[0-9:]+(Z|[+-][0-9:]+)/TIME/g; s/\bvcrt|runc\b/RUNTIME/g
				s/\\n"/"/' "$T/$tool.$format"
		done
		diff "$T/vcrt.$format" "$T/runc.$format"
		[ "$(wc -l <"$T/vcrt.$format")" -eq 3 ]
	done
}

# A container of both, created and equal.
create_both() {
	args sleep 1000
	edit '.annotations = {b: "2", a: "1", "a.b": "x"}'
	runc_bundle
	vcrt create --bundle "$B" --pid-file "$T/vcrt.pid" "$ID" </dev/null >"$T/c.out" 2>&1
	runc create --bundle "$T/runc-bundle" --pid-file "$T/runc.pid" "$ID" </dev/null >"$T/c.out" 2>&1
}

runc_has_stopped() {
	[ "$(runc state "$ID" | jq -r .status)" = stopped ]
}

# Calls that leave a container as it is.
compare_calls() {
	local call
	same state "$ID"
	same list
	same list -f json
	same list -q
	same ps -f json "$ID"
	same ps --format=yaml "$ID"
	same kill "$ID" BAD
	same kill "$ID" 0
	same kill "$ID" 65
	same kill "$ID" 99
	same kill "$ID" -1
	same kill --all "$ID" 0
	same create --bundle "$T/runc-bundle" "$ID"
	same run --bundle "$T/runc-bundle" "$ID"
	same run -d --bundle "$T/runc-bundle" "$ID"
	same events --interval 0 "$ID"
	same events --interval 0 --stats "$ID"
	same update --memory x "$ID"
	same update --cpu-quota x "$ID"
	same update --cpu-period -1 "$ID"
	same update "$ID"
	same_but_text update -r /nonexistent "$ID"
	same_but_text update -r /dev/null "$ID"
	for call in checkpoint restore; do
		run vcrt "$call" "$ID"
		[ "$status" -eq 1 ]
	done
}

# Calls of exec; the container neither changes nor ends.
compare_exec() {
	same exec "$ID" true
	same exec "$ID" sh -c 'echo out; echo err >&2; exit 5'
	same exec "$ID"
	same exec "$ID" ''
	same exec "$ID" /nope
	same exec "$ID" nope
	same exec "$ID" /etc/passwd
	same exec -u 99999 "$ID" id
	same exec -u 1:2 "$ID" id
	same exec -u 1 -g 7 -g 8 "$ID" id
	same exec -e A=B -e C=D "$ID" env
	same exec --cwd /etc "$ID" pwd
	same exec --cap CAP_NET_ADMIN "$ID" grep Cap /proc/self/status
	same exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status
	same exec --cgroup '' "$ID" true
	same exec -d -t "$ID" true
	same exec --console-socket /nonexistent "$ID" true
	same_but_text exec -u x "$ID" id
	same_but_text exec --cwd /nodir "$ID" true
	same_but_text exec --cwd relative "$ID" true
	same_but_text exec -t "$ID" true
	same_but_text exec -t -d --console-socket /nonexistent "$ID" true
	same_but_text exec --pid-file /nodir/pid "$ID" true
	same_but_text exec -p /dev/null "$ID"
	same_but_text exec -p /nonexistent "$ID"
}

@test "parity: a created container" {
	create_both
	compare_calls
	compare_exec
	same resume "$ID"
	# Also by now it has not been started.
	same pause "$ID"
	same start "$ID"
	same exec "$ID" true
	same state "$ID"
	same resume "$ID"
	same delete "$ID"
	same delete "$ID"
	same state "$ID"
}

@test "parity: a running container" {
	create_both
	same start "$ID"
	same start "$ID"
	same delete "$ID"
	same resume "$ID"
	compare_calls
	compare_exec
	same update --memory 60M "$ID"
	same delete --force "$ID"
	same delete --force "$ID"
}

@test "parity: a paused container" {
	create_both
	same start "$ID"
	same pause "$ID"
	same exec "$ID" true
	same exec "$ID" /nope
	same start "$ID"
	same pause "$ID"
	same delete "$ID"
	same resume "$ID"
	same pause "$ID"
	compare_calls
	# runc's update thaws the container on cgroup v1.
	runc resume "$ID" || true
	runc pause "$ID"
	same kill "$ID" KILL
	wait_until 10 is_status "$ID" stopped
	wait_until 10 runc_has_stopped
	same state "$ID"
	same delete "$ID"
}

@test "parity: a stopped container" {
	create_both
	same start "$ID"
	# An empty signal is SIGTERM; the first process of a pid namespace does not mind it.
	same kill "$ID" ''
	same kill -a "$ID" 9
	wait_until 10 is_status "$ID" stopped
	wait_until 10 runc_has_stopped
	compare_calls
	same exec "$ID" true
	same exec --ignore-paused "$ID" true
	same start "$ID"
	same pause "$ID"
	same resume "$ID"
	same kill -a "$ID"
	same kill -a "$ID" BAD
	same events "$ID"
	same events --stats "$ID"
	same update --memory 60M "$ID"
	same delete "$ID"
	same delete "$ID"
	same delete -f "$ID"
}
