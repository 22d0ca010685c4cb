#!/usr/bin/env bash
# From a fresh Debian 12 machine to a container in a VM, or to every test passed. See usage().
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

prefix=/usr/local
image_dir=$prefix/share/vcrt # where vcrt looks for its guest
logs=build-logs
flavour=${VCRT_FLAVOUR:-debian}
fuzz_seconds=${VCRT_FUZZ_SECONDS:-60}
passed=0
failed=0

# What each package is for stands beside it.
build_packages=(
	gcc libc6-dev pkgconf meson ninja-build # the compiler and the build
	git                                     # the format test asks it for the files
	libyajl-dev libcap-dev                  # linked in; the latter into the agent
	libseccomp-dev libseccomp2              # headers; the library is loaded for a profile
	libsystemd-dev                          # headers; the library is loaded for --systemd-cgroup
	libnl-3-dev libnl-route-3-dev           # headers, for netlink
	libnl-3-200 libnl-route-3-200           # loaded when a container has network interfaces
	check                                   # unit tests are built with everything else
	qemu-system-x86                         # the VMM, with the PVH option rom and virtio-9p
	kmod binutils xz-utils lz4              # take Debian's kernel apart for the guest
	busybox-static jq                       # the demonstration's bundle
	ca-certificates
)
tuned_packages=(make bc flex bison libelf-dev) # build a kernel
test_packages=(
	clang-14 libclang-rt-14-dev llvm-14 # fuzzers and their sanitizers
	clang clang-format                  # the command names; 14 is Debian 12's
	valgrind libc6-dbg                  # valgrind needs the loader's symbols
	bats parallel shellcheck
	runc crun hyperfine                 # what vcrt is compared with
	docker.io containerd podman conmon  # clients, of which the tests start their own
	netavark aardvark-dns               # Podman's networks
	containernetworking-plugins         # the network of containerd's pods
	python3-grpcio                      # calls containerd as the kubelet does
	python3-yaml                        # reads README.md's description of a pod
	python3-jsonschema                  # judges features and state by the specification's schemas
	man-db                              # formats the manual page
	libcap2-bin                         # capabilities of files, on the share
	systemd cpio                        # the lab: another host with systemd, in a VM
	iproute2                            # network namespaces
	iptables                            # leads to a name server, as Docker does
	gnuplot-nox                         # draws the figures of the benchmark
	procps python3
)

# Every test: title|function. A function prints what it finds, and calls count PASSED FAILED once;
# returning non-zero without a count is one failure.
tests=(
	'unit, layer and format tests|test_meson'
	'shell scripts|test_shellcheck'
	'unit tests with ASan and UBSan|test_sanitizers'
	'unit tests with valgrind|test_valgrind'
	'fuzzers|test_fuzzers'
	'guest image|test_image'
	'containers in VMs|test_bats'
	'containers in VMs with the tuned kernel|test_tuned'
	'speed|test_bench'
)

usage() {
	cat <<-END
		usage: ./bootstrap.sh run | test [NAME...] | build

		  run    install Debian packages, build, build the guest image, install to $prefix,
		         and run a container in a virtual machine
		  test   all of that, then every test, or those named; the last line is
		         "N passed, N failed". Names:
		         $(printf '%s ' "${tests[@]##*|test_}")
		  build  only build vcrt and the guest image

		Each can be repeated, and is quick when there is nothing to do. Environment:
		  VCRT_FLAVOUR       guest kernel: debian (default), or tuned: built from source,
		                     several minutes once
		  VCRT_FUZZ_SECONDS  for each fuzzer (default 60)
		  VCRT_TEST_STRICT   1: a test that cannot run counts as failed
	END
}

# --- Telling what happens ------------------------------------------------------------------------

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "bootstrap: $*"
	exit 1
}

# Run a step that must succeed, with its time. Not in a condition: set -e must stay alive in it.
step() { # TITLE COMMAND...
	local title=$1 start=$EPOCHREALTIME

	shift
	say "==> $title"
	"$@"
	say "    $(seconds_since "$start") s"
}

seconds_since() { # EPOCHREALTIME, which has six digits after the point
	local ms=$(((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}) / 1000))

	printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# Run quietly, with the output in a log that is shown if it fails.
logged() { # LOG COMMAND...
	local log=$logs/$1.log

	shift
	"$@" >"$log" 2>&1 </dev/null && return
	tail -n 40 "$log" >&2
	say "bootstrap: '$*' failed; all of its output is in '$log'"
	return 1
}

# --- Set-up --------------------------------------------------------------------------------------

missing_packages() { # PACKAGE...
	local package

	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			echo "$package"
	done
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o Acquire::Retries=3 "$@"
}

