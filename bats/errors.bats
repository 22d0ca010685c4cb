#!/usr/bin/env bats
# Bad input: each has a clear message and a non-zero exit status, and leaves nothing.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# refused TEXT ARGUMENT...: vcrt fails within the time limit, says the text, prints nothing on
# standard output, and leaves nothing.
refused() {
	local text=$1 code=0

	shift
	vcrt "$@" </dev/null >"$T/out" 2>"$T/err" || code=$?
	cat "$T/out" "$T/err" >&2
	[ "$code" -eq 1 ] || fail "exit status $code" || return 1
	[ ! -s "$T/out" ] || fail "something on standard output" || return 1
	grep -qF -- "$text" "$T/err" || fail "the message does not contain: $text" || return 1
	assert_nothing_left
}

@test "errors: no bundle, no config.json, no rootfs" {
	refused 'chdir /no/such/bundle: no such file or directory' run --bundle /no/such/bundle "$ID"
	mkdir "$T/empty"
	refused 'JSON specification file config.json not found' run --bundle "$T/empty" "$ID"
	cd "$T/empty"
	refused 'JSON specification file config.json not found' create "$ID"
	cd "$T"
	refused 'Not a directory' run --bundle "$B/config.json" "$ID"
	mv "$B/rootfs" "$B/moved"
	refused "$B/rootfs" run --bundle "$B" "$ID"
	touch "$B/rootfs"
	refused "invalid rootfs: '$B/rootfs' is not a directory" run --bundle "$B" "$ID"
	ln -sf /no/where "$B/rootfs"
	refused "$B/rootfs" run --bundle "$B" "$ID"
}

@test "errors: config.json is not JSON, or not what it should be" {
	local good
	good=$(cat "$B/config.json")
	: >"$B/config.json"
	refused config.json run --bundle "$B" "$ID"
	echo '{"ociVersion": "1.0.2", ' >"$B/config.json"
	refused config.json run --bundle "$B" "$ID"
	echo '[]' >"$B/config.json"
	refused config.json run --bundle "$B" "$ID"
	head -c 100000 /dev/urandom >"$B/config.json"
	refused config.json run --bundle "$B" "$ID"
	printf '%100000s' '' | tr ' ' '[' >"$B/config.json"
	refused config.json run --bundle "$B" "$ID"
	rm "$B/config.json"
	mkdir "$B/config.json"
	refused config.json run --bundle "$B" "$ID"
	rmdir "$B/config.json"

	echo "$good" >"$B/config.json"
	edit 'del(.ociVersion)'
	refused ociVersion run --bundle "$B" "$ID"
	edit '.ociVersion = "2.0.0"'
	refused ociVersion run --bundle "$B" "$ID"
	edit '.ociVersion = 1'
	refused ociVersion run --bundle "$B" "$ID"
	edit '.ociVersion = "rubbish"'
	refused ociVersion run --bundle "$B" "$ID"
	echo "$good" >"$B/config.json"
	edit '.process.user.uid = "root"'
	refused 'process.user.uid: expected a number' run --bundle "$B" "$ID"
	echo "$good" >"$B/config.json"
	edit 'del(.process)'
	refused process run --bundle "$B" "$ID"
	echo "$good" >"$B/config.json"
	edit '.process.args = []'
	refused process.args run --bundle "$B" "$ID"
	echo "$good" >"$B/config.json"
	edit '.process.cwd = "relative"'
	refused process.cwd run --bundle "$B" "$ID"
	echo "$good" >"$B/config.json"
	edit 'del(.root)'
	refused root run --bundle "$B" "$ID"
	echo "$good" >"$B/config.json"
	edit '.mounts += [{destination: "/x", type: "bind", source: "/no/such/source", options: ["rbind"]}]'
	refused 'no such file or directory' run --bundle "$B" "$ID"
	grep -qF /no/such/source "$T/err"
}

