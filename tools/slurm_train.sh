#!/usr/bin/env bash
# Train under Slurm.
#
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
#
# Environment: GPUS (8), GPUS_PER_NODE (8; 0 for CPU ranks), TASKS_PER_NODE (GPUS_PER_NODE), CPUS_PER_TASK (5),
# SRUN_ARGS (more for srun). PYTHON names the interpreter (of the active environment, else of .venv).
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]" >&2
    exit 2
fi
PARTITION=$1 JOB_NAME=$2 CONFIG=$3 WORK_DIR=$4
shift 4
# shellcheck source=tools/launch.sh
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"
under_srun "$PARTITION" "$JOB_NAME" train.py "$CONFIG" --work-dir "$WORK_DIR" --launcher slurm "$@"
