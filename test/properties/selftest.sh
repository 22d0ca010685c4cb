#!/usr/bin/env bash
# The comparison does find what is missing, too much, or different.
set -euo pipefail
source=$1 scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compare() {
	python3 "$source/test/properties/properties.py" "$source/test/data/schema" \
		"$scratch/cases.json" "$scratch/README.md" >"$scratch/out"
}

# Change one of the two files; the comparison must then fail, and say this.
must_say() { # TEXT SED-OR-JQ FILE
	cp "$source/README.md" "$scratch/README.md"
	cp "$source/test/properties/cases.json" "$scratch/cases.json"
	if [ "$3" = README.md ]; then
		sed -i "$2" "$scratch/README.md"
	else
		jq "$2" "$source/test/properties/cases.json" >"$scratch/cases.json"
	fi
	if compare || ! grep -qF -- "$1" "$scratch/out"; then
		echo "'$2' in $3 was not found: expected '$1'"
		cat "$scratch/out"
		exit 1
	fi
}

must_say 'process.cwd: no case shows' 'map(select(.at != ["process.cwd"]))' cases.json
must_say 'hostnames: the schema has no such property' '.[0].at += ["hostnames"]' cases.json
must_say "has the verdict 'ignored'" '.[0].is = "ignored"' cases.json
must_say 'linux.netDevices: README says nothing' '/linux.netDevices/d' README.md
must_say 'linux.personality.flags: refused in the cases, applied in README' \
	'/linux.personality.flags/s/refused/applied/' README.md
must_say 'must stand there once each' '/<!-- properties -->/d' README.md
