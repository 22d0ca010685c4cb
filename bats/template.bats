#!/usr/bin/env bats
# VMs that start from a saved one in place of booting.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # tests are subshells
load helpers

# A configuration with a store of the test's own, and "manual" or what is given ("": by default).
use_templates() { # [MODE [NAME VALUE]...]
	local mode=${1-manual}

	[ $# -eq 0 ] || shift
	configure memory 512 template "\"$mode\"" template_dir "\"$T/templates\"" "$@"
	[ -n "$mode" ] || edit_file "$T/config.json" 'del(.template)'
}

edit_file() { # FILE JQ-ARGUMENT...
	jq "${@:2}" "$1" >"$1.new"
	mv "$1.new" "$1"
}

ready() {
	[ "$(status_column)" = ready ]
}

# Builders that work in the background.
builders() {
	local pid

	for pid in $(pids_of_test); do
		! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q ' builder $' || echo "$pid"
	done
}

no_builder() {
	[ -z "$(builders)" ]
}

# A guest of our own, which may be changed.
own_image() { # [MODE]
	cp "$(configured kernel)" "$T/vmlinux"
	cp "$(configured initrd)" "$T/initrd.img"
	use_templates "${1-manual}" kernel "\"$T/vmlinux\"" initrd "\"$T/initrd.img\""
}

# The VMM's own arguments tell how it was started.
is_clone() { # ID
	tr '\0' '\n' <"/proc/$(pid_of vmm "$1")/cmdline" | grep -qx defer
}

# A cgroup hierarchy that limits something.
pids_or_unified() {
	[ ! -d /sys/fs/cgroup/pids ] || echo /sys/fs/cgroup/pids
	[ -d /sys/fs/cgroup/pids ] || echo /sys/fs/cgroup
}

status_column() {
	vcrt template list | tail -n +2 | sed 's/.*Z  *//'
}

@test "template: clones run containers, and are as different as VMs that have booted" {
	local i now
	use_templates
	run vcrt template list
	[ "${#lines[@]}" -eq 1 ]
	[ "$(vcrt template create)" = "$(ls "$T/templates")" ]
	[ "$(status_column)" = ready ]
	now=$(date +%s)
	for i in 1 2; do
		start_container "$ID-$i" sh -c 'hostname; cat /proc/sys/kernel/random/boot_id
			head -c 16 /dev/urandom | md5sum; cut -d . -f 1 /proc/uptime; date +%s; sleep 1000'
		is_clone "$ID-$i"
		wait_until 20 eval '[ "$(vcrt exec "$ID-'$i'" ps | grep -c "sleep 1000")" -ge 1 ]'
		vcrt exec "$ID-$i" sh -c 'cat /proc/sys/kernel/random/boot_id
			head -c 16 /dev/urandom | md5sum; date +%s' >"$T/out$i"
		cat "$T/out$i" >&2
		[ "$(tail -n 1 "$T/out$i")" -ge "$now" ]
		[ "$(tail -n 1 "$T/out$i")" -le "$(date +%s)" ]
	done
	run grep -xf "$T/out1" "$T/out2"
	[[ ${#lines[@]} -le 1 && $output != *-* ]] # the date, at most
	# What a clone writes is its own.
	vcrt exec "$ID-1" sh -c 'head -c 50000000 /dev/zero >/dev/shm/zeros; md5sum /dev/shm/zeros' >"$T/sum"
	vcrt exec "$ID-2" true
	[ "$(find "$T/templates" -name memory -perm 0400 -newer "$T/sum" | wc -l)" -eq 0 ]
	vcrt delete --force "$ID-1"
	vcrt delete --force "$ID-2"
	run_container -- sh -c 'exit 7'
	[ "$code" -eq 7 ]
	# With --debug, too.
	run -7 vcrt --debug --log "$T/log" run --bundle "$B" "$ID" </dev/null
	grep -qE 'timeline: monitor restore +[0-9.]+ +[0-9.]+' "$T/log"
}

@test "template: the VMM of a clone cannot write what others start from" {
	local pid link found=0
	use_templates
	vcrt template create
	start_container "$ID" sleep 1000
	pid=$(pid_of vmm "$ID")
	for link in "/proc/$pid/fd"/*; do
		[[ $(readlink "$link") == */memory ]] || continue
		found=1
		[ "$(stat -c %A "$link")" = lr-x------ ]
	done
	[ "$found" -eq 1 ]
	grep -q "/memory ro," "/proc/$pid/mountinfo"
	# Nor does it see anything else of the store.
	[ ! -e "/proc/$pid/root$(echo "$T"/templates/*)/state" ]
}

@test "template: a process waits in a clone for its first container, and goes when that wants another" {
	local first=first~container
	use_templates
	vcrt template create
	edit '.process.capabilities[] += ["CAP_SYS_ADMIN"]'
	# The whole machine in sight: without a namespace for PIDs and cgroups.
	namespaces network mount uts ipc
	start_container "$ID" sh -c 'mkdir -p /mnt && mount -t cgroup2 none /mnt && exec sleep 1000'
	is_clone "$ID"
	[ "$(vcrt exec "$ID" cat /proc/self/cgroup)" = "0::/$ID" ]
	wait_until 20 eval '[ "$(vcrt exec "$ID" ls -d "/mnt/$ID" "/mnt/'"$first"'")" = "/mnt/$ID" ]'
	vcrt delete --force "$ID"

	# With all of them the process is the container's own, and its cgroup goes with it.
	namespaces network mount uts ipc pid cgroup
	args sleep 1000
	edit '.linux.resources.pids.limit = 77 | .hostname = "first"'
	start_container "$ID-a" sleep 1000
	is_clone "$ID-a"
	[ "$(vcrt exec "$ID-a" cat /proc/1/cgroup /sys/fs/cgroup/pids.max)" = $'0::/\n77' ]
	[ "$(vcrt exec "$ID-a" sh -c 'hostname; tr "\\0" " " </proc/1/cmdline; ls /proc/1/fd | wc -l')" = $'first\nsleep 1000 3' ]
	namespaces network mount uts ipc
	edit --arg id "$ID-a" '.annotations = {"io.kubernetes.cri.container-type": "container",
		"io.kubernetes.cri.sandbox-id": $id} | .hostname = "second"'
	start_container "$ID-b" sh -c 'mkdir -p /mnt && mount -t cgroup2 none /mnt && exec sleep 1000'
	wait_until 20 eval 'vcrt exec "$ID-b" ls -d "/mnt/'"$first"'"'
	[ "$(vcrt exec "$ID-a" hostname)" = first ]
	vcrt delete --force "$ID-a"
	run vcrt exec "$ID-b" ls -d "/mnt/$first"
	[ "$status" -ne 0 ]
	[ "$(vcrt exec "$ID-b" hostname)" = second ]
}

@test "template: one that cannot be restored is set aside with one warning, and VMs boot" {
	use_templates
	vcrt template create
	chmod 600 "$T"/templates/*/state
	truncate -s 1000 "$T"/templates/*/state
	run_container -- echo hi
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = hi ]
	grep -q "start from template '[0-9a-f]*': restore the VM: .*; it is set aside, the VM boots" "$T/err"
	[[ $(status_column) == 'set aside: restore the VM: '* ]]
	run_container -- echo hi
	[ "$code" -eq 0 ]
	! grep -q template "$T/err" || false
	# It has no memory any more, and is replaced.
	[ -z "$(find "$T/templates" -name memory)" ]
	vcrt template create
	ready
	run vcrt template create
	[ "$status" -eq 1 ]
	[[ $output == *exists\ already* ]]
}