@test "errors: ids" {
	local long
	long=$(printf '%01025d' 0)
	refused 'invalid container ID format' run --bundle "$B" a/b
	refused 'invalid container ID format' run --bundle "$B" ../a
	refused 'invalid container ID format' run --bundle "$B" ..
	refused 'container id cannot be empty' run --bundle "$B" ''
	refused 'invalid container ID format' run --bundle "$B" 'a b'
	refused '' run --bundle "$B" "$long"
	grep -q 'container ID' "$T/err"
	# The longest that is allowed works. The name of its cgroup must fit, too.
	edit --arg p "/$ID" '.linux.cgroupsPath = $p'
	long=$(printf '%0200d' 0)
	args echo fine
	[ "$(vcrt run --bundle "$B" "$long" </dev/null)" = fine ]
	assert_nothing_left
}

@test "errors: an id that is taken" {
	start_container "$ID" sleep 1000
	run vcrt create --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'container with given ID already exists'* ]]
	run vcrt run --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'container with given ID already exists'* ]]
	# The one that has it is not touched.
	[ "$(vcrt exec "$ID" echo alive)" = alive ]
	vcrt kill "$ID" KILL
	wait_until 20 is_status "$ID" stopped
	run vcrt create --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *'container with given ID already exists'* ]]
}

@test "errors: kernel or initrd missing or corrupt, QEMU missing or something else" {
	local kernel initrd
	kernel=$(configured kernel) initrd=$(configured initrd)
	configure kernel '"/no/such/kernel"'
	refused /no/such/kernel run --bundle "$B" "$ID"
	configure initrd '"/no/such/initrd"'
	refused /no/such/initrd run --bundle "$B" "$ID"
	configure vmm_path '"/no/such/qemu"'
	refused /no/such/qemu run --bundle "$B" "$ID"
	configure vmm_path '"/etc/passwd"'
	refused /etc/passwd run --bundle "$B" "$ID"
	configure vmm_path '"/bin/true"'
	refused 'vcrt run failed' run --bundle "$B" "$ID"
	configure machine '"no-such-machine"'
	refused 'unsupported machine type' run --bundle "$B" "$ID"
	configure accel '"warp"'
	refused warp run --bundle "$B" "$ID"

	: >"$T/file"
	configure kernel "\"$T/file\""
	refused "$T/file" run --bundle "$B" "$ID"
	head -c 1000000 /dev/urandom >"$T/file"
	refused "$T/file" run --bundle "$B" "$ID"
	head -c 3000000 "$kernel" >"$T/file"
	refused "$T/file" run --bundle "$B" "$ID"
	configure initrd "\"$T/file\""
	: >"$T/file"
	refused "$T/file" run --bundle "$B" "$ID"
	head -c 1000000 /dev/urandom >"$T/file"
	# Only the guest finds out: it must not take the whole boot timeout.
	LIMIT=50 refused 'vcrt run failed' run --bundle "$B" "$ID"
	head -c 100000 "$initrd" >"$T/file"
	LIMIT=50 refused 'vcrt run failed' run --bundle "$B" "$ID"
}

@test "errors: a guest that never answers is given up after boot_timeout" {
	# A kernel that stops, with an initrd that has no agent: sleep instead.
	mkdir -p "$T/initrd/bin"
	cp /bin/busybox "$T/initrd/bin/sh"
	printf '#!/bin/sh\nwhile :; do :; done\n' >"$T/initrd/init"
	chmod +x "$T/initrd/init"
	(cd "$T/initrd" && find . | "$BATS_SUITE_TMPDIR/rootfs/bin/busybox" cpio -o -H newc) \
		>"$T/initrd.img" 2>/dev/null
	configure initrd "\"$T/initrd.img\"" boot_timeout 5
	LIMIT=20 refused 'vcrt run failed' run --bundle "$B" "$ID"
	grep -q '5 s' "$T/err"
}

@test "errors: too little memory" {
	configure memory 16
	LIMIT=60 refused memory run --bundle "$B" "$ID"
	configure memory 0
	refused memory run --bundle "$B" "$ID"
	configure memory 4194304
	LIMIT=60 refused 'vcrt run failed' run --bundle "$B" "$ID"
}

