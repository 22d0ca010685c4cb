#!/usr/bin/env bats
# "process" of config.json: what the program finds, seen from inside. A VM start is the expensive
# part: each test looks at several things in one.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# The value that the container printed under a name: "name: value".
said() { # NAME
	sed -n "s/^$1: //p" "$T/out"
}

# A create that must fail, with this sentence among what it says.
refused() { # TEXT JQ-ARGUMENT...
	edit "${@:2}"
	run_container
	[ "$code" -eq 1 ]
	[ ! -s "$T/out" ]
	grep -qF -- "$1" "$T/err"
	assert_nothing_left
}

@test "process: the environment is what env says, each name once, with a HOME" {
	echo 'user:x:1000:1000::/home/user:/bin/sh' >>"$B/rootfs/etc/passwd"
	edit '.process.env = ["PATH=/bin", "TWICE=1", "EMPTY=", "EQUALS=a=b=", "BYTES=\u0001ä\t\n*", "TWICE=2",
		"odd name=x", "HOME=/first", "HOME="] | .process.user = {uid: 1000, gid: 1000}'
	run_container -- cat /proc/self/environ
	[ "$code" -eq 0 ]
	cmp "$T/out" <(printf '%s\0' PATH=/bin EMPTY= EQUALS=a=b= $'BYTES=\001ä\t\n*' TWICE=2 'odd name=x' HOME=/home/user)

	# A HOME of the caller's is left alone; nobody in passwd has this number.
	edit '.process.env = ["PATH=/bin", "HOME=/own"]'
	run_container -- sh -c 'echo "home: $HOME"'
	[ "$(said home)" = /own ]
	edit '.process.env = ["PATH=/bin"] | .process.user.uid = 4711'
	run_container -- sh -c 'echo "home: $HOME"'
	[ "$(said home)" = / ]
}

@test "process: an environment that is none is refused" {
	refused 'process.env[1]: invalid environment variable: \"none\"' '.process.env = ["PATH=/bin", "none"]'
	refused "process.env[0]: environment variable name can't be empty: \\\"=x\\\"" '.process.env = ["=x"]'
}

@test "process: the program is searched for as runc does" {
	printf '#!/no/such/interpreter\n' >"$B/rootfs/bin/script"
	printf 'no program\n' >"$B/rootfs/bin/text"
	chmod +x "$B/rootfs/bin/script" "$B/rootfs/bin/text"
	mkdir "$B/rootfs/work"
	cp "$B/rootfs/bin/busybox" "$B/rootfs/work/echo"

	# A relative name with a slash counts from the working directory, whatever PATH is.
	edit '.process.env = [] | .process.cwd = "/work"'
	run_container -- ./echo found
	[ "$(cat "$T/out")" = found ]
	edit '.process.env = ["PATH="]'
	run_container -- ../bin/echo found
	[ "$(cat "$T/out")" = found ]

	edit '.process.args = ["echo"]'
	refused 'exec: \"echo\": executable file not found in $PATH' '.process.env = []'
	refused 'exec: \"echo\": cannot run executable found relative to current directory' \
		'.process.env = ["PATH=/none::/bin"]'
	refused 'exec: \"\": executable file not found in $PATH' '.process.env = ["PATH=/bin"] | .process.args = [""]'
	refused 'exec: \"./none\": stat ./none: no such file or directory' '.process.args = ["./none"]'
	refused 'exec: \"/bin/busybox/x\": stat /bin/busybox/x: not a directory' '.process.args = ["/bin/busybox/x"]'
	refused 'process.args: must not be empty' '.process.args = []'
	refused 'process.args: required, but missing' 'del(.process.args)'
	# What only execve finds out.
	refused 'exec /bin/script: no such file or directory' '.process.args = ["script"]'
	refused 'exec /bin/text: exec format error' '.process.args = ["/bin/text"]'
}

