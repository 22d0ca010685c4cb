#!/bin/sh
# format.sh ROOT: every .c and .h file that git knows or would add is as .clang-format wants it.
set -eu
cd "$1"

files=$(git ls-files --cached --others --exclude-standard -- '*.c' '*.h')
[ -n "$files" ] || { echo "format: no source files in '$1'" >&2; exit 1; }

status=0
for file in $files; do
	# A file removed in the working tree is still in the index.
	[ -e "$file" ] || continue
	clang-format --dry-run -Werror "$file" || status=1
done
exit $status
