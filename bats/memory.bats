#!/usr/bin/env bats
# What a running container costs besides its VM.
load helpers

pss_of() { # PID
	sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$1/smaps_rollup"
}

@test "memory: shim and monitor together hold at most 1.5 MiB" {
	local pid sum=0 pss children
	start_container "$ID" sleep 1000
	[ "$(vcrt exec "$ID" echo used)" = used ]
	# Everything of this test but the VMM: no helper is forgotten.
	for pid in $(pids_of_test); do
		[ "$pid" -ne "$(pid_of vmm "$ID")" ] || continue
		pss=$(pss_of "$pid" || true)
		# A client may have ended meanwhile.
		[ -n "$pss" ] || ! is_gone "$pid" || continue
		[ "$pss" -gt 0 ]
		echo "$pss KiB: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
		sum=$((sum + pss))
		children+=$pid,
	done
	[[ ,$children == *,$(pid_of shim "$ID"),* ]]
	[[ ,$children == *,$(pid_of monitor "$ID"),* ]]
	echo "# shim and monitor: $sum KiB" >&3
	[ "$sum" -le 1536 ]
}
