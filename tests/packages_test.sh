#!/usr/bin/env bash
# What tools/lib_packages.sh does for somebody who may not install: usage: packages_test.sh LIB_PACKAGES
set -euo pipefail
command -v dpkg-query >/dev/null || exit 77  # skipped: not a Debian
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin"
ln -s "$(command -v bash)" "$(command -v dpkg-query)" "$(command -v grep)" "$(command -v env)" "$dir/bin/"
cp "$1" "$dir/lib_packages.sh"
chmod -R a+rX "$dir"
if [[ $EUID -eq 0 ]]; then nobody=(setpriv --reuid 65534 --clear-groups --inh-caps=-all); else nobody=(); fi

passed=0 failed=0
check() {  # check PROMISE COMMAND...
  if "${@:2}"; then
    passed=$((passed + 1)) && echo "ok    $1"
  else
    failed=$((failed + 1)) && echo "FAIL  $1"
  fi
}
# Without root, with no sudo in reach.
install_missing() {
  (cd / && "${nobody[@]}" env -i PATH="$dir/bin" bash -ec 'source "$1" && install_missing "${@:2}"' - "$dir/lib_packages.sh" "$@") >"$dir/out" 2>&1
}
is_refused() { ! install_missing "$@"; }
says() { grep -qF "$1" "$dir/out"; }

check "with all packages there, nobody needs root" install_missing base-files dpkg
check "and nothing is said" test ! -s "$dir/out"
check "a package that is missing ends it" is_refused base-files pepper-no-such-package
check "which says what to install" says "apt-get install pepper-no-such-package"
check "and that it lacks root and sudo" says "neither root nor sudo"
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
