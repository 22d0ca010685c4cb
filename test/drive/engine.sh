#!/bin/bash
# The guest's container engine on this machine, without a VM: engine.sh ENGINE-DRIVE
# Needs root, busybox-static, jq and a cgroup2 mount (made in a private namespace when missing).
set -u

drive=$1
busybox=/bin/busybox
failed=0

need() {
	echo "engine.sh: $1" >&2
	[ "${VCRT_TEST_STRICT:-0}" = 1 ] && exit 1
	exit 77
}

[ "$(id -u)" = 0 ] || need "not root"
[ -x $busybox ] || need "busybox-static is not installed"
command -v jq >/dev/null || need "jq is not installed"

if [ -z "${ENGINE_INSIDE:-}" ]; then
	ENGINE_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
fi

dir=$(mktemp -d)
cgroups=$dir/cgroup
mkdir "$cgroups"
mount -t cgroup2 none "$cgroups" || need "cgroup2 cannot be mounted"
trap 'umount "$cgroups"; rm -rf --one-file-system "$dir"' EXIT

rootfs=$dir/rootfs
mkdir -p "$rootfs"/{bin,etc,tmp} "$dir/src"
cp $busybox "$rootfs/bin/"
for name in sh ls cat id ps sleep stty tty readlink grep cut mkdir touch hostname umask chmod stat; do
	ln -s busybox "$rootfs/bin/$name"
done
printf 'me:x:1000:1000::/home/me:/bin/sh\n' >"$rootfs/etc/passwd"
printf '#!/nowhere\n' >"$rootfs/bin/script"
chmod 755 "$rootfs/bin/script"
chmod 1777 "$rootfs/tmp"
echo data >"$dir/src/file"

