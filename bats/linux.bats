#!/usr/bin/env bats
# What else "linux" holds: personality, memoryPolicy, intelRdt, netDevices; and what config.json says
# to other platforms and about the virtual machine.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # the guest's shell expands; tests are subshells
load helpers

refused() { # JQ-FILTER MESSAGE
	cp "$B/config.json" "$T/before.json"
	edit "$1"
	run_container -- true
	cp "$T/before.json" "$B/config.json"
	[ "$code" -eq 1 ]
	grep -qF -- "$2" <(sed 's/[\]//g' "$T/err") # the log escapes quotes
	assert_nothing_left
}

@test "linux: personality, of the container and of what is exec'd in it" {
	edit '.linux.personality = {domain: "LINUX32"}'
	start_container "$ID" sh -c 'uname -m; cat /proc/self/personality; echo end; exec sleep 1000'
	wait_until 60 has_line "$T/$ID.out" end
	[ "$(cat "$T/$ID.out")" = $'i686\n00000008\nend' ]
	[ "$(vcrt exec "$ID" uname -m)" = i686 ]
	vcrt delete --force "$ID"

	edit '.linux.personality = {domain: "LINUX", flags: []}'
	run_container -- uname -m
	[ "$(cat "$T/out")" = "$(uname -m)" ]
	refused '.linux.personality.domain = "BSD"' 'linux.personality.domain: unknown execution domain'
	refused '.linux.personality.flags = ["ADDR_NO_RANDOMIZE"]' \
		'linux.personality.flags[0]: unknown personality flag'
}

@test "linux: memoryPolicy, of the container and of what is exec'd in it" {
	policies() {
		run_container -- sh -c 'cut -d " " -f 2 /proc/self/numa_maps | sort -u'
		[ "$code" -eq 0 ]
	}

	edit '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}'
	start_container "$ID" sh -c 'cut -d " " -f 2 /proc/self/numa_maps | sort -u; echo end; exec sleep 1000'
	wait_until 60 has_line "$T/$ID.out" end
	[ "$(cat "$T/$ID.out")" = $'bind=static:0\nend' ]
	[ "$(vcrt exec "$ID" sh -c 'cut -d " " -f 2 /proc/self/numa_maps | sort -u')" = bind=static:0 ]
	vcrt delete --force "$ID"

	edit '.linux.memoryPolicy = {mode: "MPOL_INTERLEAVE", nodes: "0-3"}'
	policies
	[ "$(cat "$T/out")" = interleave:0 ]
	edit '.linux.memoryPolicy = {mode: "MPOL_PREFERRED_MANY", nodes: "0"}'
	policies
	[ "$(cat "$T/out")" = 'prefer (many):0' ] || [ "$(cat "$T/out")" = prefer ]
	edit '.linux.memoryPolicy = {mode: "MPOL_DEFAULT", flags: []}'
	policies
	[ "$(cat "$T/out")" = default ]

	# The guest has one node.
	refused '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "1"}' \
		"linux.memoryPolicy: set MPOL_BIND for the guest's memory nodes '1': Invalid argument"
	# These do not take a VM.
	refused '.linux.memoryPolicy = {}' 'linux.memoryPolicy.mode: required, but missing'
	refused '.linux.memoryPolicy.mode = "MPOL_FAR"' 'linux.memoryPolicy.mode: unknown memory policy'
	refused '.linux.memoryPolicy = {mode: "MPOL_BIND"}' 'linux.memoryPolicy.nodes: required with MPOL_BIND'
	refused '.linux.memoryPolicy.nodes = "0"' 'linux.memoryPolicy.nodes: must be empty with MPOL_DEFAULT'
	refused '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "x"}' \
		'linux.memoryPolicy.nodes: must be a list of memory nodes'
	refused '.linux.memoryPolicy.flags = ["MPOL_F_OTHER"]' \
		'linux.memoryPolicy.flags[0]: unknown memory policy flag'
	refused '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0",
		flags: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}' 'exclude each other'
}

@test "linux: what no virtual machine can have is refused before one is started" {
	refused '.linux.intelRdt = {closID: "x"}' 'linux.intelRdt: a VM cannot'
	refused '.linux.netDevices = {eth0: {name: "a/b"}}' \
		'linux.netDevices["eth0"].name: must be a name of a network interface'
	[ ! -e "$RUN" ] || [ -z "$(ls -A "$RUN")" ]
}

@test "linux: what is for other platforms is left alone, with a warning; what is unknown without" {
	edit '.windows = {layerFolders: ["C:\\"]} | .solaris = {milestone: "x"} | .zos = {} | .freebsd = {} |
		.unknown = {a: 1} | .linux.unknown = [1] | .process.unknown = true'
	run_container -- echo runs
	[ "$code" -eq 0 ]
	[ "$(cat "$T/out")" = runs ]
	for name in windows solaris zos freebsd; do
		grep -q "level=warning.*config.json: '$name' is for another platform, ignoring" "$T/err"
	done
	[ "$(wc -l <"$T/err")" -eq 4 ]
}

@test "linux: the vm object is applied where the configuration allows it, else refused" {
	local kernel initrd

	kernel=$(configured kernel)
	initrd=$(configured initrd)
	refused ".vm = {kernel: {path: \"$kernel\"}}" "vm.kernel.path: not named in enable_annotations"
	configure memory 512 enable_annotations '["kernel", "initrd", "kernel_params", "memory", "cpus", "vmm_path"]' \
		allowed_paths "[\"$kernel\", \"$initrd\", \"/usr/bin/qemu-*\"]"

	edit --arg k "$kernel" --arg i "$initrd" '.vm = {hypervisor: {path: "/usr/bin/qemu-system-x86_64"},
		kernel: {path: $k, initrd: $i, parameters: ["first=1", "second=a"]},
		hwConfig: {vcpus: 2, memory: 419430400}}'
	run_container -- sh -c 'cat /proc/cmdline; nproc; sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo'
	[ "$code" -eq 0 ]
	[[ $(sed -n 1p "$T/out") == *' first=1 second=a'* ]]
	[ "$(sed -n 2p "$T/out")" = 2 ]
	[ "$(sed -n 3p "$T/out")" -lt 409600 ]
	[ "$(sed -n 3p "$T/out")" -gt 307200 ]

	refused '.vm.kernel.path = "/etc/passwd"' "vm.kernel.path: '/etc/passwd' matches none of allowed_paths"
	refused 'del(.vm.kernel)' 'vm.kernel: required, but missing'
	refused '.vm.hypervisor.parameters = ["-s"]' 'vm.hypervisor.parameters: not supported'
	refused '.vm.image = {path: "/x", format: "raw"}' 'vm.image: root images are not supported'
	refused '.vm.hwConfig.deviceTree = "/x"' 'vm.hwConfig: only vcpus and memory are supported'
	refused '.vm.hwConfig.irqs = [1]' 'vm.hwConfig: only vcpus and memory are supported'
	refused '.vm.hwConfig.vcpus = 0' 'vm.hwConfig.vcpus'
	refused '.vm.hwConfig.memory = 1000' 'vm.hwConfig.memory'
}
