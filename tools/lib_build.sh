# Sourced by the scripts in this folder, with $root set: configuring and building. All they print goes to stderr.

# configure DIR MESON_OPTION...: a new build directory, or an old one brought to these options; started over if that cannot be done.
# The compiler is $CXX, as ever with Meson.
configure() {
  local dir=$root/build/$1
  shift
  if [[ ! -f $dir/build.ninja ]]; then
    rm -rf "$dir"
    meson setup "$dir" "$root" "$@" >&2
  elif ! meson setup --reconfigure "$dir" "$root" "$@" >&2; then
    meson setup --wipe "$dir" "$root" "$@" >&2
  fi
}

# build DIR TARGET...: $JOBS at a time, as many as ninja likes if unset.
build() {
  local dir=$root/build/$1
  shift
  ninja -C "$dir" ${JOBS:+-j"$JOBS"} "$@" >&2
}
