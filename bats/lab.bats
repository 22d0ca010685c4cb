#!/usr/bin/env bats
# What takes another host: tests that run in a VM, see test/lab/run.sh. A container's VM would be one
# in a VM there, and takes minutes to boot: in its place is a process that does nothing.
load helpers

in_lab() { # OPTION... COMMAND...
	needs qemu-system-x86_64 busybox cpio
	VCRT=$VCRT timeout -k 10 320 "$BATS_TEST_DIRNAME/../test/lab/run.sh" --seconds 300 "$@"
}

@test "lab: with cgroup version 2 alone" {
	in_lab bats --tap "$BATS_TEST_DIRNAME/../test/lab/cgroup2.bats"
}

@test "lab: with systemd, and cgroup version 2" {
	needs systemctl
	in_lab --systemd bats --tap "$BATS_TEST_DIRNAME/../test/lab/systemd.bats"
}

@test "lab: with systemd, and cgroup version 1" {
	needs systemctl
	in_lab --hybrid bats --tap --filter 'limits|monitor' "$BATS_TEST_DIRNAME/../test/lab/systemd.bats"
}

@test "lab: a command's output and exit status are those of the lab, its time is limited" {
	run -7 in_lab sh -c 'echo out; echo "$VCRT_WORD" >&2; pwd; exit 7'
	[ "$output" = $'out\n\n'"$PWD" ]
	VCRT_WORD='two words' run -0 in_lab sh -c 'echo "$VCRT_WORD"; touch here && ls here'
	[ "$output" = $'two words\nhere' ]
	[ ! -e here ]
	run -124 in_lab --seconds 1 true
	run -1 in_lab --no-such true
	[[ $output == *"unknown option '--no-such'"* ]]
}
