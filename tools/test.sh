#!/usr/bin/env bash
# Builds pepper and checks all it promises. Goes on after a failure; the last line is "N passed, N failed".
set -euo pipefail
usage="usage: test.sh [--all | --soak MINUTES]
Release build, all tests, the README's programs, other people's projects against the installed library. Under 8 minutes on two cores.
  --all             also pepper as a subproject, a real Prometheus, debug, ASan + UBSan + LSan, clang TSan and clang release builds with all tests, two minutes of fuzzing, the lint, and the planted bugs. Under 40 minutes.
  --soak MINUTES    instead of all that, for so long: threads that record without pause, a stopped flusher, a million threads, stress.
Installs the Debian packages that are missing. Builds below build/; JOBS=1 builds one file at a time.
Counts each test case, and every other check as one. Exits with 1 if anything failed or nothing was counted."
all=false soak_minutes=
case "$#${1-}" in
  0) ;;
  1--all) all=true ;;
  2--soak) soak_minutes=$2 ;;
  1--help | 1-h) echo "$usage" && exit 0 ;;
  *) echo "$usage" >&2 && exit 2 ;;
esac
if [[ $# -eq 2 && ! $soak_minutes =~ ^[1-9][0-9]*$ ]]; then echo "$usage" >&2 && exit 2; fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
source tools/lib_packages.sh
source tools/lib_build.sh

# dpkg-dev tells Meson where Debian's libraries are: what is installed into lib64 instead, CMake does not find.
packages=(g++ dpkg-dev meson ninja-build pkg-config libconcurrentqueue-dev libxxhash-dev libcli11-dev libbenchmark-dev doctest-dev valgrind spin
  prometheus-cpp-dev cmake)
if $all; then packages+=(clang clang-format clang-tidy libclang-rt-14-dev llvm prometheus); fi
install_missing "${packages[@]}"

# A report is a failure, wherever it comes from. (UBSan would only print; LSan is part of ASan.)
export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

passed=0 failed=0 failures=()
finish() {
  local status=$?
  if [[ $status -ne 0 ]]; then fail 1 "stopped early, status $status"; fi
  printf '\n'
  if [[ $failed -gt 0 ]]; then printf 'FAILED %s\n' "${failures[@]}"; fi
  echo "$passed passed, $failed failed"
  trap - EXIT
  [[ $failed -eq 0 && $passed -gt 0 ]]
  exit
}
fail() {  # fail COUNT WHAT
  failed=$((failed + $1))
  failures+=("$2")
}
section() { printf '\n== %s (%d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }
trap finish EXIT
trap 'exit 130' INT TERM

# check NAME COMMAND...: one check more.
check() {
  section "$1"
  if "${@:2}"; then passed=$((passed + 1)); else fail 1 "$1"; fi
}

# check_build NAME MESON_OPTION...: builds ($built says whether), runs all tests, counts their cases. $CXX and $patience (a factor on timeouts) by environment.
check_build() {
  local name=$1 log=build/$1/meson-logs/testlog.json counts
  section "build $name"
  built=false
  if ! configure "$@" -Dtests=enabled -Dtools=enabled -Dprometheus=enabled -Dpkgconfig.relocatable=true || ! build "$name"; then
    fail 1 "$name: does not build"
    return
  fi
  built=true
  section "test $name"
  rm -f "$log"
  meson test -C "build/$name" --no-rebuild --print-errorlogs --timeout-multiplier "${patience:-1}" || true
  if ! counts=$(python3 tools/count_tests.py "$log" "$name"); then
    fail 1 "$name: no tests were run"
    return
  fi
  local good bad line lines
  { read -r good bad; mapfile -t lines; } <<<"$counts"
  passed=$((passed + good))
  failed=$((failed + bad))
  for line in "${lines[@]}"; do
    if [[ -n $line ]]; then failures+=("$line"); fi
  done
}

install_root=$root/build/install
install_pepper() {
  local pc
  rm -rf "$install_root"
  meson install -C build/release --no-rebuild --quiet --destdir "$install_root" &&
    pc=$(find "$install_root" -name pepper.pc) &&
    PKG_CONFIG_PATH=${pc%/*} &&
    export PKG_CONFIG_PATH &&
    LD_LIBRARY_PATH=$(pkg-config --variable=libdir pepper) &&
    export LD_LIBRARY_PATH
}

# The stress tests again and again until $SECONDS is $1, each time with another seed, which repeats it.
stress_until() {
  local seed
  while [[ $SECONDS -lt $1 ]]; do
    seed=$(od -An -N7 -tu8 /dev/urandom | tr -d ' ')
    echo "PEPPER_SEED=$seed build/release/tests/pepper-tests --source-file='*/stress_test.cpp'"
    PEPPER_SEED=$seed build/release/tests/pepper-tests --source-file='*/stress_test.cpp' --minimal || return
  done
}

# What takes longer than a test may, for so many seconds in all; what is left of them is for stress.
soak() {
  local end=$((SECONDS + $1)) part=$(($1 / 4 + 1)) tests=build/release/tests
  check "the flusher stopped for 10 s" env PEPPER_STOP_SECONDS=10 $tests/pepper-contract-tests --source-file='*/stopped_flusher_test.cpp'
  check "two threads, a pool of 4 chunks" $tests/pepper-soak saturate 1020 $part
  check "two threads, the default pool" $tests/pepper-soak saturate 65536 $part
  check "a million short threads" $tests/pepper-soak threads 1000000 $part
  check "stress" stress_until $((end > SECONDS ? end : SECONDS + 1))
}

check_readme() {
  local headers
  mapfile -t headers < <(grep -lE '^///?     int main' include/pepper/*.hpp)
  python3 tools/readme_examples.py README.md "${headers[@]}"
}

# Each bug that is planted is a check: that another check catches it.
check_planted() {
  section "planted bugs"
  local log=build/planted.log good=0 bad=0
  tools/planted_bugs 2>&1 | tee "$log" || true
  read -r good bad < <(tail -n 1 "$log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p') || true
  if [[ -z $good ]]; then good=0 bad=1; fi
  passed=$((passed + good))
  if [[ $bad -gt 0 ]]; then fail "$bad" "planted bugs: $(grep -c 'FAILED\|RED' "$log") not caught, or caught without a bug"; fi
}

# check_fuzz FUZZER: a minute of inputs that it makes up; an input that breaks a promise is written to build/fuzz and named on stderr.
check_fuzz() {
  CXX=clang++ configure fuzz -Ddebug=true -Doptimization=2 -Dtests=enabled -Dtools=disabled -Dbench=disabled -Dfuzz=true -Dprometheus=enabled -Db_lundef=false &&
    build fuzz "tests/$1" &&
    (cd build/fuzz && "tests/$1" -max_total_time=60 -max_len=1024 -print_final_stats=1 -verbosity=0)
}

if [[ -n $soak_minutes ]]; then
  CXX=${CXX:-g++} check "build release" eval 'configure release -Dbuildtype=release -Dtests=enabled && build release'
  soak $((60 * soak_minutes))
  exit
fi

CXX=${CXX:-g++} check_build release -Dbuildtype=release -Dbench=enabled
if $built && install_pepper; then
  check "README's programs" check_readme
else
  fail 1 "README's programs: nothing to install"
fi

if $all; then
  check "pepper as a subproject" python3 tests/consumers_test.py build/release subproject
  CXX=g++ check_build debug -Dbuildtype=debug -Dbench=disabled -Dcpp_args=-D_GLIBCXX_ASSERTIONS
  CXX=clang++ patience=3 check_build asan -Ddebug=true -Doptimization=1 -Dbench=disabled -Db_sanitize=address,undefined -Db_lundef=false
  CXX=clang++ patience=5 check_build tsan -Ddebug=true -Doptimization=1 -Dbench=disabled -Db_sanitize=thread -Db_lundef=false
  CXX=clang++ check_build clang -Dbuildtype=release -Dbench=enabled
  check "lint's own test" tools/lint --self-test
  check "lint" tools/lint
  check "clang-tidy" tools/lint --tidy build/clang
  check "a minute of fuzzed folds" check_fuzz fold-fuzz
  check "a minute of fuzzed pages" check_fuzz prometheus-fuzz
  check_planted
fi
