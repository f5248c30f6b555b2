#!/usr/bin/env bash
# Builds pepper-demo and runs it: demo.sh [DIR] [MORE OF pepper-demo's ARGUMENTS]. See demo.sh --help.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/tools/lib_packages.sh"
source "$root/tools/lib_build.sh"

install_missing g++ meson ninja-build pkg-config libconcurrentqueue-dev libxxhash-dev libcli11-dev prometheus-cpp-dev
options=(-Dtools=enabled -Dprometheus=enabled)
if [[ ! -f $root/build/release/build.ninja ]]; then  # else test.sh has been here, and its options stay
  options+=(-Dtests=disabled -Dbench=disabled)
fi
CXX=${CXX:-g++} configure release "${options[@]}"
build release tools/pepper-demo
exec "$root/build/release/tools/pepper-demo" "$@"