@test "errors: no space for the state directory" {
	mkdir "$ROOT"
	mount -t tmpfs -o size=4k,nr_inodes=8 none "$ROOT"
	dd if=/dev/zero of="$ROOT/fill" bs=4k count=1 2>/dev/null
	run vcrt run --bundle "$B" "$ID"
	rm "$ROOT/fill"
	find "$ROOT" -mindepth 1 >"$T/left"
	umount "$ROOT"
	[ "$status" -eq 1 ]
	[[ $output == *'No space left on device'* ]]
	[ ! -s "$T/left" ]
	assert_nothing_left

	# Full in the middle: there is room for a directory and a journal, not for more.
	mount -t tmpfs -o size=16k none "$ROOT"
	run vcrt run --bundle "$B" "$ID"
	find "$ROOT" -mindepth 1 >"$T/left"
	umount "$ROOT"
	[ "$status" -eq 0 ] || [[ $output == *'No space left on device'* ]]
	[ ! -s "$T/left" ]
	assert_nothing_left

	mkdir -p "$RUN"
	mount -t tmpfs -o size=4k,nr_inodes=4,mode=0700 none "$RUN"
	run vcrt run --bundle "$B" "$ID"
	find "$RUN" -mindepth 1 >"$T/left"
	umount "$RUN"
	[ "$status" -eq 1 ]
	[[ $output == *'No space left on device'* ]]
	[ ! -s "$T/left" ]
	assert_nothing_left
}

@test "errors: a state directory that cannot be made" {
	touch "$ROOT"
	run vcrt run --bundle "$B" "$ID"
	[ "$status" -eq 1 ]
	[[ $output == *"$ROOT"* ]]
	run vcrt list
	[ "$status" -eq 1 ]
	rm "$ROOT"
	vcrt list
}

@test "errors: state.json is corrupt" {
	local verb broken pid
	start_container "$ID" sleep 1000
	pid=$(pid_of monitor "$ID")
	cp "$ROOT/$ID/state.json" "$T/good"
	for broken in '' '{' '[]' 'null' '{"id": 7}' "$(head -c 300 "$T/good")"; do
		echo "$broken" >"$ROOT/$ID/state.json"
		for verb in state kill start delete; do
			run vcrt "$verb" "$ID"
			[ "$status" -eq 1 ]
			[[ $output == *"$ID"* && $output == *state.json* ]]
		done
		run vcrt list
		[ "$status" -eq 0 ]
	done
	[ -d "/proc/$pid" ]
	record_processes
	run vcrt delete --force "$ID"
	[ "$status" -eq 0 ]
	assert_nothing_left

	# A journal that is cut off, as a full disk leaves it.
	create_container "$ID"
	record_processes
	truncate -s -20 "$ROOT/$ID/vcrt.journal"
	rm "$ROOT/$ID/state.json"
	vcrt delete --force "$ID"
	assert_nothing_left
}

@test "errors: a ROOT that is shared with other runtimes and strangers" {
	needs runc
	mkdir -p "$ROOT/stranger/deep" "$ROOT/empty-dir"
	echo '{"id": "stranger", "pid": 1}' >"$ROOT/stranger/state.json"
	echo data >"$ROOT/stranger/deep/file"
	touch "$ROOT/a-file"
	ln -s /etc "$ROOT/a-link"
	args sleep 1000
	edit 'del(.linux.resources)'
	runc --root "$ROOT" run -d --bundle "$B" "$ID-runc" </dev/null >/dev/null 2>&1
	start_container "$ID" sleep 1000
	[ "$(vcrt list -q)" = "$ID" ]
	for other in stranger empty-dir a-file a-link "$ID-runc"; do
		for verb in state start kill delete; do
			run vcrt "$verb" "$other"
			[ "$status" -eq 1 ]
		done
		run vcrt delete --force "$other"
	done
	runc --root "$ROOT" state "$ID-runc" | jq -e '.status == "running"'
	[ "$(cat "$ROOT/stranger/deep/file")" = data ]
	[ -f "$ROOT/a-file" ]
	[ -L "$ROOT/a-link" ]
	[ -f /etc/passwd ]
	run vcrt run --bundle "$B" "$ID-runc"
	[ "$status" -eq 1 ]
	[[ $output == *'container with given ID already exists'* ]]
	runc --root "$ROOT" delete --force "$ID-runc"
	vcrt delete --force "$ID"
	rm -r "$ROOT/stranger" "$ROOT/a-file" "$ROOT/a-link"
	rmdir "$ROOT/empty-dir" 2>/dev/null || true
	assert_nothing_left
}

@test "errors: a pid file that cannot be written" {
	refused /no/such/dir run --bundle "$B" --pid-file /no/such/dir/pid "$ID"
}
