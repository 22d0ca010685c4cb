#!/usr/bin/env bats
# Debian's Docker with vcrt as its runtime: what the options of run do in the container.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers
load clients
load docker

setup_file() {
	docker_setup_file
}

teardown_file() {
	client_teardown_file
}

# What the create of the container "c-c" has logged.
log_of_create() {
	cat "$T/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/$(inspect '{{.Id}}')/log.json"
}

@test "docker: options of run reach the container" {
	mkdir -p host
	echo fromhost >host/file
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],
		"action": "SCMP_ACT_ERRNO"}]}' >seccomp.json
	up --init --read-only --tmpfs /tmp:size=1m -v "$T/host:/mnt/host" -v volume:/mnt/volume \
		-v "$T/host/file:/mnt/file:ro" --device /dev/null:/dev/mynull --cap-drop ALL --cap-add NET_ADMIN \
		--ulimit nofile=123:456 --sysctl kernel.msgmax=12345 --hostname inside --shm-size 8m \
		--security-opt seccomp=seccomp.json -w /root --add-host other:1.2.3.4 --dns 9.9.9.9 \
		-e A=b -m 256m --pids-limit 77 --cpus 0.5 -- sh -c 'sleep 1000'
	docker exec c-c sh -c '
		cat /proc/1/comm /mnt/file /proc/sys/kernel/msgmax
		df -k /tmp /dev/shm | tr -s " " | cut -d " " -f 2
		grep CapEff /proc/self/status | cut -f 2; ulimit -n; ulimit -Hn; hostname; pwd; echo $A
		ls -l /dev/mynull | tr -s " " | cut -d " " -f 5-6; grep other /etc/hosts; cat /etc/resolv.conf
		cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max' >out
	cat out >&2
	diff out - <<-END
		docker-init
		fromhost
		12345
		1K-blocks
		1024
		8192
		0000000000001000
		123
		456
		inside
		/root
		b
		1, 3
		1.2.3.4	other
		nameserver 9.9.9.9
		268435456
		77
		50000 100000
	END
	run docker exec c-c sh -c 'touch /x; echo no >/mnt/file; mkdir /tmp/x'
	[[ $output == *'/x: Read-only file system'*'/mnt/file: Read-only file system'*'not permitted'* ]]
	docker exec c-c sh -c 'echo made >/mnt/host/new; echo kept >/mnt/volume/new'
	[ "$(cat host/new)" = made ]
	docker rm -f c-c >/dev/null
	run docker_run -v volume:/v:ro -u 12:34 --group-add 56 busybox:test sh -c 'cat /v/new; id'
	[ "$output" = 'kept'$'\n''uid=12 gid=34 groups=34,56' ]
}

@test "docker: a privileged container has the devices of its machine and may use its kernel" {
	up --privileged -- sleep 1000
	# The host has many that the guest does not.
	docker exec c-c sh -c 'cd /dev; for f in null kmsg loop-control net/tun fuse ttyS0 vda kvm; do
		[ ! -e $f ] || echo $f; done' >out
	diff out - <<-END
		null
		kmsg
		loop-control
		net/tun
		fuse
	END
	log_of_create >log
	[ "$(wc -l <log)" -eq 1 ]
	jq -e '.level == "warning" and (.msg | startswith("linux.devices: the virtual machine does not have /dev/"))' log
	docker exec c-c sh -e -c '
		mkdir /mnt; mount -t tmpfs none /mnt; mkdir /sys/fs/cgroup/mine
		echo 12321 >/proc/sys/kernel/msgmax; dmesg | grep -q "Linux version"
		dd if=/dev/zero of=/mnt/image bs=1M count=1 2>/dev/null; losetup /dev/loop0 /mnt/image
		dd if=/dev/loop0 bs=1M 2>/dev/null | wc -c
		grep -E "CapEff|Seccomp:" /proc/self/status' >out
	diff out - <<-END
		1048576
		CapEff:	0000003fffffffff
		Seccomp:	0
	END
	[ "$(cat /proc/sys/kernel/msgmax)" != 12321 ]
}

