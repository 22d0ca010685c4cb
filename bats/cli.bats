#!/usr/bin/env bats
# The command line itself: help, version, the grammar of options, spec, features. Nothing here
# starts a VM. Where runc says the same thing, both are run and compared.

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	ROOT=$BATS_TEST_TMPDIR/root
}

# same ARGS...: exit status, standard output (of usage errors only the first line, the rest is
# help text) and standard error of vcrt and runc are equal, but for the name and the time.
same() {
	local tool
	for tool in vcrt runc; do
		local status=0
		"$tool" --root "$ROOT" "$@" >"$tool.out" 2>"$tool.err" || status=$?
		grep -q '^Incorrect Usage' "$tool.out" && sed -i '2,$d' "$tool.out"
		sed -i "s/time=\"[^\"]*\"/time=T/; s/\b$tool\b/RUNTIME/g; s/\\\\n\"/\"/" "$tool.err"
		echo "status $status" >>"$tool.out"
	done
	diff vcrt.out runc.out && diff vcrt.err runc.err
}

@test "cli: without a command it shows the help" {
	run vcrt
	[ "$status" -eq 0 ]
	[ "$output" = "$(vcrt --help)" ]
	[ "$output" = "$(vcrt help)" ]
	[ "$output" = "$(vcrt h)" ]
	[[ $output == *"COMMANDS:"* && $output == *"GLOBAL OPTIONS:"* ]]
}

@test "cli: every command in the help has a help of its own" {
	local verbs verb
	verbs=$(vcrt --help | sed -n '/^COMMANDS/,/^$/s/^   \([a-z]*\) .*/\1/p')
	for verb in create start run exec kill delete state list ps pause resume spec features \
		check env; do
		[[ $verbs == *"$verb"* ]]
	done
	for verb in $verbs; do
		run vcrt "$verb" --help
		[ "$status" -eq 0 ]
		[[ $output == "NAME:"*"vcrt $verb - "*"USAGE:"*"OPTIONS:"*"--help, -h"* ]]
		[ "$output" = "$(vcrt help "$verb")" ]
		[ "$output" = "$(vcrt "$verb" -h)" ]
	done
}

@test "cli: what serves only the program itself is not in the help" {
	run vcrt --help
	[[ $output != *monitor* && $output != *shim* && $output != *checkpoint* ]]
}

@test "cli: all of runc's options are in the help" {
	local verb option
	for verb in create start run exec kill delete state list ps pause resume spec; do
		for option in $(runc "$verb" --help | grep -o '^   --[a-z-]*'); do
			vcrt "$verb" --help | grep -q -- "^   $option\b"
		done
	done
	for option in $(runc --help | grep -o '^   --[a-z-]*'); do
		vcrt --help | grep -q -- "^   $option\b"
	done
}

@test "cli: the version has the form that Docker parses" {
	run vcrt --version
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[0]} =~ ^'vcrt version '[0-9]+\.[0-9]+\.[0-9]+$ ]]
	[[ ${lines[1]} =~ ^'commit: '[0-9a-z]+$ ]]
	[ "${lines[2]}" = "spec: 1.3.0" ]
	[ "$output" = "$(vcrt -v)" ]
	[ "$output" = "$(vcrt -version --root x)" ]
}

@test "cli: a wrong number of arguments is reported as by runc" {
	same create
	same create a b
	same start
	same run
	same exec
	same kill
	same delete
	same state a b
	same list a
	same ps
	same pause
	same resume
	same spec a
	same features a
}

@test "cli: wrong options are reported as by runc" {
	same --bogus list
	same --debug=maybe list
	same --log-format wrong list
	same create --bogus x
	same create --preserve-fds x y
	same create --preserve-fds
	same create --preserve-fds 99999999999999999999 x
	same create --- x
	same create --=x y
	same exec --tty=maybe x y
	same exec -eA=B x y
	same run -dx y
	same list --format=wrong
}

@test "cli: an unknown command exits with 3" {
	same bogus
	same version
	run vcrt help bogus
	[ "$status" -eq 3 ]
}

@test "cli: an option without its value is an error" {
	run vcrt --root
	[ "$status" -eq 1 ]
	[[ ${lines[0]} == "Incorrect Usage. flag needs an argument: -root" ]]
}

@test "cli: global options come in every form and order" {
	local form
	for form in "--root $ROOT" "--root=$ROOT" "-root $ROOT" "-root=$ROOT" \
		"--debug=false --root $ROOT" "--systemd-cgroup --root $ROOT --log-format=json" \
		"--rootless true --root=$ROOT" "--rootless=auto --criu criu --root=$ROOT" \
		"--root /nonexistent --root $ROOT" "--root $ROOT --"; do
		# shellcheck disable=SC2086
		run vcrt $form features
		[ "$status" -eq 0 ]
	done
}

