#!/bin/sh
# kernel-config.sh ROOT: the fragment of the tuned kernel is well-formed, and its checker notices
# each kind of offence, and nothing else.
set -eu
check=$1/agent/image/check-config.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

"$check" "$1/agent/image/tuned.config" || failures=1

# try EXPECTED FRAGMENT CONFIG: EXPECTED is "" or a part of the complaint.
try() {
	printf '%b' "$2" >"$dir/fragment"
	printf '%b' "$3" >"$dir/config"
	if output=$("$check" "$dir/fragment" "$dir/config" 2>&1); then status=0; else status=$?; fi
	if [ -z "$1" ] && [ $status -eq 0 ] && [ -z "$output" ]; then
		return
	fi
	if [ -n "$1" ] && [ $status -ne 0 ]; then
		case $output in *"fragment: $1"*) return ;; esac
	fi
	echo "'$2' and '$3': expected '$1', got status $status: $output" >&2
	failures=$((failures + 1))
}

all='CONFIG_A=y\nCONFIG_N=64\nCONFIG_S="text"\n'
try '' "# Reason.\n$all# CONFIG_B is not set\n" "$all# CONFIG_B is not set\n"
try '' "# Reason.\n# CONFIG_B is not set\n" "$all"
try "'CONFIG_A=y' was dropped" "# Reason.\n$all" '# CONFIG_A is not set\nCONFIG_N=64\nCONFIG_S="text"\n'
try "'CONFIG_A=y' was dropped" '# Reason.\nCONFIG_A=y\n' 'CONFIG_AB=y\n'
try "'CONFIG_N=64' was dropped" '# Reason.\nCONFIG_N=64\n' 'CONFIG_N=8\n'
try "'CONFIG_B' was forced on" '# Reason.\n# CONFIG_B is not set\n' 'CONFIG_B=y\n'
try "'CONFIG_A' has no reason above it" 'CONFIG_A=y\n' "$all"
try "'CONFIG_N' has no reason above it" '# Reason.\nCONFIG_A=y\n\nCONFIG_N=64\n' "$all"
try "'CONFIG_N' has no reason above it" '# --- A title ---\nCONFIG_N=64\n' "$all"
try "'CONFIG_A' stands twice" '# Reason.\nCONFIG_A=y\nCONFIG_A=y\n' "$all"
try "'CONFIG_A y' is neither an option nor a comment" '# Reason.\nCONFIG_A y\n' "$all"

[ $failures -eq 0 ]