@test "process: arguments may be many, long, empty and of any bytes" {
	jq '.process.args = ["sh", "-c", "echo \"count: $#\"; echo \"first: $1\"; echo \"second: $2\"
		for a; do :; done; echo \"last: ${#a}\"; cat /proc/self/cmdline >/dev/null", "zero", "",
		"\u0001 ä*"] + [range(20000) | "argument number \(.)"] + ["x" * 100000]' "$B/config.json" >"$B/config.new"
	mv "$B/config.new" "$B/config.json"
	run_container
	[ "$code" -eq 0 ]
	[ "$(said count)" = 20003 ]
	[ "$(said first)" = '' ]
	[ "$(said second)" = $'\001 ä*' ]
	[ "$(said last)" = 100000 ]
	# One argument longer than the kernel takes.
	jq '.process.args = ["echo", "x" * 200000]' "$B/config.json" >"$B/config.new"
	mv "$B/config.new" "$B/config.json"
	run_container
	[ "$code" -eq 1 ]
	grep -qF 'exec /bin/echo: argument list too long' "$T/err"
	assert_nothing_left
}

@test "process: the working directory is made, and entered with root's rights or the user's" {
	mkdir "$B/rootfs/closed" "$B/rootfs/own"
	chmod 700 "$B/rootfs/closed" "$B/rootfs/own"
	chown 1000:1000 "$B/rootfs/own"
	edit '.process.user = {uid: 1000, gid: 1000} | .process.cwd = "/own" | .process.capabilities = {}'
	run_container -- pwd
	[ "$(cat "$T/out")" = /own ]
	# As with runc, who may not enter a directory is still put into it.
	edit '.process.cwd = "/closed"'
	run_container -- sh -c 'pwd; ls; cd /closed'
	[ "$(cat "$T/out")" = /closed ]
	[ "$(grep -c -i 'permission denied' "$T/err")" -eq 2 ]
	edit '.process.cwd = "/new/one"'
	run_container -- stat -c '%u %g %a' /new /new/one
	[ "$(cat "$T/out")" = $'0 0 755\n0 0 755' ]

	refused 'mkdir /etc/passwd: not a directory' '.process.cwd = "/etc/passwd"'
	refused 'mkdir /etc/passwd/x: not a directory' '.process.cwd = "/etc/passwd/x"'
	refused 'process.cwd: must be an absolute path' '.process.cwd = "bin"'
	refused 'process.cwd: must not be empty' '.process.cwd = ""'
	refused 'process.cwd: required, but missing' 'del(.process.cwd)'
}

@test "process: user, group, further groups and umask" {
	edit '.process.user = {uid: 2147483647, gid: 2147483646, additionalGids: [7, 2147483647], umask: 63}'
	run_container -- sh -c 'id -u; id -g; id -G; umask'
	[ "$(cat "$T/out")" = $'2147483647\n2147483646\n2147483646 7 2147483647\n0077' ]
	# Nobody's groups of /etc/group, and a umask of 0022 where there is none.
	echo 'wheel:x:10:root' >>"$B/rootfs/etc/group"
	edit 'del(.process.user)'
	run_container -- sh -c 'id -u; id -g; sed -n "s/^Groups:[\t ]*//p" /proc/self/status; umask'
	[ "$(cat "$T/out")" = $'0\n0\n\n0022' ]

	# (uid_t)-1 would leave the user as it is: root.
	refused 'process.user.uid: uids and gids must be in range 0-2147483647' '.process.user = {uid: 4294967295, gid: 0}'
	refused 'process.user.gid: uids and gids must be in range 0-2147483647' '.process.user = {uid: 0, gid: 2147483648}'
	refused 'process.user.additionalGids[0]: uids and gids must be in range 0-2147483647' \
		'.process.user = {uid: 0, gid: 0, additionalGids: [4294967295]}'
}