# apt's output is long: a line for each 25 packages shows that it moves.
apt_progress() { # LOG
	tee "$1" | awk '/^Setting up / && ++n % 25 == 0 { print "    " n " packages set up" }
		/^Fetched / { print "    " tolower(substr($0, 1, 1)) substr($0, 2) }' >&2
}

install_packages() { # PACKAGE...
	local -a missing

	mapfile -t missing < <(missing_packages "$@")
	if [ "${#missing[@]}" -eq 0 ]; then
		say "    all $# are installed"
		return
	fi
	[ "$(id -u)" = 0 ] || die "packages are missing, and only root can install: ${missing[*]}"
	say "    installing ${missing[*]} and what they need"
	logged apt-update apt_get update
	apt_get install --no-install-recommends "${missing[@]}" </dev/null 2>&1 |
		apt_progress "$logs/apt-install.log" ||
		die "apt-get failed: $(tail -n 3 "$logs/apt-install.log")"
}

# Configure DIR unless it is: a set-up that was cut short leaves no build.ninja.
configure() { # DIR MESON-OPTION...
	local dir=$1

	shift
	[ -f "$dir/build.ninja" ] || logged "meson-$dir" meson setup "$dir" "$@"
}

build() {
	configure build --prefix "$prefix"
	ninja -C build | tail -n 1 | sed 's/^/    /' >&2
}

build_image() {
	agent/image/build.sh --flavour "$flavour" --agent build/agent/vcrt-agent --output build/image
}

install_all() {
	local file new

	logged install meson install -C build --no-rebuild
	ldconfig
	mkdir -p "$image_dir"
	# Running VMs have these open: replace, never write into them.
	for file in vmlinux initrd.img image.json; do
		cmp -s "build/image/$file" "$image_dir/$file" && continue
		new=$image_dir/.$file.$$
		install -m 644 "build/image/$file" "$new"
		mv "$new" "$image_dir/$file"
	done
}

set_up() { # PACKAGE...
	mkdir -p "$logs"
	[ "$flavour" != tuned ] || set -- "$@" "${tuned_packages[@]}"
	step 'Debian packages' install_packages "$@"
	step 'building vcrt' build
	step "building the guest image ($flavour)" build_image
	step "installing to $prefix" install_all
}

# --- The demonstration ---------------------------------------------------------------------------

make_bundle() { # DIR SHELL-COMMAND
	mkdir -p "$1"/rootfs/{bin,proc,sys,dev,tmp,etc}
	cp /bin/busybox "$1/rootfs/bin/busybox"
	chroot "$1/rootfs" /bin/busybox --install -s /bin
	vcrt spec --bundle "$1"
	jq --arg command "$2" '.process.terminal = false | .hostname = "inside" |
		.process.args = ["/bin/sh", "-c", $command]' "$1/config.json" >"$1/config.new"
	mv "$1/config.new" "$1/config.json"
}

demo() {
	local dir

	dir=$(mktemp -d)
	make_bundle "$dir" 'echo "Hello from $(hostname): $(uname -sr)"
		grep -m1 "model name" /proc/cpuinfo; free -m; ps'
	say "    this machine runs $(uname -sr); in a VM of its own:"
	say "    \$ vcrt run --bundle $dir demo"
	PATH=$prefix/bin:$PATH vcrt run --bundle "$dir" "demo-$$"
	rm -rf "$dir"
}

# --- Tests ---------------------------------------------------------------------------------------

counted=0
count() { # PASSED FAILED
	passed=$((passed + $1))
	failed=$((failed + $2))
	counted=1
	say "    $1 passed, $2 failed"
}

# A part without tests: a failure where everything must be tested, else a remark.
absent() { # WHAT
	say "    $1"
	[ "${VCRT_TEST_STRICT:-}" != 1 ] || count 0 1
	counted=1
}

