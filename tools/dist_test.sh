#!/usr/bin/env bash
# Test on several ranks of this machine: GPUs, or CPU processes where there are none.
#
#   tools/dist_test.sh CONFIG CHECKPOINT RANKS [options of test.py]
#
# Environment, for several machines: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (29500; on one machine
# any free one). PYTHON names the interpreter (of the active environment, else of .venv).
set -euo pipefail

if [[ $# -lt 3 || ! $3 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: $0 CONFIG CHECKPOINT RANKS [options of test.py]" >&2
    exit 2
fi
CONFIG=$1 CHECKPOINT=$2 RANKS=$3
shift 3
# shellcheck source=tools/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
under_torchrun "$RANKS" test.py "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
