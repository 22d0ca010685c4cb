#!/usr/bin/env bats
# update: the container sees its new limits, a wrong one changes nothing.
# shellcheck disable=SC2016,SC2154 # the guest's shell expands; helpers set the variables
load helpers

# A file of the container's cgroup, as the container sees it.
limit() { # FILE
	vcrt exec "$ID" cat "/sys/fs/cgroup/$1"
}

is_refused() { # MESSAGE ARGUMENT...
	run vcrt update "${@:2}"
	[ "$status" -eq 1 ] || fail "status $status: ${*:2}" || return 1
	[[ $output == *"$1"* ]] || fail "'$output' in place of '$1'"
}

# What an update may change.
all_limits() {
	vcrt exec "$ID" sh -c 'cd /sys/fs/cgroup && grep "" memory.max memory.low memory.swap.max \
		cpu.max cpu.weight cpuset.cpus pids.max io.weight'
}

@test "update: options and documents change what the container sees" {
	edit '.linux.resources.pids = {limit: 50}'
	start_container "$ID" sleep 1000
	[ "$(limit pids.max)" = 50 ]

	run vcrt update --memory 50M --memory-swap 80M --memory-reservation 10m --cpu-share 512 \
		--cpu-quota 20000 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 77 --blkio-weight 500 "$ID"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(limit memory.max)" = $((50 << 20)) ]
	[ "$(limit memory.swap.max)" = $((30 << 20)) ]
	[ "$(limit memory.low)" = $((10 << 20)) ]
	[ "$(limit cpu.weight)" = 20 ]
	[ "$(limit cpu.max)" = '20000 100000' ]
	[ "$(limit cpuset.cpus)" = 0 ]
	[ "$(limit cpuset.mems)" = 0 ]
	[ "$(limit pids.max)" = 77 ]
	[ "$(limit io.weight)" = 'default 4950' ]

	# A quota or a period alone leaves the other.
	vcrt update --cpu-period 50000 "$ID"
	[ "$(limit cpu.max)" = '20000 50000' ]
	vcrt update --cpu-quota 10000 "$ID"
	[ "$(limit cpu.max)" = '10000 50000' ]
	vcrt update --cpu-period 0 "$ID"
	[ "$(limit cpu.max)" = '10000 100000' ]

	# What an engine sends: zeros are "as it is".
	vcrt update --resources - "$ID" <<-'JSON'
		{"memory":{"limit":67108864,"reservation":0,"swap":134217728,"kernel":0},
		"cpu":{"shares":0,"quota":50000,"period":100000},"blockIO":{"weight":0}}
	JSON
	[ "$(limit memory.max)" = 67108864 ]
	[ "$(limit memory.swap.max)" = 67108864 ]
	[ "$(limit memory.low)" = $((10 << 20)) ]
	[ "$(limit cpu.weight)" = 20 ]
	[ "$(limit cpu.max)" = '50000 100000' ]
	[ "$(limit pids.max)" = 77 ]

	# A file; the other options are ignored then. -1 is "no limit".
	echo '{"memory":{"limit":-1},"pids":{"limit":-1},"cpu":{"quota":-1},
		"unified":{"memory.high":"40000000"}}' >"$T/resources.json"
	vcrt update "--resources=$T/resources.json" --cpu-share 1024 "$ID"
	[ "$(limit memory.max)" = max ]
	[ "$(limit memory.swap.max)" = max ]
	[ "$(limit pids.max)" = max ]
	[ "$(limit cpu.max)" = 'max 100000' ]
	[ "$(limit memory.high)" = $((40000000 / 4096 * 4096)) ]
	[ "$(limit cpu.weight)" = 20 ]
	[ "$(status_of "$ID")" = running ]

	# The limit is enforced.
	vcrt update --pids-limit 1 "$ID"
	run vcrt exec "$ID" sh -c 'true & wait $!'
	[ "$status" -ne 0 ]
	vcrt update --pids-limit 20 "$ID"
	vcrt exec "$ID" sh -c 'true & wait $!'
}

@test "update: what cannot be done is refused, and nothing changes" {
	local before flag
	start_container "$ID" sleep 1000
	vcrt update --memory 60M --memory-swap 90M --cpu-quota 30000 "$ID"
	before=$(all_limits)
	is_refused "invalid value for memory: invalid size: '5x'" --memory 5x "$ID"
	is_refused 'invalid value for cpu-period: strconv.ParseUint: parsing \"abc\": invalid syntax' --cpu-period abc "$ID"
	is_refused 'invalid value for cpu-quota: strconv.ParseInt: parsing \"99999999999999999999\": value out of range' \
		--cpu-quota 99999999999999999999 "$ID"
	is_refused 'invalid value "abc" for flag -pids-limit: parse error' --pids-limit abc "$ID"
	is_refused 'blockIO.weight: 70000 is out of range' --blkio-weight 70000 "$ID"
	is_refused 'Intel RDT/CAT: l3 cache schema is not enabled' --l3-cache-schema L3:0=1 "$ID"
	is_refused 'Intel RDT/MBA: memory bandwidth schema is not enabled' --mem-bw-schema MB:0=1 "$ID"
	is_refused 'memory.swap: cannot be set without memory.limit' --memory-swap 1M "$ID"
	is_refused 'memory.swap: must not be less than memory.limit' --memory 50M --memory-swap 20M "$ID"
	is_refused "$T/none" --resources "$T/none" "$ID"
	for flag in --cpu-rt-period --cpu-rt-runtime; do
		is_refused 'not supported with cgroup version 2' --memory 70M "$flag" 1000 "$ID"
	done
	# Memory is set before processors: it must be set back.
	is_refused cpuset.cpus --memory 70M --pids-limit 9 --cpuset-cpus 99 "$ID"
	for flag in '' '{' '[]' '{"memory":{"limit":"x"}}' '{"unified":{"../x":"1"}}' \
		'{"memory":{"limit":4096,"checkBeforeUpdate":true}}'; do
		run vcrt update -r - "$ID" <<<"$flag"
		[ "$status" -eq 1 ]
	done
	[[ $output == *'rejecting memory limit 4096 <= usage '* ]]
	run vcrt update --kernel-memory 5M "$ID"
	[ "$status" -eq 0 ]
	[[ $output == *'Kernel memory settings are ignored and will be removed'* ]]
	[ "$(all_limits)" = "$before" ]

	# All or nothing, whatever was changed before the one that cannot be.
	vcrt update -r - "$ID" <<<'{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}],"cpu":{"burst":5000},
		"unified":{"memory.high":"62914560"}}'
	is_refused 'linux.resources.unified' -r - "$ID" <<<'{"hugepageLimits":[{"pageSize":"2MB","limit":2097152}],
		"cpu":{"burst":1000,"shares":99,"quota":44000},"memory":{"reservation":1048576},"blockIO":{"weight":33},
		"pids":{"limit":9},"unified":{"memory.high":"1048576","memory.max":"many"}}'
	[ "$(all_limits)" = "$before" ]
	[ "$(limit hugetlb.2MB.max)" = 4194304 ]
	[ "$(limit cpu.max.burst)" = 5000 ]
	[ "$(limit memory.high)" = 62914560 ]

	is_refused 'requires exactly 1 argument(s)'
	is_refused 'container does not exist' --memory 50M "$ID-none"
	vcrt kill "$ID" KILL
	wait_until 10 is_status "$ID" stopped
	is_refused 'container not running' --memory 50M "$ID"
}
