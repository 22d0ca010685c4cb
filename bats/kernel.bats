#!/usr/bin/env bats
# What a container may expect of the guest's kernel, whichever flavour it is.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands; helpers set the variables
load helpers

@test "kernel: system calls, kinds of sockets and namespaces that programs in containers use" {
	needs cc
	cc -D_GNU_SOURCE -O -static -o "$B/rootfs/bin/kernel" "$BATS_TEST_DIRNAME/kernel.c"
	edit '(.process.capabilities[] | arrays) = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_RAW",
		"CAP_BPF", "CAP_PERFMON", "CAP_SYS_TIME", "CAP_IPC_LOCK"]'
	run_container -- kernel
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = 'all there' ]
}

@test "kernel: file systems, controllers, namespaces and what /proc tells" {
	local word

	mount_in cgroup cgroup /sys/fs/cgroup ro nosuid
	start_container "$ID" sh -c 'cat /proc/filesystems; echo; cat /sys/fs/cgroup/cgroup.controllers
		echo; ls /proc/self/ns; echo; ls /proc/self /proc/sys/kernel /proc/net; echo end; sleep 1000'
	wait_until 60 has_line "$T/$ID.out" end
	tr -s ' \t' '\n' <"$T/$ID.out" >"$T/words"
	for word in 9p tmpfs proc sysfs devpts devtmpfs mqueue hugetlbfs cgroup2 ramfs bpf \
		cpu cpuset io memory pids hugetlb rdma misc \
		cgroup ipc mnt net pid time user uts \
		smaps pagemap io timens_offsets uid_map oom_score_adj \
		ngroups_max pid_max sem shmmax threads-max unprivileged_bpf_disabled \
		tcp6 udp packet unix netlink; do
		has_line "$T/words" "$word" || fail "no '$word'"
	done
}
