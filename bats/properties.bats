#!/usr/bin/env bats
# Every property of config.json that the schema knows: applied, refused with a message, or warned of.
# test/properties/cases.json says how each is shown; test/properties/properties.py that none is
# missing. A case has
#
#   at       the properties that it is about
#   is       applied, refused or warned
#   when     a command on the host without whose success the case is left out
#   set      a jq filter for config.json, which knows $id, $t and a disk's $major and $minor
#   prepare  commands on the host before that, in the bundle
#   group    cases of one group share a container
#   run      commands in the container, and
#   host     commands on the host while it runs, or
#   after    when it has been deleted, and
#   exec     what "vcrt exec" runs in it: what they print, with blanks for newlines, or
#   fails    true: what "vcrt run" says when it fails, has to match
#   says     an extended regular expression; of what is warned of it matches a warning of "vcrt run"
#   also     true: it shows something besides what README says of the property
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154 # the guest's shell expands; tests are subshells
load helpers

# A block device of the host.
MAJOR=$(cut -d : -f 1 /sys/block/loop0/dev)
MINOR=$(cut -d : -f 2 /sys/block/loop0/dev)

CASES=$BATS_TEST_DIRNAME/../test/properties/cases.json

# The cases that a jq condition chooses, one JSON object a line.
cases() { # CONDITION [JQ-OPTION...]
	local condition=$1 case

	shift
	jq -c "$@" ".[] | select($condition)" "$CASES" | while read -r case; do
		! [[ $case == *'"when"'* ]] || (eval "$(of "$case" when)") >/dev/null 2>&1 || continue
		echo "$case"
	done
}

of() { # CASE KEY
	jq -r --arg key "$2" '.[$key] // empty | if type == "array" then join(", ") else . end' <<<"$1"
}

# The bundle as the case wants it.
apply() { # CASE
	local prepare set

	prepare=$(of "$1" prepare) set=$(of "$1" set)
	[ -z "$prepare" ] || (cd "$B" && eval "$prepare")
	[ -z "$set" ] || edit --arg id "$ID" --arg t "$T" --argjson major "$MAJOR" --argjson minor "$MINOR" "$set"
}

# Both are shown, so that a failure needs no second run.
matches() { # CASE TEXT
	echo "$(of "$1" at): says '$2', expected '$(of "$1" says)'" >&2
	grep -qE -- "$(of "$1" says)" <<<"$2"
}

one_line() {
	tr '\n\t' '  ' | sed 's/  */ /g; s/^ //; s/ $//'
}

# Where the container's limits on the host are.
host_cgroup() { # CONTROLLER
	echo "/sys/fs/cgroup/$1$(sed -n "s/^[0-9]*:$1://p" "/proc/$(vcrt state "$ID" | jq .pid)/cgroup")"
}

# The output of a case's command on the host; its own standard error too.
on_host() { # CASE KEY
	(eval "$(of "$1" "$2")") 2>&1 | one_line
}

# A script that prints what each case's commands do, behind the case's number.
script_of() { # CASES
	jq -r -s 'to_entries[] | select(.value.run) |
		"(\(.value.run)) 2>&1 | tr \"\\n\\t\" \"  \" | sed \"s/  */ /g; s/^/\(.key):/; s/ $//\"; echo"' <<<"$1"
	echo 'echo done; exec sleep 1000'
}

check_group() { # CASES
	local case n=0 status=0

	while read -r case; do
		if [ -n "$(of "$case" run)" ]; then
			matches "$case" "$(sed -n "s/^$n: *//p" "$T/$ID.out")" || status=1
		fi
		[ "$(of "$case" is)" = applied ] ||
			matches "$case" "$(warnings_of "$ID" | grep -E -- "$(of "$case" says)")" || status=1
		[ -z "$(of "$case" host)" ] || matches "$case" "$(on_host "$case" host)" || status=1
		[ -z "$(of "$case" exec)" ] ||
			matches "$case" "$(vcrt exec "$ID" sh -c "$(of "$case" exec)" 2>&1 </dev/null | one_line)" || status=1
		n=$((n + 1))
	done <<<"$1"
	return "$status"
}

check_after() { # CASES
	local case status=0

	while read -r case; do
		[ -z "$(of "$case" after)" ] || matches "$case" "$(on_host "$case" after)" || status=1
	done <<<"$1"
	return "$status"
}

# All cases of a group in one container.
group() { # NAME
	local all case

	all=$(cases '.group == $name' --arg name "$1")
	[ -n "$all" ]
	while read -r case; do
		apply "$case"
	done <<<"$all"
	start_container "$ID" sh -c "$(script_of "$all")" last-argument || fail "$(cat "$T/$ID.err")"
	wait_until 60 has_line "$T/$ID.out" 'done' || fail "$(cat "$T/$ID.out" "$T/$ID.err")"
	check_group "$all"
	vcrt delete --force "$ID"
	check_after "$all"
}

fresh_bundle() {
	rm -rf "$B"
	make_bundle "$B"
}

# Cases that end with a message: each on a bundle of its own.
failing() { # CONDITION
	local case status=0

	while read -r case; do
		fresh_bundle
		apply "$case"
		run_container -- true 2>/dev/null
		[ "$code" -eq 1 ] || {
			echo "$(of "$case" at): exit status $code" >&2
			status=1
		}
		matches "$case" "$(one_line <"$T/err")" || status=1
		assert_nothing_left || status=1
	done < <(cases "$1")
	return "$status"
}

# The tests of one file run in parallel as the tests of several do.
@test "properties: each group has a test" {
	local name

	for name in $(jq -r '[.[].group // empty] | unique[]' "$CASES"); do
		[ "$name" = terminal ] || grep -qxF "	group $name" "$BATS_TEST_FILENAME" || fail "no test runs the group '$name'"
	done
	[ "$(jq '[.[] | select(.group == null and .fails == null and .is == "applied")] | length' "$CASES")" = 0 ]
}

@test "properties: what is refused" {
	failing '.is == "refused"'
}

@test "properties: what shows by a failure" {
	failing '.is == "applied" and .fails'
}

@test "properties: what is warned of" {
	group warned
}

@test "properties: applied together in one container" {
	group whole
}

@test "properties: applied to a user other than root" {
	group user
}

@test "properties: hooks" {
	group hooks
}

@test "properties: a limit of time for the hook whose failure does no harm" {
	group late-hook
}

@test "properties: real-time scheduling" {
	group realtime
}

@test "properties: deadline scheduling" {
	group deadline
}

@test "properties: a user namespace" {
	group mapped
}

@test "properties: limits" {
	group limits
}

@test "properties: a filter of system calls" {
	group seccomp
}

@test "properties: the virtual machine" {
	configure enable_annotations '["vmm_path", "kernel", "initrd", "kernel_params", "cpus", "memory"]' \
		allowed_paths "[\"$T/*\", \"/usr/bin/*\"]" vmm_path '"/no/such/program"'
	group vm
}

# Here the container's output is a terminal's.
@test "properties: a terminal" {
	local case

	case=$(cases '.group == "terminal"')
	apply "$case"
	args sh -c "$(of "$case" run)"
	timeout 100 "$BATS_TEST_DIRNAME/terminal.py" listen "$T/console" -- \
		"$VCRT" "${VCRT_ARGS[@]}" run -d --console-socket "$T/console" --bundle "$B" "$ID" >"$T/out"
	matches "$case" "$(one_line <"$T/out" | tr -d '\r')"
}
