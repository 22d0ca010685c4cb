#!/usr/bin/env bash
# Is a kernel's configuration what a fragment asks for? check-config.sh FRAGMENT [CONFIG]
#
# Kconfig drops what depends on something missing, and switches on what something else selects,
# without a word: each option of FRAGMENT that is not so in CONFIG is told. Without CONFIG only the
# fragment itself is looked at: an option stands once, and below a comment that says why.
# shellcheck source=agent/image/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

bad=0

offence() { # MESSAGE
	say "$(basename "$fragment"): $1"
	bad=1
}

check_form() {
	local line name has_reason=0
	local -A seen=()

	while IFS= read -r line; do
		case $line in
		'' | '# ---'*) has_reason=0 && continue ;;
		CONFIG_[A-Z0-9]*=?*) name=${line%%=*} ;;
		'# CONFIG_'*' is not set') name=${line#'# '} name=${name%% *} ;;
		'#'*) has_reason=1 && continue ;;
		*) offence "'$line' is neither an option nor a comment" && continue ;;
		esac
		[ "$has_reason" = 1 ] || offence "'$name' has no reason above it"
		[ -z "${seen[$name]:-}" ] || offence "'$name' stands twice"
		seen[$name]=1
	done <"$fragment"
}

check_effect() { # CONFIG
	local line name

	while IFS= read -r line; do
		case $line in
		CONFIG_*) grep -qxF -- "$line" "$1" || offence "'$line' was dropped" ;;
		'# CONFIG_'*' is not set')
			name=${line#'# '}
			name=${name%% *}
			! grep -q "^$name=" "$1" || offence "'$name' was forced on"
			;;
		esac
	done <"$fragment"
}

case $# in
1 | 2) ;;
*) die 'usage: check-config.sh FRAGMENT [CONFIG]' ;;
esac
fragment=$1
for file in "$@"; do
	[ -r "$file" ] || die "cannot read '$file'"
done
check_form
[ $# -eq 1 ] || check_effect "$2"
[ "$bad" = 0 ] || die "$(basename "$fragment") is not as it should be"
