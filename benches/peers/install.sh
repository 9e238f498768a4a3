#!/usr/bin/env bash
# Installs by package name what askonce is measured beside, into target/peers/installed (or ASKONCE_PEERS):
#
#   benches/peers/install.sh                  # all of them
#   benches/peers/install.sh nginx litellm    # some
#
# nginx (Debian's package, unpacked and not installed), tensorzero and litellm (PyPI), portkey (npm). Each that cannot be had
# is named and left out; the others are measured all the same.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
to=${ASKONCE_PEERS:-$root/target/peers/installed}
mkdir -p "$to"

nginx() {
  [ -x "$to/nginx/usr/sbin/nginx" ] && return
  type -P nginx >/dev/null && return
  (cd "$to" && apt-get download -qq nginx && for package in nginx_*.deb; do dpkg-deb -x "$package" nginx; done && rm -f nginx_*.deb)
}

# python NAME PACKAGE…: into one virtual environment for all.
python() {
  local name=$1
  shift
  "$to/python/bin/python" -c "import importlib.metadata as m; m.version('$name')" 2>/dev/null && return
  [ -x "$to/python/bin/python" ] || python3 -m venv "$to/python" || return
  [ -x "$to/python/bin/uv" ] || "$to/python/bin/pip" install --quiet uv || return
  "$to/python/bin/uv" pip install --quiet --python "$to/python/bin/python" --only-binary :all: "$@"
}

tensorzero() { python tensorzero tensorzero==2026.6.0; }

litellm() { python litellm 'litellm[proxy]==1.106.2'; }

portkey() {
  [ -d "$to/node/node_modules/@portkey-ai/gateway" ] && return
  mkdir -p "$to/node"
  (cd "$to/node" && npm install --silent --ignore-scripts --no-audit --no-fund @portkey-ai/gateway@1.15.2)
}

[ $# -gt 0 ] || set -- nginx tensorzero litellm portkey
for peer in "$@"; do
  case $peer in
  nginx | tensorzero | litellm | portkey) "$peer" || echo "install.sh: $peer could not be installed" >&2 ;;
  *) echo "install.sh: no peer is called $peer" >&2 && exit 2 ;;
  esac
done
