# Sourced by the scripts in this folder: the Debian packages they need.

# install_missing PACKAGE...: installs those that are not there, and says which. Asks nothing and touches nothing if all are.
install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    echo "no dpkg here: going on as if these were installed: $*" >&2
    return 0
  fi
  local package missing=() run=()
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  echo "missing packages: ${missing[*]}" >&2
  if [[ $EUID -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
      echo "neither root nor sudo: have them installed, then run this again: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    run=(sudo)
  fi
  run+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120)
  if ! "${run[@]}" update >&2 || ! "${run[@]}" install -y --no-install-recommends "${missing[@]}" >&2; then
    echo "could not install them (see above). Needed: apt-get install ${missing[*]}" >&2
    exit 1
  fi
}
