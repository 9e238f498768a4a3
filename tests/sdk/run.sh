#!/usr/bin/env bash
# Runs the official SDKs, the frameworks on them, and two coding tools through askonce, to a real language model and to
# scripted upstreams. See README.md here.
#
#   cargo build --release && tests/sdk/run.sh
#   tests/sdk/run.sh wires                # a suite: python, wires, frameworks, cli, stores, node, sso
#   tests/sdk/run.sh wires -k google-genai-to-bedrock  # other arguments go to pytest; without a suite, to all that pytest runs
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

# Each set of packages is installed anew only when its pinned versions change: the stamp is a copy of what was installed.

# python_set NAME REQUIREMENTS: a virtual environment with exactly these packages.
python_set() {
  local venv=$cache/$1 list=$2
  cmp -s "$list" "$venv/installed.txt" && return
  echo "installing the packages of $list into $venv"
  rm -rf "$venv"
  python3 -m venv --without-pip "$venv"
  "$cache/uv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --only-binary :all: -r "$list"
  cp "$list" "$venv/installed.txt"
}

# node_set NAME FOLDER: a folder of Node.js packages.
node_set() {
  local modules=$cache/$1 folder=$2
  mkdir -p "$modules"
  cmp -s "$folder/package-lock.json" "$modules/installed.json" && return
  echo "installing the packages of $folder into $modules"
  rm -f "$modules/installed.json"
  cp "$folder/package.json" "$folder/package-lock.json" "$modules/"
  (cd "$modules" && npm ci --silent --ignore-scripts --no-audit --no-fund)
  cp "$folder/package-lock.json" "$modules/installed.json"
}

# sso: people sign in at a real identity provider. It needs neither the language model nor Python.
sso() {
  node_set sso "$here/sso" || fail "the packages of sso could not be installed"
  cp "$here/sso/story.test.js" "$cache/sso/"
  (cd "$cache/sso" && node --test story.test.js)
}
if [ "${1:-}" = sso ]; then
  shift
  sso
  [ $# -gt 0 ] || exit 0
elif [ $# -eq 0 ]; then
  sso
fi

if ! grep -qsx 'uv==0.13.9' "$cache/uv/installed.txt"; then
  rm -rf "$cache/uv"
  python3 -m venv "$cache/uv"
  "$cache/uv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: uv==0.13.9
  echo 'uv==0.13.9' >"$cache/uv/installed.txt"
fi

# All at once: they wait for the network more than for each other.
installs=()
python_set python "$here/requirements.txt" &
installs+=($!)
python_set frameworks "$here/frameworks/requirements.txt" &
installs+=($!)
python_set stores "$here/stores/requirements.txt" &
installs+=($!)
node_set node "$here/node" &
installs+=($!)
node_set cli "$here/cli" &
installs+=($!)
for install in "${installs[@]}"; do
  wait "$install" || fail "a set of packages could not be installed"
done
# Node.js looks for packages beside the script.
cp "$here/node/"*.js "$cache/node/"
export ASKONCE_SDK_NODE=$cache/node ASKONCE_SDK_CLI=$cache/cli/node_modules ASKONCE_SDK_FRAMEWORKS=$cache/frameworks/bin/python
export ASKONCE_SDK_STORES=$cache/stores/bin/python
# What Python compiles stays out of the source tree, and is there the next time.
export PYTHONPYCACHEPREFIX=$cache/compiled

if [ -z "${ASKONCE_MODEL_DIR:-}" ]; then
  echo "pulling the sentence model into $cache/askonce"
  "$ASKONCE_BIN" model pull --data-dir "$cache/askonce"
  weights=$(find "$cache/askonce" -name model.safetensors -print -quit)
  [ -n "$weights" ] || fail "\`askonce model pull\` left no model.safetensors in $cache/askonce"
  ASKONCE_MODEL_DIR=$(dirname "$weights")
fi
export ASKONCE_MODEL_DIR

exec "$cache/python/bin/python" "$here/stage.py" "$@"
