# Shared by the scripts of this folder: messages, hashes, outputs that are complete or absent.
# shellcheck shell=bash

set -euo pipefail

# shellcheck disable=SC2034 # for those who include this
image_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() {
	printf 'image: %s\n' "$*" >&2
}

die() {
	printf 'image: error: %s\n' "$*" >&2
	exit 1
}

need_tools() { # TOOL...
	local tool

	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "'$tool' is not installed (see bootstrap.sh)"
	done
}

# The first 16 digits of a SHA-256 over the contents of files and over words.
hash_of() { # [--file FILE | WORD]...
	while [ $# -gt 0 ]; do
		if [ "$1" = --file ]; then
			sha256sum <"$2"
			shift 2
		else
			printf '%s\n' "$1"
			shift
		fi
	done | sha256sum | cut -c1-16
}

# A scratch directory beside its final place, so that the last step is a rename. Whoever calls this
# also sets the trap that removes it. Left-overs of a killed run older than a day go first.
scratch_beside() { # DIR
	local parent

	parent=$(dirname "$1")
	mkdir -p "$parent" || die "cannot create '$parent'"
	find "$parent" -maxdepth 1 -name '.tmp.*' -mtime +0 -exec rm -rf {} +
	mktemp -d "$parent/.tmp.XXXXXX"
}

# mv -T of a finished scratch directory. Two runs may race: the first one wins, both are equal.
publish() { # SCRATCH DIR
	chmod 755 "$1"
	mv -T "$1" "$2" 2>/dev/null || [ -d "$2" ] || die "cannot rename '$1' to '$2'"
}

# Keep the newest of a kind: each security update of the kernel makes another.
prune() { # GLOB-PREFIX KEEP
	local dir

	find "$(dirname "$1")" -maxdepth 1 -type d -name "$(basename "$1")*" -printf '%T@ %p\n' |
		sort -rn | tail -n "+$(($2 + 1))" | while read -r _ dir; do
		rm -rf "$dir"
	done
}