@test "process: all resource limits" {
	edit '.process.rlimits = [["AS", 900000000, 1000000000], ["CORE", 0, 4096], ["CPU", 100, 200],
		["DATA", 300000000, 400000000], ["FSIZE", 5000000, 6000000], ["LOCKS", 7, 8],
		["MEMLOCK", 65536, 131072], ["MSGQUEUE", 9000, 10000], ["NICE", 11, 12],
		["NOFILE", 100, 1073741816], ["NPROC", 130, 140], ["RSS", 15000, 16000], ["RTPRIO", 17, 18],
		["RTTIME", 190000, 200000], ["SIGPENDING", 21, 22], ["STACK", 2300000, 2400000]] |
		.process.rlimits |= map({type: ("RLIMIT_" + .[0]), soft: .[1], hard: .[2]})'
	run_container -- sh -c 'sed "s/  *[a-z]* *$//; s/   */=/g" /proc/self/limits | sort'
	[ "$code" -eq 0 ]
	cat >"$T/should" <<-'END'
		Max address space=900000000=1000000000
		Max core file size=0=4096
		Max cpu time=100=200
		Max data size=300000000=400000000
		Max file locks=7=8
		Max file size=5000000=6000000
		Max locked memory=65536=131072
		Max msgqueue size=9000=10000
		Max nice priority=11=12
		Max open files=100=1073741816
		Max pending signals=21=22
		Max processes=130=140
		Max realtime priority=17=18
		Max realtime timeout=190000=200000
		Max resident set=15000=16000
		Max stack size=2300000=2400000
	END
	diff "$T/should" <(grep -v '^Limit' "$T/out")

	# jq would round the largest number.
	edit '.process.rlimits = [{type: "RLIMIT_CORE", soft: "MOST", hard: "MOST"}]'
	sed -i 's/"MOST"/18446744073709551615/' "$B/config.json"
	args grep core /proc/self/limits
	sed -i 's/18446744073709552000/18446744073709551615/' "$B/config.json"
	run_container
	grep -q '^Max core file size  *unlimited  *unlimited ' "$T/out"

	refused 'process.rlimits[1].type: duplicate RLIMIT_CPU' \
		'.process.rlimits = [{type: "RLIMIT_CPU", soft: 1, hard: 2}, {type: "RLIMIT_CPU", soft: 1, hard: 2}]'
	refused 'process.rlimits[0].soft: 2 is more than the hard limit 1' \
		'.process.rlimits = [{type: "RLIMIT_CPU", soft: 2, hard: 1}]'
	refused 'process.rlimits[0].type: must be a known resource limit, not \"RLIMIT_FOO\"' \
		'.process.rlimits = [{type: "RLIMIT_FOO", soft: 1, hard: 1}]'
	refused 'process.rlimits[0]: set RLIMIT_NOFILE: Operation not permitted' \
		'.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 1, hard: 2000000000}]'
}

caps_of() { # KEY
	sed -n "s/^$1:[\t ]*0*//p" "$T/out"
}

@test "process: capabilities, with all five sets, some or none" {
	edit '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL"], permitted: ["CAP_CHOWN", "CAP_KILL"],
		effective: ["CAP_CHOWN"], inheritable: ["CAP_KILL"], ambient: ["CAP_KILL", "CAP_CHOWN"]} |
		.process.user = {uid: 1000, gid: 1000} | .process.noNewPrivileges = true'
	run_container -- cat /proc/self/status
	[ "$code" -eq 0 ]
	[ "$(caps_of CapBnd) $(caps_of CapPrm) $(caps_of CapEff) $(caps_of CapInh) $(caps_of CapAmb)" = '21 20 20 20 20' ]
	[ "$(caps_of NoNewPrivs)" = 1 ]
	grep -q 'level=warning msg="process.capabilities.ambient: has capabilities that are not both' "$T/err"
	# Said at create, it is not said again for what inherits them.
	start_container "$ID" sleep 1000
	run -0 vcrt exec "$ID" grep Cap /proc/self/status
	[ "${#lines[@]}" -eq 5 ]
	vcrt delete --force "$ID"

	# Empty sets are not missing ones, but mean the same.
	local sets
	for sets in '{}' '{"bounding": [], "permitted": [], "effective": [], "inheritable": [], "ambient": []}' null; do
		edit --argjson c "$sets" '.process.capabilities = $c | .process.user = {uid: 0, gid: 0} |
			.process.noNewPrivileges = false'
		run_container -- cat /proc/self/status
		[ "$(caps_of CapBnd)$(caps_of CapPrm)$(caps_of CapEff)$(caps_of CapInh)$(caps_of CapAmb)" = '' ]
		[ ! -s "$T/err" ]
	done
	[ "$(sed -n 's/^NoNewPrivs:[\t ]*//p' "$T/out")" = 0 ]
}

