#!/usr/bin/env bash
# Test under Slurm.
#
#   tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]
#
# Environment: GPUS (8), GPUS_PER_NODE (8; 0 for CPU ranks), TASKS_PER_NODE (GPUS_PER_NODE), CPUS_PER_TASK (5),
# SRUN_ARGS (more for srun). PYTHON names the interpreter (of the active environment, else of .venv).
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]" >&2
    exit 2
fi
PARTITION=$1 JOB_NAME=$2 CONFIG=$3 CHECKPOINT=$4
shift 4
# shellcheck source=tools/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
under_srun "$PARTITION" "$JOB_NAME" test.py "$CONFIG" "$CHECKPOINT" --launcher slurm "$@"
