#!/bin/sh
# format.sh ROOT: every .c and .h file that git knows or would add is as .clang-format wants it.
set -eu
cd "$1"

set --
for file in $(git ls-files --cached --others --exclude-standard -- '*.c' '*.h'); do
	# A file removed in the working tree is still in the index.
	[ ! -e "$file" ] || set -- "$@" "$file"
done
[ $# -gt 0 ] || { echo "format: no source files" >&2; exit 1; }
exec clang-format --dry-run -Werror "$@"
