#!/usr/bin/env bats
# vcrt exec: other processes in a container.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2094,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "exec: output, input and exit status" {
	local n
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" uname -r)" != "$(uname -r)" ]
	for n in 0 7 42; do
		run vcrt exec "$ID" sh -c "exit $n"
		[ "$status" -eq "$n" ]
	done
	run vcrt exec "$ID" sh -c 'kill -9 $$'
	[ "$status" -eq 137 ]
	run vcrt exec "$ID" sh -c 'kill -11 $$'
	[ "$status" -eq 139 ]
	head -c 2000000 /dev/urandom >"$T/in"
	vcrt exec "$ID" cat <"$T/in" | cmp "$T/in" -
	vcrt exec "$ID" sh -c 'echo one; echo two >&2' >"$T/out" 2>"$T/err"
	[ "$(cat "$T/out")" = one ]
	[ "$(cat "$T/err")" = two ]
}

@test "exec: user, groups, directory, environment, capabilities and no_new_privs" {
	edit '.process.env += ["FROM_CONTAINER=yes"] | .process.noNewPrivileges = false'
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" id)" = "$(vcrt exec "$ID" sh -c id)" ]
	[ "$(vcrt exec --user 1234:567 -g 9 -g 10 "$ID" sh -c 'echo $(id -u) $(id -g) $(id -G)')" = \
		'1234 567 567 9 10' ]
	[ "$(vcrt exec -u 1234 "$ID" sh -c 'echo $(id -u) $(id -g)')" = '1234 0' ]
	[ "$(vcrt exec "$ID" pwd)" = / ]
	[ "$(vcrt exec --cwd /tmp "$ID" pwd)" = /tmp ]
	[ "$(vcrt exec -e A=1 --env 'B=two words' "$ID" sh -c 'echo "$A $B $FROM_CONTAINER"')" = \
		'1 two words yes' ]
	[ "$(vcrt exec "$ID" grep CapEff /proc/self/status)" = \
		"$(printf 'CapEff:\t%016x' $((1 << 29 | 1 << 5 | 1 << 10)))" ]
	[ "$(vcrt exec --cap CAP_SYS_ADMIN "$ID" grep CapEff /proc/self/status)" = \
		"$(printf 'CapEff:\t%016x' $((1 << 29 | 1 << 5 | 1 << 10 | 1 << 21)))" ]
	[ "$(vcrt exec "$ID" grep NoNewPrivs /proc/self/status)" = $'NoNewPrivs:\t0' ]
	[ "$(vcrt exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status)" = $'NoNewPrivs:\t1' ]
	# It lives in the container's namespaces.
	[ "$(vcrt exec "$ID" cat /proc/1/cmdline | tr '\0' ' ')" = 'sleep 1000 ' ]
}

@test "exec: a process document" {
	start_container "$ID" sleep 1000
	jq -n '{args: ["sh", "-c", "echo $(id -u) $(id -g) $(id -G) $(pwd) $X $(ulimit -n) $(umask)"],
		env: ["PATH=/bin", "X=y"], cwd: "/tmp", user: {uid: 5, gid: 6, additionalGids: [7], umask: 63},
		rlimits: [{type: "RLIMIT_NOFILE", soft: 77, hard: 88}]}' >process.json
	[ "$(vcrt exec --process process.json "$ID")" = '5 6 6 7 /tmp y 77 0077' ]

	echo '{"args": ["true"]' >process.json
	run vcrt exec --process process.json "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *'exec failed'* ]]
	jq -n '{args: [], cwd: "/"}' >process.json
	run vcrt exec --process process.json "$ID"
	[ "$status" -eq 255 ]
	jq -n '{args: ["true"], cwd: "not/absolute"}' >process.json
	run vcrt exec --process process.json "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *cwd* ]]
	run vcrt exec --process "$T/nothing" "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *"$T/nothing"* ]]
	[ "$(vcrt exec "$ID" echo alive)" = alive ]
}

