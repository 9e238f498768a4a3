#!/usr/bin/env bash
# Compiles the package with the feature `cuda`, kernels included, on a machine without CUDA and without a GPU:
#
#   models/cuda-check.sh [DIR]
#
# The toolkit comes from Python packages, pinned below, and is unzipped into DIR (default: target/cuda-toolkit); nothing
# of it is installed. It is linked and run nowhere: that needs a driver and a GPU. Needs x86-64 Linux, a C++ compiler,
# Python with pip, 200 MB of downloads and, on two cores, some ten minutes the first time.
#
# CUDA_COMPUTE_CAP     the GPU generation that kernels are compiled for; 80 is Ampere, the oldest with bf16
# CUDARC_CUDA_VERSION  the newest driver interface that cudarc 0.19 knows; it stops at the toolkit's own 13.5
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(
  nvidia-cuda-nvcc==13.5.37
  nvidia-nvvm==13.5.37
  nvidia-cuda-crt==13.5.37
  nvidia-cuda-runtime==13.5.37
  nvidia-cuda-cccl==13.3.5.0.6
  nvidia-curand==10.4.5.25
)
dir=${1:-target/cuda-toolkit}
toolkit=$dir/nvidia/cu13

if [[ ! -f $toolkit/bin/nvcc ]]; then
  mkdir -p "$dir/wheels"
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$dir/wheels" "${packages[@]}"
  for wheel in "$dir"/wheels/*.whl; do
    python3 -m zipfile -e "$wheel" "$dir"
  done
fi
# Python's zipfile forgets which files are programs.
chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/*

toolkit=$(realpath "$toolkit")
export CUDA_PATH=$toolkit CUDA_HOME=$toolkit CUDA_ROOT=$toolkit PATH=$toolkit/bin:$PATH
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80} CUDARC_CUDA_VERSION=${CUDARC_CUDA_VERSION:-13040}
cargo check --locked -p askonce-models --features cuda