@test "template: a damaged one fails none of those that start from it at the same time" {
	local warning="level=warning .*start from template '[0-9a-f]*': .*; it is set aside, the VM boots"
	LIMIT=200
	use_templates manual boot_timeout 150 request_timeout 90
	vcrt template create
	chmod 600 "$T"/templates/*/*
	truncate -s 1000 "$T"/templates/*/state
	run_at_once 5
	cat "$T"/err? >&2
	grep -q "$warning" "$T"/err?
	run grep -hv "$warning" "$T"/err?
	[ -z "$output" ]
	run_at_once 1
	[ ! -s "$T/err1" ]
	[[ $(status_column) == 'set aside: '* ]]
	# With half of its memory the VMM has nothing to stand on.
	vcrt template create
	chmod 600 "$T"/templates/*/memory
	truncate -s 256M "$T"/templates/*/memory
	# What needs more than the template has boots with all of it.
	edit '.linux.resources = {memory: {limit: (700 * 1048576)}}'
	run_container -- awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" -ge 800 ]
	grep -q "$warning" "$T/err"
	[ "$(wc -l <"$T/err")" -eq 1 ]
	run_at_once 1
	[ ! -s "$T/err1" ]
}

@test "template: twenty runs at once from one, while another is made" {
	local builder
	LIMIT=200
	# Twenty guests share the host's processors, so each may take its time.
	use_templates manual boot_timeout 150 request_timeout 90
	vcrt template create
	jq '.memory = 400' "$T/config.json" >"$T/other.json"
	background "$VCRT" --config "$T/other.json" --root "$ROOT" template create >"$T/made" 2>&1
	builder=${BACKGROUND[-1]}
	run_at_once 20
	[ "$(cat "$T"/err* | wc -c)" -eq 0 ]
	wait_for 90 "$builder" || fail "$(cat "$T/made")"
	[ "$(status_column)" = $'ready\nready' ]
	assert_nothing_left
}

