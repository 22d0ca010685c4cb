#!/bin/sh
# Install the default configuration ($1) as $2, unless there is one: it may have been edited.
set -eu

target="${DESTDIR:-}$2"
[ -e "$target" ] || install -D -m 644 "$1" "$target"