@test "process: unknown capabilities are warned about, impossible sets refused" {
	edit '.process.capabilities = {bounding: ["CAP_KILL", "CAP_FOO", "KILL"], permitted: ["CAP_KILL"],
		effective: ["CAP_KILL"]}'
	run_container -- cat /proc/self/status
	[ "$code" -eq 0 ]
	[ "$(caps_of CapBnd)" = 20 ]
	grep -qF "process.capabilities.bounding: capability 'CAP_FOO' is unknown or not available, ignoring" "$T/err"
	grep -qF "process.capabilities.bounding: capability 'KILL' is unknown or not available, ignoring" "$T/err"
	[ "$(wc -l <"$T/err")" -eq 2 ]
	refused 'unable to apply caps: operation not permitted' \
		'.process.capabilities = {bounding: ["CAP_KILL"], effective: ["CAP_KILL"]}'
	refused 'unable to apply caps: operation not permitted' \
		'.process.capabilities = {bounding: ["CAP_KILL"], inheritable: ["CAP_CHOWN"]}'
}

@test "process: what the guest's kernel or Linux does not have is warned about, in the log of the caller" {
	edit '.process.apparmorProfile = "docker-default" | .process.selinuxLabel = "a:b:c:s0" |
		.linux.mountLabel = "a:b:d:s0" | .process.commandLine = "cmd.exe" | .process.user.username = "me"'
	args echo runs
	vcrt --log "$T/log.json" --log-format json run --bundle "$B" "$ID" >"$T/out" 2>"$T/err"
	[ "$(cat "$T/out")" = runs ]
	[ ! -s "$T/err" ]
	diff <(jq -r '.level + " " + .msg' "$T/log.json") - <<-'END'
		warning process.apparmorProfile: the guest has no AppArmor, ignoring
		warning process.selinuxLabel: the guest has no SELinux, ignoring
		warning process.commandLine: is for Windows, ignoring
		warning process.user.username: is for Windows, ignoring
		warning linux.mountLabel: the guest has no SELinux, ignoring
	END
	# "unconfined" is what the process is.
	edit 'del(.linux.mountLabel) | del(.process.commandLine) | del(.process.user.username) |
		.process.selinuxLabel = "" | .process.apparmorProfile = "unconfined"'
	run_container -- true
	[ "$code" -eq 0 ]
	[ ! -s "$T/err" ]
}

@test "process: the score for the OOM killer" {
	edit '.process.oomScoreAdj = -999'
	run_container -- cat /proc/self/oom_score_adj
	[ "$(cat "$T/out")" = -999 ]
	# That of the container is that of what is exec'd, unless its own process object has one.
	start_container "$ID" sleep 1000
	jq -n '{args: ["cat", "/proc/self/oom_score_adj"], cwd: "/", env: ["PATH=/bin"]}' >"$T/process.json"
	[ "$(vcrt exec --process "$T/process.json" "$ID")" = -999 ]
	[ "$(vcrt exec --process <(jq '.oomScoreAdj = 7' "$T/process.json") "$ID")" = 7 ]
	vcrt delete --force "$ID"
	refused 'process.oomScoreAdj: 1001 is out of range (-1000 to 1000)' '.process.oomScoreAdj = 1001'
}

# Of the lines of /proc/PID/stat in the output: nice, real-time priority and policy.
scheduled_as() {
	sed 's/.*) //' "$T/out" | cut -d ' ' -f 17,38,39
}

