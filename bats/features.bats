#!/usr/bin/env bats
# vcrt features: what the runtime implements, in the form of the specification.
# shellcheck disable=SC2154 # run_container sets code
load helpers

@test "features: says what the specification wants to know" {
	vcrt features >features.json
	jq -e '.ociVersionMin == "1.0.0" and .ociVersionMax == "1.3.0"' features.json
	jq -e '.hooks | contains(["prestart", "createRuntime", "poststop"])' features.json
	jq -e '.linux.seccomp.enabled and (.linux.apparmor.enabled | not)' features.json
	jq -e '.linux.seccomp.actions | index("SCMP_ACT_NOTIFY") | not' features.json
	jq -e '.linux.capabilities | all(test("^CAP_[A-Z_]+$"))' features.json
	jq -e '.linux.memoryPolicy | (.modes | index("MPOL_BIND")) and
		(.flags | index("MPOL_F_STATIC_NODES"))' features.json
	jq -e '.mountOptions | length > 50 and . == unique' features.json
	jq -e '.annotations["io.vcrt.version"] | length > 0' features.json
	jq -e '[.annotations | keys[] | select(startswith("org.opencontainers.runc"))] == []' \
		features.json
}

@test "features: is what the specification's schema says" {
	vcrt features >features.json
	"$BATS_TEST_DIRNAME/validate.py" features-schema.json features.json
	# The judge can say no.
	jq '.linux.namespaces += ["galaxy"]' features.json >wrong.json
	run "$BATS_TEST_DIRNAME/validate.py" features-schema.json wrong.json
	[ "$status" -eq 1 ]
	[[ $output == *galaxy* ]]
}

@test "features: lists the namespaces, hooks and operators that runc lists" {
	vcrt features >ours.json
	runc features >theirs.json
	local path
	for path in .hooks .linux.namespaces .linux.capabilities .linux.seccomp.operators; do
		[ "$(jq -c --slurpfile r theirs.json "(\$r[0]$path) - ($path)" ours.json)" = '[]' ]
	done
}

@test "features: every mount option in it is one that the guest takes" {
	mkdir "$B/rootfs/m"
	edit --argjson o "$(vcrt features | jq .mountOptions)" '.mounts += [$o[] |
		select(IN("bind", "rbind", "remount", "tmpcopyup") | not) |
		{destination: ("/m/" + .), type: "tmpfs", source: "none", options: [.]}]'
	mount_in tmpfs none /etc tmpcopyup
	mount_in bind "$T" /m/b bind
	mount_in bind "$T" /m/r rbind
	mount_in none none /m/b remount bind ro
	run_container -- sh -c 'ls /m | wc -l; cat /etc/group; touch /m/b/x 2>&1'
	[ "$code" -eq 1 ]
	[ "$(head -n 1 "$T/out")" -eq $(($(vcrt features | jq '.mountOptions | length') - 2)) ]
	grep -qx 'root:x:0:' "$T/out"
	grep -q 'Read-only file system' "$T/out"
}
