#!/usr/bin/env bash
# Compiles the package for AArch64 Linux on another machine and, where qemu-aarch64 is found, runs the processor kernels'
# unit tests under it:
#
#   models/neon-check.sh
#
# Needs the target (`rustup target add aarch64-unknown-linux-gnu`) and a cross compiler with its C library (Debian and
# Ubuntu: `gcc-aarch64-linux-gnu`, `libc6-dev-arm64-cross`). To run the tests: `qemu-user`. Everything that the package
# depends on, candle among it, is then built for AArch64 a second time: on one core some three minutes to check, and ten
# more to build the tests, the first time. The tests themselves take seconds.
#
# AARCH64_CC       the cross compiler, which also links
# AARCH64_SYSROOT  where qemu finds the C library of AArch64
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=aarch64-unknown-linux-gnu
cc=${AARCH64_CC:-aarch64-linux-gnu-gcc}
sysroot=${AARCH64_SYSROOT:-/usr/aarch64-linux-gnu}

if ! command -v "$cc" >/dev/null; then
  echo "neon-check: no cross compiler \`$cc\`; install gcc-aarch64-linux-gnu, or set AARCH64_CC" >&2
  exit 1
fi
export CC_aarch64_unknown_linux_gnu=$cc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$cc
cargo check --locked -p askonce-models --target "$target"

if ! qemu=$(command -v qemu-aarch64); then
  echo "neon-check: compiled only; with qemu-aarch64 (package qemu-user) the kernels' tests would have been run too" >&2
  exit 0
fi
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$qemu -L $sysroot"
cargo test --locked -p askonce-models --lib --target "$target" cpu::