@test "exec: what a process document leaves open, and what the container's process has" {
	local show='grep -h -E "^(Cap(Eff|Amb)|NoNewPrivs|Groups)" /proc/self/status
		echo "$(ulimit -n) $(cat /proc/self/oom_score_adj) ${C-none} $(umask)"'
	edit '.process.noNewPrivileges = true | .process.oomScoreAdj = 77 | .process.env += ["C=1"] |
		.process.user.additionalGids = [9] | .process.rlimits = [{type: "RLIMIT_NOFILE", soft: 55, hard: 66}] |
		.process.user.umask = 23'
	start_container "$ID" sleep 1000
	vcrt exec "$ID" sh -c "$show" >"$T/out"
	has_line "$T/out" $'NoNewPrivs:\t1'
	has_line "$T/out" '55 77 1 0027'
	grep -q $'^Groups:\t0 9' "$T/out" || grep -q $'^Groups:\t9' "$T/out"

	document() { # JQ
		jq -n --arg show "$show" '{args: ["sh", "-c", $show], cwd: "/", env: ["PATH=/bin"]} | '"$1" \
			>process.json
		vcrt exec -p process.json "$ID" >"$T/out"
	}
	document .
	has_line "$T/out" "CapEff:"$'\t'"$(printf %016x $((1 << 29 | 1 << 5 | 1 << 10)))"
	has_line "$T/out" $'NoNewPrivs:\t0'
	grep -q ' 77 none 0022$' "$T/out"
	grep -q $'^Groups:\t *$' "$T/out"
	document '.capabilities = {} | .noNewPrivileges = true | .oomScoreAdj = 88 | .user.umask = 7'
	has_line "$T/out" $'CapEff:\t0000000000000000'
	has_line "$T/out" $'NoNewPrivs:\t1'
	grep -q ' 88 none 0007$' "$T/out"
	document '.user = {uid: 5, gid: 6} | .capabilities = {bounding: ["CAP_KILL"], permitted: ["CAP_KILL"],
		inheritable: ["CAP_KILL"], effective: ["CAP_KILL"], ambient: ["CAP_KILL"]}'
	has_line "$T/out" "CapAmb:"$'\t'"$(printf %016x $((1 << 5)))"
	has_line "$T/out" "CapEff:"$'\t'"$(printf %016x $((1 << 5)))"

	# What the guest does not have is warned about, as at create.
	jq -n '{args: ["/bin/true"], cwd: "/", apparmorProfile: "docker-default", selinuxLabel: "a:b:c:d"}' >process.json
	vcrt exec -p process.json "$ID" 2>"$T/err"
	grep -q process.apparmorProfile "$T/err"
	grep -q process.selinuxLabel "$T/err"
	vcrt exec --apparmor docker-default --process-label a:b:c:d "$ID" true 2>"$T/err"
	grep -q process.apparmorProfile "$T/err"
	grep -q process.selinuxLabel "$T/err"
}

@test "exec: the end of the container's own process ends what was exec'd" {
	local shared code pid
	for shared in 0 1; do
		[ "$shared" = 0 ] || edit '.linux.namespaces |= map(select(.type != "pid"))'
		start_container "$ID" sleep 1000
		background "$VCRT" "${VCRT_ARGS[@]}" exec "$ID" sh -c \
			'trap "" TERM; echo up >/up; while :; do sleep 0.1; done' </dev/null >/dev/null 2>&1
		pid=$!
		wait_until 20 test -e "$B/rootfs/up"
		vcrt exec -d --pid-file "$T/pid" "$ID" sleep 1000 </dev/null >/dev/null 2>&1
		vcrt kill "$ID" KILL
		wait_until 20 is_status "$ID" stopped
		code=0
		wait_for 20 "$pid" || code=$?
		[ "$code" -eq 137 ]
		wait_until 20 is_gone "$(cat "$T/pid")"
		vcrt delete "$ID"
		rm "$B/rootfs/up" "$T/pid"
	done
}

@test "exec: into a container that is created, stopped or unknown" {
	create_container "$ID"
	[ "$(vcrt exec "$ID" cat /proc/self/uid_map | wc -l)" -eq 1 ]
	[ "$(status_of "$ID")" = created ]
	vcrt kill "$ID" KILL
	wait_until 20 is_status "$ID" stopped
	run vcrt exec "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *'cannot exec in a stopped container'* ]]
	run vcrt exec "$ID-unknown" true
	[ "$status" -eq 255 ]
	[[ $output == *'does not exist'* ]]
}