@test "template: one whose guest does not answer is given up, too" {
	own_image
	vcrt template create
	# The memory of something else: the state fits, the guest in it is dead.
	chmod 600 "$T"/templates/*/memory
	truncate -s 0 "$T"/templates/*/memory
	truncate -s 512M "$T"/templates/*/memory
	run_container -- echo hi
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = hi ]
	grep -q "it is set aside, the VM boots" "$T/err"
	[[ $(status_column) == 'set aside: '* ]]
}

@test "template: with another kernel, initrd, VMM or size there is none, and stale ones are replaced" {
	own_image
	vcrt template create
	start_container "$ID-1" sleep 1000
	is_clone "$ID-1"
	touch "$T/initrd.img"
	[ "$(status_column)" = stale ]
	start_container "$ID-2" sleep 1000
	! is_clone "$ID-2" || false
	vcrt template create
	[ "$(status_column)" = ready ]
	# One that is to be smaller; larger ones grow.
	edit '.annotations["io.vcrt.memory"] = "400"'
	use_templates manual kernel "\"$T/vmlinux\"" initrd "\"$T/initrd.img\"" enable_annotations '["memory"]'
	start_container "$ID-3" sleep 1000
	! is_clone "$ID-3" || false
	# What runs from a template that is gone goes on.
	vcrt template prune --all
	[ -z "$(ls -A "$T/templates")" ]
	[ "$(vcrt exec "$ID-1" echo alive)" = alive ]
	vcrt exec "$ID-1" sh -c 'for i in 1 2 3; do head -c 3000000 /dev/urandom | md5sum; done' >"$T/out"
	[ "$(wc -l <"$T/out")" -eq 3 ]
}

@test "template: without a word in the configuration, the first machine boots and the next is a clone" {
	local i
	own_image ""
	args sleep 1000
	# Those that boot at the same time have one made.
	for i in 1 2 3; do
		background "$VCRT" "${VCRT_ARGS[@]}" run -d --bundle "$B" "$ID-$i" </dev/null &>"$T/run$i"
	done
	for i in 1 2 3; do
		wait_for 90 "${BACKGROUND[i - 1]}"
		! is_clone "$ID-$i" || false
		[ ! -s "$T/run$i" ]
	done
	wait_until 300 ready
	wait_until 30 no_builder
	[ "$(find "$T/templates" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
	start_container "$ID-4" sleep 1000
	is_clone "$ID-4"
	no_builder
	run vcrt check
	[[ $output == *" templates "*"auto, in '$T/templates', "*": 1 ready, 0 stale; for this configuration there is one"* ]]
	# A new kernel: one is made for it, and the old one goes.
	touch "$T/vmlinux"
	start_container "$ID-5" sleep 1000
	! is_clone "$ID-5" || false
	wait_until 300 ready
	wait_until 30 no_builder
	[ "$(find "$T/templates" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
}

@test "template: its builder takes nothing of its caller along, and stands back for others" {
	local pid fd caller first
	own_image auto
	caller=$(pids_or_unified)/$ID-caller
	mkdir "$caller"
	args sleep 1000
	edit --arg path "/$ID" '.linux.cgroupsPath = $path'
	# shellcheck disable=SC2016
	timeout 90 sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$caller" \
		"$VCRT" "${VCRT_ARGS[@]}" run -d --bundle "$B" "$ID" </dev/null 7<"$B/config.json" &>"$T/said" ||
		fail "$(cat "$T/said")"
	# Other namespaces are the last thing that it sees to before it makes one.
	is_apart() {
		pid=$(builders | head -n 1)
		[ -n "$pid" ] && [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	}
	wait_until 30 is_apart
	kill -STOP "$pid"
	# Nothing is left in the caller's cgroup.
	rmdir "$caller"
	cat "/proc/$pid/cgroup" >&2
	run ! grep -v ':/$' "/proc/$pid/cgroup"
	[ "$(ps -o ni= -p "$pid" | tr -d ' ')" -eq 5 ]
	[ "$(cat "/proc/$pid/oom_score_adj")" -eq 1000 ]
	[ "$(readlink "/proc/$pid/cwd")" = / ]
	[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]
	[ "$(ps -o sid= -p "$pid" | tr -d ' ')" -ne "$(ps -o sid= -p $$ | tr -d ' ')" ]
	for fd in 0 1 2; do
		[ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ]
	done
	! find "/proc/$pid/fd" -lname "$B/*" | grep . || false
	# One that is killed: the next machine that boots has it made.
	kill -9 "$pid"
	wait_until 30 no_builder
	vcrt delete --force "$ID"
	first=$(find "$T/templates" -name memory)
	[[ -z $first || $first == */@* ]]
	start_container "$ID" sleep 1000
	! is_clone "$ID" || false
	wait_until 300 ready
	wait_until 30 no_builder
}