@test "docker: limits of the container, of its processes and of its cgroup on the host" {
	local id

	up --cpuset-cpus 0 --cpu-shares 512 -m 100m --memory-reservation 50m --memory-swap 200m \
		--oom-score-adj 300 --cgroupns private --ulimit core=0 --ulimit nproc=500 --pids-limit 20 \
		--security-opt no-new-privileges --security-opt seccomp=unconfined \
		--device-cgroup-rule 'c 1:3 rmw' -- sleep 1000
	docker exec c-c sh -c 'cd /sys/fs/cgroup
		cat cpuset.cpus cpu.weight memory.max memory.low memory.swap.max pids.max /proc/self/cgroup
		ulimit -c; ulimit -u; cat /proc/1/oom_score_adj; grep -E "NoNew|Seccomp:" /proc/1/status' >out
	diff out - <<-END
		0
		20
		104857600
		52428800
		104857600
		20
		0::/
		0
		500
		300
		NoNewPrivs:	1
		Seccomp:	0
	END
	docker exec c-c sh -c 'mknod /dev/mine c 1 3 && echo x >/dev/mine && mknod /dev/other c 1 2 &&
		! head -c 1 /dev/other'
	run docker exec c-c sh -c 'for i in $(seq 40); do sleep 1000 >/dev/null 2>&1 & done'
	[[ $output == *"can't fork"* ]]
	# The sandbox on the host has what the VM itself needs on top.
	id=$(inspect '{{.Id}}')
	if [ -d "/sys/fs/cgroup/memory/$ID/$id" ]; then
		[ "$(cat "/sys/fs/cgroup/memory/$ID/$id/memory.limit_in_bytes")" -lt 2000000000 ]
		[ "$(cat "/sys/fs/cgroup/cpu/$ID/$id/cpu.shares")" = 512 ]
		[ "$(cat "/sys/fs/cgroup/cpuset/$ID/$id/cpuset.cpus")" = 0 ]
	else
		[ "$(cat "/sys/fs/cgroup/$ID/$id/memory.max")" -lt 2000000000 ]
		[ "$(cat "/sys/fs/cgroup/$ID/$id/cpuset.cpus")" = 0 ]
	fi
	docker rm -f c-c >/dev/null
	run -137 docker_run -m 64m busybox:test tail /dev/zero
}

@test "docker: mounts of each kind, volumes that go with the container, files that Docker rewrites" {
	mkdir -p host
	up --mount type=tmpfs,destination=/t,tmpfs-size=3m,tmpfs-mode=0700 \
		--mount "type=bind,source=$T/host,destination=/h,readonly" --mount type=volume,destination=/v \
		--tmpfs /e:exec,size=4m -w /new/dir --domainname dom.ain --dns-search se.arch --dns-opt ndots:3 \
		--dns 1.1.1.1 --ipc shareable -v /srv -- sleep 1000
	docker exec c-c sh -c 'pwd; ls -ld /t | cut -c 1-10; df -k /t | tail -n 1 | tr -s " " | cut -d " " -f 2
		cat /etc/resolv.conf /proc/sys/kernel/domainname; touch /h/x; cp /bin/busybox /e/true; /e/true && echo ran
		cp /bin/busybox /t/true; /t/true; touch /v/x /srv/x /dev/shm/x && echo all' >out 2>&1
	diff out - <<-END
		/new/dir
		drwx------
		3072
		search se.arch
		nameserver 1.1.1.1
		options ndots:3
		dom.ain
		touch: /h/x: Read-only file system
		ran
		sh: /t/true: Permission denied
		all
	END
	echo later >host/later
	[ "$(docker exec c-c cat /h/later)" = later ]
	echo '1.2.3.4 rewritten' >>"$(inspect '{{.HostsPath}}')"
	docker exec c-c grep -q rewritten /etc/hosts
	[ "$(docker volume ls -q | grep -c '^[0-9a-f]\{64\}$')" = 2 ]

	docker rm -f -v c-c >/dev/null
	run ! grep '^[0-9a-f]\{64\}$' <(docker volume ls -q)
}

@test "docker: what a virtual machine cannot do is refused, with one clear sentence" {
	python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$T/bound.sock"
	run -125 docker run --rm --network host busybox:test true
	[[ $output == *"the host's network cannot be used by a container in a virtual machine"* ]]
	remember_engine # Docker keeps a mount of that network from now on
	run -125 docker_run -v "$T/bound.sock:/run/x.sock" busybox:test true
	[[ $output == *'a socket of the host cannot be reached from a virtual machine'* ]]
	run -125 docker_run --sysctl kernel.sem=nonsense busybox:test true
	[[ $output == *"linux.sysctl: write 'nonsense' to '/proc/sys/kernel/sem': Invalid argument"* ]]
	run ! grep -i -e 'no such file' -e 'not found' <<<"$output"
}