@test "cli: an unknown container is reported as by runc, with options before and after" {
	same state nobody
	same start nobody
	same pause nobody
	same resume nobody
	same ps nobody
	same ps --format json nobody
	same delete nobody
	same delete --force nobody
	same delete nobody --force
	same delete nobody -f
	same kill nobody
	same kill nobody KILL
	same kill --all nobody 9
	same kill nobody 9 --all
	same exec nobody true
	same exec -t -e A=B --cwd=/ nobody ls --all
	same list
	same list -f json
	same list -q
}

@test "cli: errors go to the log file and to standard error" {
	run vcrt --root "$ROOT" --log text.log state nobody
	[ "$status" -eq 1 ]
	[ "$output" = "container does not exist" ]
	[[ $(cat text.log) =~ ^time=\"[0-9T:Z-]+\"\ level=error\ msg=\"container\ does\ not\ exist\"$ ]]

	run vcrt --root "$ROOT" --log-format json --log json.log state nobody
	[ "$output" = "container does not exist" ]
	[ "$(jq -r '.level + " " + .msg' json.log)" = "error container does not exist" ]
	jq -e '.time | fromdate' json.log
}

@test "cli: the log file is there whatever fails afterwards" {
	local i=0
	check_log() {
		i=$((i + 1))
		run vcrt --root "$ROOT" --log "$i.log" --log-format json "$@"
		[ "$status" -ne 0 ]
		[ "$(jq -rs 'length, .[0].level' "$i.log" | tr '\n' ' ')" = "1 error " ]
	}
	check_log --bogus list
	check_log bogus
	check_log create
	check_log create --bogus x
	check_log create --bundle /nonexistent x
	check_log list --format wrong
	check_log exec x
	check_log checkpoint --image-path here --leave-running x
	check_log restore --image-path here x
	check_log create --pidfd-socket sock x
	run vcrt --root "$ROOT" --log ok.log list
	[ "$status" -eq 0 ]
	[ -e ok.log ] && [ ! -s ok.log ]
}

@test "cli: a log file that cannot be opened is an error" {
	run vcrt --log /nonexistent/log list
	[ "$status" -eq 1 ]
	[[ $output == *"open log file '/nonexistent/log': "* ]]
}

@test "cli: exec fails with 255, but bad usage with 1" {
	run vcrt --root "$ROOT" exec nobody true
	[ "$status" -eq 255 ]
	run vcrt --root "$ROOT" exec nobody
	[ "$status" -eq 255 ]
	[[ $output == *"exec failed: process args cannot be empty"* ]]
	run vcrt --root "$ROOT" exec -p /nonexistent nobody
	[ "$status" -eq 255 ]
	[[ $output == *"exec failed: open '/nonexistent': "* ]]
	run vcrt --root "$ROOT" exec --bogus nobody true
	[ "$status" -eq 1 ]
	run vcrt --root "$ROOT" exec
	[ "$status" -eq 1 ]
}

@test "cli: exec refuses what contradicts a process file" {
	echo '{}' >process.json
	run vcrt --root "$ROOT" exec -p process.json -e A=B nobody
	[ "$status" -eq 255 ]
	[[ $output == *"--env cannot be combined with --process"* ]]
	run vcrt --root "$ROOT" exec -p process.json nobody true
	[[ $output == *"a command cannot be combined with --process"* ]]
	run vcrt --root "$ROOT" exec -g wheel nobody true
	[[ $output == *"invalid additional gid 'wheel'"* ]]
	truncate -s 5M process.json
	run vcrt --root "$ROOT" exec -p process.json nobody
	[ "$status" -eq 255 ]
	[[ $output == *"process.json"* ]]
}

@test "cli: what cannot be done is refused in one sentence" {
	run vcrt checkpoint --image-path here --leave-running x
	[ "$status" -eq 1 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *"checkpoint and restore are not supported"* ]]
	run vcrt create --pidfd-socket sock x
	[ "$status" -eq 1 ]
	[[ $output == *"--pidfd-socket is not supported"* ]]
	run vcrt --root "$ROOT" ps x -o pid
	[ "$status" -eq 1 ]
	[[ $output == *"no ps options but '-ef' are supported"* ]]
}

@test "cli: an unknown signal is named" {
	run vcrt --root "$ROOT" kill nobody BADSIG
	[ "$status" -eq 1 ]
	[[ $output == *'unknown signal \"BADSIG\"'* ]]
}

@test "cli: output that cannot be written is an error" {
	local verb
	for verb in features --help --version "help run"; do
		# shellcheck disable=SC2086
		run bash -c "vcrt $verb >/dev/full"
		[ "$status" -eq 1 ]
		[[ $output == *"write 'standard output': No space left on device"* ]]
	done
}

@test "cli: works with all descriptors closed" {
	run bash -c 'vcrt features <&- >&- 2>&-'
	[ "$status" -eq 0 ]
	run bash -c "vcrt --root '$ROOT' --log closed.log state nobody <&- >&- 2>&-"
	[ "$status" -eq 1 ]
	[ "$(wc -l <closed.log)" -eq 1 ]
}

# built FILE INSTALLED: a text that belongs to the program that is tested
built() {
	local dir
	dir=$(dirname "$(command -v vcrt)")
	if [ -e "$dir/$1" ]; then
		echo "$dir/$1"
	else
		echo "$dir/../share/$2"
	fi
}

# complete_line WORDS...: what bash offers for the last word
complete_line() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_vcrt
	echo "${COMPREPLY[*]}"
}