jq -n --arg rootfs "$rootfs" --arg cg "/engine-test-$$" '{
	ociVersion: "1.0.2",
	root: {path: $rootfs},
	hostname: "inside",
	process: {
		user: {uid: 0, gid: 0}, cwd: "/", env: ["PATH=/bin"], args: ["true"],
		capabilities: (["bounding", "effective", "permitted"] |
			map({(.): ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD"]}) | add)
	},
	mounts: [
		{destination: "/proc", type: "proc", source: "proc"},
		{destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"]},
		{destination: "/dev/pts", type: "devpts", source: "devpts",
			options: ["newinstance", "ptmxmode=0666", "mode=0620"]}
	],
	linux: {
		cgroupsPath: $cg,
		namespaces: (["pid", "ipc", "uts", "mount"] | map({type: .})),
		maskedPaths: ["/proc/keys", "/proc/acpi", "/no/such"],
		readonlyPaths: ["/proc/sys"]
	}
}' >"$dir/base.json"

# run FILTER COMMAND: the command in a container whose configuration went through the jq filter
run() {
	jq --arg src "$dir/src" --arg cmd "$2" \
		'.process.args = ["/bin/sh", "-c", $cmd] | '"$1" "$dir/base.json" >"$dir/config.json"
	output=$(timeout 20 "$drive" "$cgroups" "$dir/config.json" </dev/null 2>"$dir/err")
	status=$?
	errors=$(cat "$dir/err")
}

# run_exec FILTER ARGS...: exec'd in a container that sleeps
run_exec() {
	jq --arg src "$dir/src" '.process.args = ["/bin/sleep", "100"] | '"$1" \
		"$dir/base.json" >"$dir/config.json"
	shift
	output=$(timeout 20 "$drive" "$cgroups" "$dir/config.json" "$@" </dev/null 2>"$dir/err")
	status=$?
	errors=$(cat "$dir/err")
}

check() { # NAME CONDITION...
	local name=$1
	shift
	if "$@"; then
		echo "ok $name"
	else
		failed=1
		printf 'not ok %s\n  status %s\n  output %s\n  errors %s\n' \
			"$name" "$status" "$output" "$errors"
	fi
}

is() { [ "$output" = "$1" ] && [ "$status" = "${2:-0}" ]; }
says() { [[ "$errors" == *"$1"* ]] && [ "$status" = 125 ]; }
has() { [[ "$output" == *"$1"* ]]; }
lacks() { [[ "$output" != *"$1"* ]]; }

run . 'exit 7'
check "the exit status comes back" is "" 7
run . 'kill -9 $$'
check "pid 1 of a container does not die of its own SIGKILL" is ""
run '.linux.namespaces |= map(select(.type != "pid"))' 'kill -9 $$'
check "death by a signal is 128 and the signal" is "" 137

run . 'hostname; id -u; for i in 2 3 4 5 6 7 8 9 10 11 12; do test -e /proc/$$/fd/$i && echo $i; done'
check "hostname, user and no descriptor but 0 to 2" is $'inside\n0\n2' 1
run . 'cat /proc/keys; ls /proc/acpi; echo 1 >/proc/sys/kernel/pid_max'
check "masked and readonly paths" is "" 1
run '.linux.maskedPaths += ["/etc/passwd"]' 'chmod 0 /proc/keys && stat -c "%a %t:%T" /proc/keys /etc/passwd
	cat /etc/passwd; echo x >/dev/null'
check "what hides files is the container's own null device" is $'0 1:3\n0 1:3'
check "and not the one of the agent" test "$(stat -c %a /dev/null)" = 666
chmod 666 /dev/null

run '.process.args = ["foo"]' ''
check "a missing program" says 'exec: "foo": executable file not found in $PATH'
run '.process.args = ["/x/foo"]' ''
check "a missing path" says 'exec: "/x/foo": stat /x/foo: no such file or directory'
run '.process.args = ["/etc/passwd"]' ''
check "no program" says 'exec: "/etc/passwd": permission denied'
run '.process.args = ["/bin"]' ''
check "a directory" says 'exec: "/bin": permission denied'
run '.process.args = ["/bin/script"]' ''
check "what only execve can tell" says 'exec /bin/script: no such file or directory'

run '.process.user = {uid: 1000, gid: 7, additionalGids: [5, 77], umask: 23} |
	.process.cwd = "/made/here"' 'id; pwd; umask; echo $HOME; grep CapEff /proc/self/status'
check "user, groups, umask, cwd, HOME and no capabilities" \
	is $'uid=1000(me) gid=7 groups=5,77\n/made/here\n0027\n/home/me\nCapEff:\t0000000000000000'
run '.process.user.uid = 1000 | .process.capabilities.inheritable = ["CAP_KILL"] |
	.process.capabilities.ambient = ["CAP_KILL", "CAP_BOGUS"]' 'grep CapEff /proc/self/status'
check "ambient capabilities" is $'CapEff:\t0000000000000020'
check "an unknown capability is a warning" grep -q "capability 'CAP_BOGUS' is unknown" "$dir/err"

run '.process.terminal = true' 'tty; stty size; cut -d" " -f 5 /proc/self/mountinfo | grep console'
check "a terminal with its size, on /dev/console" is $'/dev/pts/0\r\n33 99\r\n/dev/console\r'

run '.mounts += [{destination: "/evil/in", type: "bind", source: $src, options: ["rbind", "ro"]}]' \
	'cat /evil/in/file; touch /evil/in/x; echo no >/tmp/x; cat /tmp/x'
check "a read-only bind mount on a made mount point" is $'data\nno'
ln -s "/../../../../../$dir/out" "$rootfs/evil2"
run '.mounts += [{destination: "/evil2/in", type: "tmpfs", source: "x", options: ["ro"]}]' \
	'touch /evil2/in/x'
check "a hostile link does not lead out" test ! -e "$dir/out"
check "a read-only tmpfs on it" grep -q "Read-only file system" "$dir/err"
run '.mounts += [{destination: "/etc", type: "tmpfs", source: "x", options: ["tmpcopyup"]}] |
	.root.readonly = true' 'cat /etc/passwd | cut -c -3; echo x >/etc/new; touch /new'
check "tmpcopyup, and a read-only root" is "me:" 1
run '.mounts[0].type = "nofs"' ''
check "an unknown file system" says "the guest kernel has no file system 'nofs'"

run '.linux.devices = [{path: "/dev/d/mem", type: "c", major: 1, minor: 1, fileMode: 384}]' \
	'ls -l /dev/d/mem | cut -c -10; cat /dev/d/mem; cat /dev/null'
check "a device is made, but not allowed" is "crw-------"
check "so opening it fails" grep -q "Operation not permitted" "$dir/err"

run '.linux.namespaces += [{type: "user"}, {type: "cgroup"}] |
	.linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] |
	.linux.gidMappings = .linux.uidMappings' \
	'id -u; cut -c -33 /proc/self/uid_map; grep ^0:: /proc/self/cgroup; echo x >/dev/null'
check "user and cgroup namespace" is $'0\n         0     100000      65536\n0::/'
run '.linux.namespaces += [{type: "cgroup"}] |
	.mounts += [{destination: "/cg", type: "cgroup", source: "cgroup"}]' 'cd /cg; n=0
	while [ $n -lt 300 ]; do mkdir x && mkdir y && cd x || exit 1; n=$((n + 1)); done; echo $n'
check "as many cgroups as the container likes, which are gone afterwards" is 300
run '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets.boottime.secs = 100000000' \
	'test "$(cut -d. -f 1 /proc/uptime)" -gt 100000000'
check "time namespace" is ""
run '.linux.sysctl = {"kernel.shm_rmid_forced": "1"}' 'cat /proc/sys/kernel/shm_rmid_forced'
check "sysctl" is 1

deny='.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls:
	[{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 99}]}'
run "$deny | .process.noNewPrivileges = true" 'mkdir /tmp/d; grep NoNew /proc/self/status'
check "seccomp with no_new_privs" has $'NoNewPrivs:\t1'
check "refuses the call" grep -q "Cannot assign requested address" "$dir/err"
run "$deny" 'mkdir /tmp/d; grep NoNew /proc/self/status'
check "seccomp without no_new_privs" has $'NoNewPrivs:\t0'
check "refuses the call too" grep -q "Cannot assign requested address" "$dir/err"

run '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "cat >/tmp/state"]}]' \
	'cat /tmp/state'
check "a startContainer hook gets the state" has '"id":"drive","pid":1,"status":"created"'
run '.hooks.startContainer = [{path: "/bin/sh", args: ["sh", "-c", "echo no; exit 3"]}]' ''
check "its failure is start's" says 'error running hook #0: error running hook: exit status 3'

run_exec . /bin/sh -c 'ps | grep -c "[/]bin/sleep"; exit 5'
check "exec joins the namespaces" is 1 5
run_exec . nope
check "exec of a missing program" says 'exec: "nope": executable file not found in $PATH'
run_exec '.process.terminal = true | .process.user.uid = 1000' /bin/sh -c 'tty; id -u'
check "exec with a terminal" is $'/dev/pts/1\r\n1000\r'
run_exec "$deny" /bin/mkdir /tmp/d
check "exec has the container's seccomp filter" is "" 1
run '.linux.namespaces |= map(select(.type != "pid"))' '(sleep 7654 &); exit 3'
check "without a PID namespace the rest is killed" is "" 3
check "and is gone" test -z "$(pgrep -f 'sleep 7654')"

run "del(.hostname) | .linux.namespaces |= map(if .type == \"ipc\" then
	.path = \"/proc/$$/ns/ipc\" else . end)" ''
check "a namespace of nobody's container is not joined" says "is no ipc namespace of a container"

check "no cgroup is left" test ! -e "$cgroups/engine-test-$$"
exit $failed
