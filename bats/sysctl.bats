#!/usr/bin/env bats
# linux.sysctl: those of the container's namespaces, and those of the virtual machine.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the guest's shell expands; tests are subshells
load helpers

refused() { # SYSCTLS MESSAGE
	edit --argjson s "$1" '.linux.sysctl = $s'
	run_container -- true
	[ "$code" -eq 1 ]
	grep -qF -- "$2" <(sed 's/[\]//g' "$T/err") # the log escapes quotes
	assert_nothing_left
}

@test "sysctl: names with dots and with slashes, of namespaces and of the whole virtual machine" {
	edit '.linux.sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "0",
		"net.core.somaxconn": "321", "kernel.shmmax": "1234567", "kernel/msgmax": "4321",
		"fs.mqueue.msg_max": "55", "kernel.sem": "100 200 30 40", "kernel.domainname": "by.sysctl",
		"vm.overcommit_memory": "1", "vm.swappiness": "7", "kernel.panic_on_oops": "0", "fs.file-max": "54321",
		"net.ipv4.ping_group_range": "0 2147483647", "net.ipv4.ip_unprivileged_port_start": "0"}'
	run_container -- sh -c 'cd /proc/sys; for s in net/ipv4/ip_forward net/ipv4/conf/lo/forwarding \
			net/core/somaxconn kernel/shmmax kernel/msgmax fs/mqueue/msg_max kernel/sem kernel/domainname \
			vm/overcommit_memory vm/swappiness kernel/panic_on_oops fs/file-max net/ipv4/ping_group_range \
			net/ipv4/ip_unprivileged_port_start; do echo $(cat $s); done'
	[ "$code" -eq 0 ]
	[ "$(tr '\n' , <"$T/out")" = '1,0,321,1234567,4321,55,100 200 30 40,by.sysctl,1,7,0,54321,0 2147483647,0,' ]
}

@test "sysctl: what is no sysctl of the guest, or no value for it, is an error" {
	refused '{"kernel.no_such_thing": "1"}' "linux.sysctl: the guest kernel has no 'kernel.no_such_thing'"
	refused '{"vm.overcommit_memory": "often"}' "linux.sysctl: write 'often' to '/proc/sys/vm/overcommit_memory': Invalid argument"
	refused '{"kernel.shmmax": "much"}' "linux.sysctl: write 'much' to '/proc/sys/kernel/shmmax': Invalid argument"
	refused '{"net.ipv4": "1"}' 'linux.sysctl'

	# These do not take a VM.
	refused '{"../../etc/passwd": "1"}' 'linux.sysctl["../../etc/passwd"]: must be a name'
	refused '{"/proc/sys/vm/swappiness": "1"}' 'linux.sysctl["/proc/sys/vm/swappiness"]: must be a name'
	refused '{"net..ipv4": "1"}' 'linux.sysctl["net..ipv4"]: must be a name'
	refused '{"": "1"}' 'linux.sysctl[""]: must not be empty'
	refused '{"vm.swappiness": 1}' 'linux.sysctl["vm.swappiness"]: expected a string, not a number'
	refused '{"kernel.hostname": "x"}' 'linux.sysctl["kernel.hostname"]: not allowed as it conflicts with "hostname"'
	edit '.domainname = "given"'
	refused '{"kernel/domainname": "x"}' 'not allowed as it conflicts with "domainname"'
}
