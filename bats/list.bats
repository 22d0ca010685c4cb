#!/usr/bin/env bats
# vcrt list: the containers of a root, as a table, as JSON, as ids.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

@test "list: two containers at once, each with a kernel of its own" {
	start_container "$ID-a" sh -c 'touch /here-is-a; exec sleep 1000'
	make_bundle "$T/other"
	B=$T/other
	start_container "$ID-b" sleep 1000
	[ "$(vcrt list -q)" = "$ID-a"$'\n'"$ID-b" ]
	[ "$(vcrt list -f json | jq -c 'map([.id, .status])')" = \
		"[[\"$ID-a\",\"running\"],[\"$ID-b\",\"running\"]]" ]
	vcrt exec "$ID-a" ls /here-is-a
	run vcrt exec "$ID-b" ls /here-is-a
	[ "$status" -eq 1 ]
	[ "$(vcrt exec "$ID-a" cat /proc/sys/kernel/random/boot_id)" != \
		"$(vcrt exec "$ID-b" cat /proc/sys/kernel/random/boot_id)" ]
	vcrt delete --force "$ID-a"
	[ "$(vcrt exec "$ID-b" echo alive)" = alive ]
	[ "$(vcrt list -q)" = "$ID-b" ]
	vcrt delete --force "$ID-b"
	[ "$(vcrt list -f json)" = null ]
	assert_nothing_left
}

@test "list: containers in every status, among directories of others" {
	mkdir -p "$ROOT/stranger"
	echo '{}' >"$ROOT/stranger/state.json"
	args sleep 1000
	create_container .a,"$ID"
	start_container "$ID" true
	wait_until 10 is_status "$ID" stopped
	vcrt list >"$T/list"
	[ "$(head -n 1 "$T/list" | tr -s ' ')" = 'ID PID STATUS BUNDLE CREATED OWNER' ]
	grep -qE "^\.a,$ID +$(pid_of shim ".a,$ID") +created +$B +20[0-9T:.-]+Z +root$" "$T/list"
	grep -qE "^$ID +0 +stopped +$B +20[0-9T:.-]+Z +root$" "$T/list"
	[ "$(wc -l <"$T/list")" -eq 3 ]
	[ "$(vcrt list --quiet)" = ".a,$ID"$'\n'"$ID" ]
	[ "$(vcrt list -f json | jq -c 'map([.id, .status, .owner])')" = \
		"[[\".a,$ID\",\"created\",\"root\"],[\"$ID\",\"stopped\",\"root\"]]" ]
	[ "$(vcrt list -f json | wc -l)" -eq 1 ]
	vcrt delete ".a,$ID"
	vcrt delete "$ID"
	[ "$(vcrt list -f json)" = null ]
	[ -z "$(vcrt list -q)" ]
	rm -r "$ROOT/stranger"
}
