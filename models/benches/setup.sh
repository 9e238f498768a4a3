#!/usr/bin/env bash
# Installs onnxruntime for `cargo bench -p askonce-models --bench compare`, into a virtual environment below `target`:
#
#   models/benches/setup.sh [FOLDER]
#
# Needs Python 3.11 or newer with venv, and a package index. Without it `compare` leaves the rows of onnxruntime out.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${1:-${CARGO_TARGET_DIR:-$here/../../target}/tmp/onnxruntime}

python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
"$folder/bin/python" -c 'import onnxruntime; print("onnxruntime", onnxruntime.__version__)'
