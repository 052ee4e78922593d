# Shared by the scripts beside it (POSIX sh): sentences for people, and Debian packages.

say() { printf '\n==> %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The packages of the named sections of scripts/packages.
packages_of() {
  for section in "$@"; do
    sed -n "/^\[$section\]/,/^\[/p" "$root/scripts/packages" | grep -v '^[[#]'
  done
}

missing_packages() {
  for package in $(packages_of "$@"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo "$@"
  else
    fail "this needs root for \"$*\": run it as root, or install sudo"
  fi
}

# Installs what is missing of the named sections; asks nothing, and says nothing when all is there.
install_packages() {
  command -v dpkg-query >/dev/null 2>&1 || fail "this script knows Debian packages only; see scripts/packages for what to install here"
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  say "Installing Debian packages: $missing"
  as_root true || fail "these packages are missing and sudo refuses to install them for this user: $missing"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update ||
    printf '%s: the package lists could not be refreshed; going on with those at hand\n' "$(basename "$0")" >&2
  # shellcheck disable=SC2086  # a list of words
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing && return 0
  for package in $missing; do
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "$package" >/dev/null 2>&1 ||
      lacking="${lacking:-} $package"
  done
  [ -z "${lacking:-}" ] || fail "these packages cannot be installed here:$lacking (Debian 12 has them; check /etc/apt/sources.list and the network)"
}

# As many compilers as there are processors, but no more than memory carries (about 1.5 GiB each).
build_jobs() {
  cpus=$(nproc)
  by_memory=$(awk '/^MemAvailable/ { n = int($2 / 1572864); print n < 1 ? 1 : n }' /proc/meminfo)
  [ "$by_memory" -lt "$cpus" ] && echo "$by_memory" || echo "$cpus"
}