@test "exec: programs that cannot be run are reported as by runc" {
	start_container "$ID" sleep 1000
	run vcrt exec "$ID" no-such-program
	[ "$status" -eq 255 ]
	[[ $output == *'exec failed: unable to start container process: exec: \"no-such-program\": executable file not found in $PATH'* ]]
	run vcrt exec "$ID" /no/such/program
	[ "$status" -eq 255 ]
	[[ $output == *'exec: \"/no/such/program\": stat /no/such/program: no such file or directory'* ]]
	run vcrt exec "$ID" /etc/passwd
	[ "$status" -eq 255 ]
	[[ $output == *'exec: \"/etc/passwd\": permission denied'* ]]
	run vcrt exec --cwd /no/where "$ID" true
	[ "$status" -eq 255 ]
	[[ $output == *'/no/where'* ]]
	run vcrt exec "$ID"
	[ "$status" -eq 255 ]
	[[ $output == *'process args cannot be empty'* ]]
	run vcrt exec --user nobody-here "$ID" true
	[ "$status" -eq 255 ]
}

@test "exec: detached, with a pid file, reaped by the caller" {
	start_container "$ID" sleep 1000
	timeout 60 python3 - "$VCRT" "${VCRT_ARGS[@]}" <<-END
		import ctypes, os, subprocess, sys
		ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
		subprocess.run(sys.argv[1:] + ['exec', '--detach', '--pid-file', '$T/pid', '$ID',
		    'sh', '-c', 'echo to the pipe; until [ -e /go ]; do sleep 0.1; done; exit 17'],
		    check=True, stdin=subprocess.DEVNULL, stdout=open('$T/out', 'w'))
		text = open('$T/pid').read()
		assert text.isdigit(), text
		pid = int(text)
		assert os.getpgid(pid) == pid and os.getsid(pid) == pid
		assert os.readlink(f'/proc/{pid}/ns/mnt') != os.readlink('/proc/self/ns/mnt')
		assert os.readlink(f'/proc/{pid}/ns/net') != os.readlink('/proc/self/ns/net')
		open('$B/rootfs/go', 'w').close()
		_, status = os.waitpid(pid, 0)
		assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 17, status
	END
	[ "$(cat "$T/out")" = 'to the pipe' ]
}

@test "exec: signals to the stand-in are the process's, SIGKILL ends it" {
	start_container "$ID" sleep 1000
	vcrt exec -d --pid-file "$T/pid" "$ID" sh -c 'trap "echo usr1 >>/log" USR1; touch /ready
		while :; do sleep 0.05; done' </dev/null >/dev/null 2>&1
	wait_until 20 test -f "$B/rootfs/ready"
	kill -USR1 "$(cat "$T/pid")"
	wait_until 20 has_line "$B/rootfs/log" usr1
	kill -0 "$(cat "$T/pid")"
	vcrt exec "$ID" ps | grep -q 'touch /ready'
	kill -9 "$(cat "$T/pid")"
	ends() {
		vcrt exec "$ID" ps >"$T/ps" && ! grep -q 'touch /ready' "$T/ps"
	}
	wait_until 10 ends
	[ "$(status_of "$ID")" = running ]
}

@test "exec: killed in the foreground, it takes its process along" {
	start_container "$ID" sleep 1000
	background "$VCRT" "${VCRT_ARGS[@]}" exec "$ID" sleep 1234 </dev/null >/dev/null 2>&1
	runs() {
		vcrt exec "$ID" ps | grep -q '[s]leep 1234'
	}
	ends() {
		vcrt exec "$ID" ps >"$T/ps" && ! grep -q '[s]leep 1234' "$T/ps"
	}
	wait_until 20 runs
	kill -9 $!
	wait_until 10 ends
}

@test "exec: every stand-in ends with the container" {
	local i pid code=0
	start_container "$ID" sleep 1000
	for i in 1 2 3; do
		vcrt exec -d --pid-file "$T/pid$i" "$ID" sleep 1000 </dev/null >/dev/null 2>&1
	done
	background "$VCRT" "${VCRT_ARGS[@]}" exec "$ID" sleep 1000 </dev/null >/dev/null 2>&1
	pid=$!
	five_run() { [ "$(vcrt ps "$ID" | grep -c 'sleep 1000')" -eq 5 ]; }
	wait_until 20 five_run
	vcrt kill "$ID" KILL
	wait_until 10 is_status "$ID" stopped
	for i in 1 2 3; do
		wait_until 10 is_gone "$(cat "$T/pid$i")"
	done
	wait_for 10 "$pid" || code=$?
	[ "$code" -eq 137 ]
}