@test "template: when none can be made that is said once, and machines boot" {
	own_image auto
	mkdir -m 777 "$T/templates"
	run_container -- true
	[ "$code" -eq 0 ]
	grep -q "have a template made: other users can write to the directory '$T/templates'" "$T/err"
	run_container -- true
	[ "$code" -eq 0 ]
	[ ! -s "$T/err" ]
	run vcrt check
	[[ $output == *"warning  templates"*"one could not be made some minutes ago: other users can write"* ]]
	# A builder that fails has nobody to tell; the note says why.
	chmod 700 "$T/templates"
	vcrt template prune
	[ -z "$(find "$RUN/.." -name '@template-*')" ]
	use_templates auto kernel "\"$T/vmlinux\"" initrd "\"$T/initrd.img\"" template_max 170
	mkdir "$T/full"
	host_mount "$T/full" size=1m
	edit_file "$T/config.json" --arg dir "$T/full/store" '.template_dir = $dir'
	run_container -- true
	[ "$code" -eq 0 ]
	[ ! -s "$T/err" ]
	wait_until 30 no_builder
	run vcrt check
	[[ $output == *"one could not be made some minutes ago: create a template: there is no room for a template in '$T/full/store'"* ]]
	run_container -- true
	no_builder
	rm -r "$T/full/store"
}

@test "template: builders at the same time make one, a killed one leaves nothing that is used" {
	local pid made=0
	use_templates
	for i in 1 2 3; do
		background "$VCRT" "${VCRT_ARGS[@]}" template create >"$T/create$i" 2>&1
	done
	for pid in "${BACKGROUND[@]}"; do
		! wait_for 60 "$pid" || made=$((made + 1))
	done
	cat "$T"/create? >&2
	[ "$made" -eq 1 ]
	[ "$(grep -cE 'made by somebody else|exists already' "$T"/create? | grep -c ':1$')" -eq 2 ]
	vcrt template remove "$(ls "$T/templates")"
	[ -z "$(ls -A "$T/templates")" ]
	run vcrt template remove 0123456789abcdef0123456789abcdef
	[ "$status" -eq 1 ]
	[[ $output == *"no template '0123456789abcdef0123456789abcdef'"* ]]

	background "$VCRT" "${VCRT_ARGS[@]}" template create >"$T/killed" 2>&1
	wait_until 20 eval '[ -s "$(echo "$T"/templates/@*/memory)" ]'
	kill -9 "${BACKGROUND[-1]}"
	nobody_left() {
		pids_of_test >"$T/left"
		[ ! -s "$T/left" ]
	}
	wait_until 60 nobody_left || ps -o pid,stat,args -p "$(paste -sd , "$T/left")"
	nobody_left
	[ "$(vcrt template list | wc -l)" -eq 1 ]
	run_container -- echo hi
	[ "$(cat "$T/out")" = hi ]
	vcrt template create
	[ "$(find "$T/templates" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
	run_container -- echo hi
	[ "$(cat "$T/out")" = hi ]
}

@test "template: wrong words and settings are told" {
	use_templates
	run vcrt template
	[ "$status" -eq 1 ]
	run vcrt template explode
	[ "$status" -eq 1 ]
	[[ $output == *"template: unknown action 'explode'"* ]]
	run vcrt template list something
	[ "$status" -eq 1 ]
	use_templates sometimes
	run vcrt run --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"unknown use of templates 'sometimes'"* ]]
	use_templates manual shared_fs '"virtiofs"'
	run vcrt template create
	[ "$status" -eq 1 ]
	[[ $output == *'create a template: there are no templates of VMs whose files are served by virtiofsd'* ]]
	use_templates manual template_max 20
	run vcrt template create
	[ "$status" -eq 1 ]
	[[ $output == *'more than template_max allows'* ]]
	[ -z "$(ls -A "$T/templates")" ]
}
