#!/usr/bin/env bash
# Runs the official OpenAI clients for Python and Node.js through askonce, to a real language model and to a scripted
# upstream. See README.md here.
#
#   cargo build --release && tests/sdk/run.sh
#   tests/sdk/run.sh -k paraphrase        # arguments go to pytest; the Node.js part is then left out
#
# ASKONCE_BIN        the binary (default: target/release/askonce)
# ASKONCE_MODEL_DIR  a folder with the sentence model (default: pulled into the cache folder)
# ASKONCE_SDK_CACHE  where clients and models are kept between runs (default: askonce-sdk in the user's cache folder)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${ASKONCE_SDK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/askonce-sdk}
ASKONCE_BIN=$(realpath -m "${ASKONCE_BIN:-$root/target/release/askonce}")
export ASKONCE_BIN

fail() {
  echo "tests/sdk/run.sh: $*" >&2
  exit 1
}

for tool in python3 node npm; do
  command -v "$tool" >/dev/null || fail "$tool is missing; these tests need Python 3.11 or newer and Node.js 20 or newer"
done
[ -x "$ASKONCE_BIN" ] || fail "there is no $ASKONCE_BIN; run \`cargo build --release\` first, or set ASKONCE_BIN"
mkdir -p "$cache"

# Installed anew only when the pinned versions change: the stamp is a copy of what was installed.
if ! cmp -s "$here/requirements.txt" "$cache/python/installed.txt"; then
  echo "installing the Python client and the language model into $cache/python"
  rm -rf "$cache/python"
  python3 -m venv "$cache/python"
  "$cache/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$cache/python/installed.txt"
fi
mkdir -p "$cache/node"
if ! cmp -s "$here/node/package-lock.json" "$cache/node/installed.json"; then
  echo "installing the Node.js client into $cache/node"
  cp "$here/node/package.json" "$here/node/package-lock.json" "$cache/node/"
  (cd "$cache/node" && npm ci --silent --ignore-scripts --no-audit --no-fund)
  cp "$here/node/package-lock.json" "$cache/node/installed.json"
fi
# Node.js looks for packages beside the script.
cp "$here/node/"*.js "$cache/node/"
export ASKONCE_SDK_NODE=$cache/node

if [ -z "${ASKONCE_MODEL_DIR:-}" ]; then
  echo "pulling the sentence model into $cache/askonce"
  "$ASKONCE_BIN" model pull --data-dir "$cache/askonce"
  weights=$(find "$cache/askonce" -name model.safetensors -print -quit)
  [ -n "$weights" ] || fail "\`askonce model pull\` left no model.safetensors in $cache/askonce"
  ASKONCE_MODEL_DIR=$(dirname "$weights")
fi
export ASKONCE_MODEL_DIR

exec "$cache/python/bin/python" -B "$here/stage.py" "$@"