@test "exec: a cgroup below the container's, which must exist" {
	edit '.mounts |= map(if .type == "cgroup" then .options -= ["ro"] else . end)'
	start_container "$ID" sh -c 'mkdir -p /sys/fs/cgroup/a/b && sleep 1000'
	wait_until 10 vcrt exec "$ID" test -d /sys/fs/cgroup/a/b
	[ "$(vcrt exec --cgroup a "$ID" cat /proc/self/cgroup)" = 0::/a ]
	[ "$(vcrt exec --cgroup /a/../a/./b "$ID" cat /proc/self/cgroup)" = 0::/a/b ]
	[ "$(vcrt exec --cgroup / "$ID" cat /proc/self/cgroup)" = 0::/ ]
	[ "$(vcrt exec --cgroup '' "$ID" cat /proc/self/cgroup)" = 0::/ ]
	refused() { # TEXT ARGUMENT...
		local text=$1

		shift
		run vcrt exec "$@" "$ID" true
		[ "$status" -eq 255 ]
		[[ $output == *"$text"* ]] || fail "got: $output"
	}
	refused '/none/cgroup.procs: no such file or directory' --cgroup none
	refused '../x is not a sub cgroup path' --cgroup ../x
	refused 'a/../../x is not a sub cgroup path' --cgroup a/../../x
	refused 'unknown controller cpu in SubCgroupPaths' --cgroup cpu,memory:a
	refused 'invalid --cgroup argument: cpu:a:b' --cgroup cpu:a:b
	refused 'invalid --cgroup argument: ,cpu:a (empty <controller> prefix)' --cgroup ,cpu:a
	refused 'invalid --cgroup argument: a (missing <controller>: prefix)' --cgroup a --cgroup a
	vcrt exec "$ID" true

	# The container moves down and hands its controllers on: who names no cgroup follows.
	vcrt exec "$ID" sh -c 'for p in 1 $$; do echo "$p" >/sys/fs/cgroup/a/b/cgroup.procs; done
		for dir in "" /a; do echo +memory >/sys/fs/cgroup$dir/cgroup.subtree_control; done'
	[ "$(vcrt exec "$ID" cat /proc/self/cgroup)" = 0::/a/b ]
	refused 'cgroup.procs: device or resource busy' --cgroup /
	refused '/a/cgroup.procs: device or resource busy' --cgroup a
	[ "$(vcrt exec --cgroup a/b "$ID" cat /proc/self/cgroup)" = 0::/a/b ]
}

@test "exec: many at once" {
	local i
	start_container "$ID" sleep 1000
	for i in {1..20}; do
		vcrt exec "$ID" sh -c "echo out $i; echo err $i >&2; exit $i" \
			>"$T/out$i" 2>"$T/err$i" </dev/null || echo $? >"$T/code$i" &
	done
	# shellcheck disable=SC2046 # one word for each job
	wait $(jobs -p)
	for i in {1..20}; do
		[ "$(cat "$T/out$i" "$T/err$i" "$T/code$i")" = "out $i"$'\n'"err $i"$'\n'"$i" ]
	done
}

@test "exec: what is exec'd has the session keyring of the container, not that of the machine" {
	needs cc
	cat >"$T/session.c" <<-'END'
		#include <stdio.h>
		#include <sys/syscall.h>
		#include <unistd.h>

		int main(void) /* KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING */
		{
			return printf("keyring %ld\n", syscall(SYS_keyctl, 0, -3, 0)) < 0;
		}
	END
	cc -static -o "$B/rootfs/bin/session" "$T/session.c"
	start_container "$ID" sh -c 'session; exec sleep 1000'
	wait_until 30 grep -q '^keyring [1-9]' "$T/$ID.out"
	[ "$(vcrt exec "$ID" session)" = "$(cat "$T/$ID.out")" ]
	[ "$(vcrt exec -u 1000 "$ID" session)" = "$(cat "$T/$ID.out")" ]
}
