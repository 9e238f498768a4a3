#!/usr/bin/env bash
# Installs the peers where they are missing, builds askonce in release, and measures all of them in one run:
#
#   benches/peers/run.sh                                        # everything
#   benches/peers/run.sh --only direct,nginx,askonce --scenario pass_0.2kB,exact_hit
#   benches/peers/run.sh --other before=PATH                    # a second askonce beside the first
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
benches/peers/install.sh
exec cargo bench --locked --bench peers -- "$@"
