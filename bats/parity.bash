# shellcheck shell=bash
# vcrt and runc get the same call; what they answer is compared. A test that uses it loads helpers
# first. runc's containers are in $T/runc, its bundle is $T/runc-bundle.

# A bundle for runc like the present one. Its limits are left out: to set them needs rights that
# a test machine may not give. Both need a cgroup of their own.
runc_bundle() {
	cp -a "$B" "$T/runc-bundle"
	edit_in "$T/runc-bundle" --arg path "/$ID-runc" \
		'del(.process.rlimits, .linux.resources) | .linux.cgroupsPath = $path'
}

runc() {
	timeout --foreground -k 5 "$LIMIT" runc --root "$T/runc" "$@"
}

# What differs in every case: names of the program, times, pids, directories. Of usage errors only
# the first line is kept, since help texts are our own.
answer() { # TOOL ARGUMENT...
	local tool=$1 status=0

	"$@" </dev/null >"$T/$tool.out" 2>"$T/$tool.err" || status=$?
	sed -i '/^Incorrect Usage/q; /^NAME:$/q' "$T/$tool.out"
	echo "status $status" >>"$T/$tool.out"
	sed -i -E "s/time=\"[^\"]*\"/time=T/; s/20[0-9-]{8}T[0-9:.]+Z */TIME /g; s/(CREATED) +/\1 /
		s,$T/runc-bundle,$B,g; s/\b(vcrt|runc)\b/RUNTIME/g; s/\\\\n\"/\"/
		s/\"pid\":( ?)[1-9][0-9]*/\"pid\":\1PID/g
		s/\"ociVersion\":( ?)\"[^\"]*\"/\"ociVersion\":\1VERSION/g; s/^($ID +)[1-9][0-9]* +/\1PID /
		s/^\[[0-9,]+\]$/[PIDS]/; s/(BUNDLE) +/\1 /; s,($B) +,\1 ,g" \
		"$T/$tool.out" "$T/$tool.err"
}

# Exit status, standard output and standard error are equal.
same() { # ARGUMENT...
	same_but_text "$@" || return 1
	diff "$T/vcrt.err" "$T/runc.err" || fail "differs (<vcrt >runc): $*"
}

# Exit status and standard output are equal; the message is our own, which no client looks at.
same_but_text() { # ARGUMENT...
	answer vcrt "$@"
	answer runc "$@"
	diff "$T/vcrt.out" "$T/runc.out" || fail "differs (<vcrt >runc): $*" || return 1
	# Both say something, or neither.
	[ -s "$T/vcrt.err" ] || [ ! -s "$T/runc.err" ] || fail "only runc has a message: $*" || return 1
	[ ! -s "$T/vcrt.err" ] || [ -s "$T/runc.err" ] || fail "only vcrt has a message: $*"
}