@test "completion: knows commands, their options and values" {
	# shellcheck disable=SC1090
	source "$(built completion/vcrt bash-completion/completions/vcrt)"
	[ "$(complete_line vcrt sta)" = "start state" ]
	[ "$(complete_line vcrt --root /r --debug res)" = "resume" ]
	[ "$(complete_line vcrt --sys)" = "--systemd-cgroup" ]
	[ "$(complete_line vcrt --log-format j)" = "json" ]
	[ "$(complete_line vcrt --root /r kill --a)" = "--all" ]
	[ "$(complete_line vcrt list -f t)" = "table" ]
	[ "$(complete_line vcrt create --pidfd)" = "" ]
	[ "$(complete_line vcrt help fea)" = "features" ]
}

@test "manual: has a section for every command, and all options" {
	local page verb option
	page=$(built man/vcrt.8 man/man8/vcrt.8)
	for verb in $(vcrt --help | sed -n '/^COMMANDS/,/^$/s/^   \([a-z]*\) .*/\1/p'); do
		grep -qx "\.Ss $verb" "$page"
		for option in $(vcrt "$verb" --help | grep -o '^   --[a-z-]*' | grep -v -- --help); do
			sed -n "/^\.Ss $verb\$/,/^\.S[sh] /p" "$page" | tr -d '\134' |
				grep -q -- "^\.It Sy $option\b"
		done
	done
}

@test "spec: writes runc's document, with our version, name and a cgroup namespace" {
	mkdir ours theirs
	run vcrt spec --bundle ours
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(stat -c %a ours/config.json)" = 644 ]
	[ "$(ls -A ours)" = config.json ]
	runc spec --bundle theirs
	jq -e '.ociVersion == "1.3.0" and .hostname == "vcrt"' ours/config.json
	diff <(normal ours/config.json) <(normal theirs/config.json)
}

@test "spec: --rootless writes runc's document, too" {
	mkdir ours theirs
	(cd ours && vcrt spec --rootless)
	runc spec --rootless --bundle theirs
	diff <(normal ours/config.json) <(normal theirs/config.json)
}

# runc adds the cgroup namespace on hosts with cgroup v2 only.
normal() {
	jq -S '.ociVersion = "" | .hostname = "" |
		.linux.namespaces |= (map(.type) - ["cgroup"] | sort)' "$1"
}

@test "spec: does not replace a config.json" {
	vcrt spec
	same spec
	cp config.json before
	run vcrt spec
	[ "$status" -eq 1 ]
	[[ $output == *"File config.json exists. Remove it first"* ]]
	cmp config.json before
	rm config.json
	ln -s /nonexistent config.json
	run vcrt spec
	[ "$status" -eq 1 ]
	[ -L config.json ]
}

@test "spec: a bundle that is not there is an error" {
	run vcrt spec --bundle /nonexistent
	[ "$status" -eq 1 ]
	[[ $output == *"open '/nonexistent': No such file or directory"* ]]
}

@test "features: says what the specification wants to know" {
	vcrt features >features.json
	jq -e '.ociVersionMin == "1.0.0" and .ociVersionMax == "1.3.0"' features.json
	jq -e '.hooks | contains(["prestart", "createRuntime", "poststop"])' features.json
	jq -e '.linux.seccomp.enabled and (.linux.apparmor.enabled | not)' features.json
	jq -e '.linux.seccomp.actions | index("SCMP_ACT_NOTIFY") | not' features.json
	jq -e '.linux.capabilities | all(test("^CAP_[A-Z_]+$"))' features.json
	jq -e '.mountOptions | length > 50 and . == unique' features.json
	jq -e '.annotations["io.vcrt.version"] | length > 0' features.json
	jq -e '[.annotations | keys[] | select(startswith("org.opencontainers.runc"))] == []' \
		features.json
}

@test "features: lists the namespaces, hooks and operators that runc lists" {
	vcrt features >ours.json
	runc features >theirs.json
	local path
	for path in .hooks .linux.namespaces .linux.capabilities .linux.seccomp.operators; do
		[ "$(jq -c --slurpfile r theirs.json "(\$r[0]$path) - ($path)" ours.json)" = '[]' ]
	done
}