# Run `meson test`, and count from its log: one line of JSON for each test.
meson_test() { # DIR MESON-ARGUMENT...
	local log=$1/meson-logs/${logbase:-testlog}.json ok bad status=0

	rm -f "$log"
	logged "test-$1-${logbase:-testlog}" meson test -C "$@" --print-errorlogs || status=1
	[ -s "$log" ] || return 1
	ok=$(jq -s 'map(select(.result == "OK" or .result == "EXPECTEDFAIL")) | length' "$log")
	bad=$(jq -s 'length' "$log")
	bad=$((bad - ok))
	[ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$ok" "$bad"
}

test_meson() {
	meson_test build
}

test_shellcheck() {
	local file ok=0 bad=0

	while read -r file; do
		# A file removed in the working tree is still in the index.
		[ -e "$file" ] || continue
		if shellcheck "$file" </dev/null; then
			ok=$((ok + 1))
		else
			bad=$((bad + 1))
		fi
	done < <(git ls-files --cached --others --exclude-standard \
		-- '*.sh' '*.bash' '*.bats' .ci/run)
	count "$ok" "$bad"
}

test_sanitizers() {
	configure build-asan -Db_sanitize=address,undefined -Dbuildtype=debug
	ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 \
		UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		meson_test build-asan --suite unit --timeout-multiplier 3
}

# What Debian 12's valgrind (3.19) cannot run, because it answers ENOSYS to system calls that these
# are about. The sanitizers see all of them.
valgrind_cannot=(
	base_fs_root base_fs_make # openat2
	base_child_kill          # pidfd_send_signal
	hypervisor_mock lib_life lib_template_build lib_fs_server lib_network lib_pod # pidfd_open
	lib_share                # open_tree, move_mount
	netns_macvtap netns_transfer # fsopen, fsmount
	hypervisor_qemu hypervisor_size hypervisor_template # pidfd_open, and waitid without a siginfo
)

test_valgrind() {
	local -a names

	mapfile -t names < <(meson introspect --tests build | jq -r '.[] |
		select(.suite | any(endswith("unit"))) | .name' |
		grep -vxF "$(printf '%s\n' "${valgrind_cannot[@]}")")
	say "    left out: ${valgrind_cannot[*]} (system calls that valgrind does not know)"
	# meson adds the wrapper's name to that of the log.
	logbase=testlog-valgrind meson_test build "${names[@]}" --timeout-multiplier 15 \
		--wrapper 'valgrind -q --error-exitcode=99
		--leak-check=full --errors-for-leak-kinds=definite --num-callers=30'
}

# A fuzzer for each processor at a time.
test_fuzzers() {
	local -a names pids
	local i n ok=0 bad=0

	if [ ! -f test/fuzz/meson.build ]; then
		absent 'no fuzzers in test/fuzz'
		return
	fi
	CC=clang-14 configure build-fuzz -Dfuzz=true
	logged build-fuzz ninja -C build-fuzz fuzzers || return 1
	mapfile -t names < <(find build-fuzz/test/fuzz -maxdepth 1 -type f -executable \
		-name 'fuzz_*' -printf '%f\n' | sed 's/^fuzz_//' | sort)
	n=$(nproc)
	say "    ${#names[@]} fuzzers, $fuzz_seconds s each, $n at a time"
	for ((i = 0; i < ${#names[@]}; i++)); do
		# The one that started n places earlier had the same time to run: wait for it.
		[ "$i" -lt "$n" ] || wait "${pids[i - n]}" || true
		timeout -k 10 $((fuzz_seconds + 120)) test/fuzz/run.sh build-fuzz "$fuzz_seconds" \
			"${names[i]}" >"$logs/fuzz-${names[i]}.log" 2>&1 </dev/null &
		pids[i]=$!
	done
	for ((i = 0; i < ${#names[@]}; i++)); do
		if wait "${pids[i]}"; then
			ok=$((ok + 1))
			say "    ${names[i]}: $(sed -n 's/^stat::number_of_executed_units: *//p' \
				"$logs/fuzz-${names[i]}.log") inputs"
		else
			bad=$((bad + 1))
			tail -n 30 "$logs/fuzz-${names[i]}.log" >&2
			say "    ${names[i]} failed"
		fi
	done
	count "$ok" "$bad"
}

test_image() {
	local bytes

	bytes=$(stat -c %s build/agent/vcrt-agent)
	say "    the agent has $bytes bytes (less than 2 MiB)"
	[ "$bytes" -lt $((2 << 20)) ] || return 1
	agent/image/boot-test.sh build/image || return 1
	count 1 0
}

# What loads the machine, or takes times, is run alone; the rest on every processor. Most VMs start
# from a template, which is also what users want; those of the core's tests boot.
bats_alone=(crash parallel memory docker-parallel template)
bats_cold=(create crash delete errors lifecycle kill parallel start state)
# What depends most on the kernel: this is run with the tuned one, too.
bats_tuned=(cgroups clones devices dns exec kernel lifecycle linux mounts namespaces network pods process
	run seccomp sysctl update userns)

# The files, with those named left out or, with -o, only those.
bats_files() { # [-o] NAME...
	local -a pick=(-v)

	[ "$1" != -o ] || { pick=() && shift; }
	printf '%s\n' bats/*.bats | grep "${pick[@]}" -xF "$(printf 'bats/%s.bats\n' "$@")"
}

run_bats() {
	local -a beside cold
	local status=0

	mapfile -t beside < <(bats_files "${bats_alone[@]}" "${bats_cold[@]}")
	mapfile -t cold < <(bats_files "${bats_alone[@]}" | grep -xF "$(bats_files -o "${bats_cold[@]}")")
	# Stopped before CI would stop everything, so that the log and the count are still seen.
	VCRT_TEMPLATE=1 timeout 2400 bats --jobs "$(nproc)" --timing --tap --print-output-on-failure "${beside[@]}" || status=1
	timeout 900 bats --jobs "$(nproc)" --timing --tap --print-output-on-failure "${cold[@]}" || status=1
	mapfile -t cold < <(bats_files -o "${bats_alone[@]}")
	timeout 1200 bats --timing --tap "${cold[@]}" || status=1
	return "$status"
}

# Count from what bats tells about each test.
count_bats() { # LOG COMMAND...
	local log=$1 ok bad status=0

	PATH=$PWD/build/cmd:$PATH "${@:2}" </dev/null 2>&1 | tee "$log" || status=1
	ok=$(grep -c '^ok ' "$log") || true
	bad=$(grep -c '^not ok ' "$log") || true
	[ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
	count "$ok" "$bad"
}

test_bats() {
	if ! compgen -G 'bats/*.bats' >/dev/null; then
		absent 'no tests in bats'
		return
	fi
	count_bats "$logs/bats.log" run_bats
}

test_tuned() {
	local -a files
	local image=$PWD/build/image-tuned

	timeout 2400 agent/image/build.sh --flavour tuned --agent build/agent/vcrt-agent \
		--output "$image" || return 1
	mapfile -t files < <(bats_files -o "${bats_tuned[@]}")
	VCRT_KERNEL=$image/vmlinux VCRT_INITRD=$image/initrd.img VCRT_TEMPLATE=1 \
		count_bats "$logs/bats-tuned.log" \
		timeout 1500 bats --jobs "$(nproc)" --timing --tap --print-output-on-failure "${files[@]}"
}

# Each target is a test; a part that fails is a failed one. Every kernel that there is an image of is
# measured.
test_bench() {
	local result=$PWD/$logs/bench.json image name
	local -a kernels=()

	# First the kernel that users have, with which alone some is measured.
	for image in build/image build/image-*/; do
		[ -e "$image/image.json" ] || continue
		name=$(jq -r .flavour "$image/image.json")
		jq -r '"\(.agent_sha256)  build/agent/vcrt-agent"' "$image/image.json" | sha256sum --check --status || {
			say "    left out: the $name image, which has another agent than this build"
			continue
		}
		jq -n --arg dir "$(realpath "$image")" '{ kernel: "\($dir)/vmlinux", initrd: "\($dir)/initrd.img" }' \
			>"$logs/bench-$name.config.json"
		kernels+=(--kernel "$name=$logs/bench-$name.config.json")
	done
	rm -f "$result"
	timeout 1500 test/bench/bench.py build --quick "${kernels[@]}" --json "$result" \
		--pictures "$logs" </dev/null >"$logs/bench.log" || true
	cat "$logs/bench.log"
	[ -s "$result" ] || return 1
	# A known miss is neither: it is in the table, with its reason.
	count "$(jq '[.rows[].targets[] | select(.met)] | length' "$result")" \
		"$(jq '[.failures[], (.rows[].targets[] | select(.met or .known | not))] | length' "$result")"
}

known_tests() { # [NAME...]
	local name

	for name in "$@"; do
		[[ " ${tests[*]##*|test_} " == *" $name "* ]] ||
			die "no test is named '$name'; there are: ${tests[*]##*|test_}"
	done
}

run_tests() { # [NAME...]
	local entry start

	for entry in "${tests[@]}"; do
		[ $# -eq 0 ] || [[ " $* " == *" ${entry##*|test_} "* ]] || continue
		start=$EPOCHREALTIME
		counted=0
		say "==> test: ${entry%%|*}"
		"${entry##*|}" || [ "$counted" = 1 ] || count 0 1
		[ "$counted" = 1 ] || count 0 1
		say "    $(seconds_since "$start") s"
	done
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}

case ${1:-} in
run)
	set_up "${build_packages[@]}"
	step 'a container in a virtual machine' demo
	;;
test)
	shift
	known_tests "$@"
	set_up "${build_packages[@]}" "${test_packages[@]}" "${tuned_packages[@]}"
	step 'a container in a virtual machine' demo
	run_tests "$@"
	;;
build)
	mkdir -p "$logs"
	step 'building vcrt' build
	step "building the guest image ($flavour)" build_image
	;;
-h | --help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