@test "process: scheduling policies with their parameters" {
	edit '.process.scheduler = {policy: "SCHED_OTHER", nice: 7}'
	run_container -- cat /proc/self/stat
	[ "$(scheduled_as)" = '7 0 0' ]
	edit '.process.scheduler = {policy: "SCHED_BATCH", nice: -5}'
	run_container -- cat /proc/self/stat
	[ "$(scheduled_as)" = '-5 0 3' ]
	edit '.process.scheduler = {policy: "SCHED_IDLE"}'
	run_container -- cat /proc/self/stat
	[ "$(scheduled_as)" = '0 0 5' ]
	edit '.process.scheduler = {policy: "SCHED_FIFO", priority: 42, nice: 3}'
	run_container -- cat /proc/self/stat
	[ "$(scheduled_as)" = '0 42 1' ]
	grep -qF 'process.scheduler.nice: means nothing for SCHED_FIFO, ignoring' "$T/err"
	# Children of this one are ordinary again.
	edit '.process.scheduler = {policy: "SCHED_RR", priority: 99, flags: ["SCHED_FLAG_RESET_ON_FORK"]}'
	run_container -- sh -c 'cat /proc/1/stat; cat /proc/self/stat; true'
	[ "$(scheduled_as)" = $'0 99 2\n0 0 0' ]
	edit '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 5000000, deadline: 100000000,
		period: 200000000, flags: ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"]}'
	run_container -- cat /proc/self/stat
	[ "$(scheduled_as)" = '0 0 6' ]
}

@test "process: scheduling that cannot be is refused" {
	refused 'process.scheduler.policy: unknown scheduling policy \"SCHED_FOO\"' '.process.scheduler = {policy: "SCHED_FOO"}'
	refused 'process.scheduler.policy: required, but missing' '.process.scheduler = {}'
	refused 'process.scheduler.nice: 20 is out of range (-20 to 19)' \
		'.process.scheduler = {policy: "SCHED_OTHER", nice: 20}'
	refused 'process.scheduler.priority: can only be specified for SCHED_FIFO or SCHED_RR' \
		'.process.scheduler = {policy: "SCHED_OTHER", priority: 1}'
	refused 'process.scheduler: runtime, deadline and period can only be specified for SCHED_DEADLINE' \
		'.process.scheduler = {policy: "SCHED_RR", priority: 1, runtime: 1}'
	refused 'process.scheduler.flags[0]: unknown scheduler flag \"SCHED_FLAG_FOO\"' \
		'.process.scheduler = {policy: "SCHED_RR", priority: 1, flags: ["SCHED_FLAG_FOO"]}'
	# What only the guest's kernel knows.
	refused 'process.scheduler: set SCHED_FIFO: Invalid argument' '.process.scheduler = {policy: "SCHED_FIFO"}'
	refused 'process.scheduler: set SCHED_ISO: Invalid argument' '.process.scheduler = {policy: "SCHED_ISO"}'
	refused 'process.scheduler: set SCHED_DEADLINE: Invalid argument' \
		'.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 9000000, deadline: 5000000, period: 5000000}'
}

@test "process: priority of input and output" {
	edit '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 6}'
	run_container -- ionice -p 1
	[ "$(cat "$T/out")" = 'best-effort: prio 6' ]
	edit '.process.ioPriority = {class: "IOPRIO_CLASS_RT", priority: 2}'
	run_container -- ionice -p 1
	[ "$(cat "$T/out")" = 'realtime: prio 2' ]
	edit '.process.ioPriority = {class: "IOPRIO_CLASS_IDLE"}'
	run_container -- ionice -p 1
	[[ $(cat "$T/out") == idle* ]]
	refused 'process.ioPriority.class: unknown I/O class \"IOPRIO_CLASS_X\"' '.process.ioPriority = {class: "IOPRIO_CLASS_X"}'
	refused 'process.ioPriority.priority: 8 is out of range (0 to 7)' \
		'.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 8}'
	refused 'process.ioPriority.class: required, but missing' '.process.ioPriority = {priority: 1}'
}

@test "process: CPUs of exec are those of what is exec'd, not of the container's own process" {
	configure memory 300 cpus 2
	edit '.process.execCPUAffinity = {initial: "0", final: " 1, "}'
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" grep Cpus_allowed_list /proc/self/status)" = $'Cpus_allowed_list:\t1' ]
	[ "$(vcrt exec "$ID" grep Cpus_allowed_list /proc/1/status)" = $'Cpus_allowed_list:\t0-1' ]
	vcrt delete --force "$ID"
	refused 'process.execCPUAffinity.initial: must be a list of CPUs such as 0-3,7, not \"1-0\"' \
		'.process.execCPUAffinity = {initial: "1-0"}'
	refused 'process.execCPUAffinity.final: must be a list of CPUs such as 0-3,7, not \"x\"' \
		'.process.execCPUAffinity = {final: "x"}'
}
