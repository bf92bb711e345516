# shellcheck shell=bash
# Sourced by slurm_train.sh and slurm_test.sh.

# launch PARTITION JOB_NAME TOOL ARGUMENTS...: run a tool of this folder under srun.
launch() {
    local partition=$1 job=$2 tool=$3 folder per_node resources=()
    shift 3
    folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    per_node=${GPUS_PER_NODE:-8}
    [[ $per_node == 0 ]] || resources=("--gres=gpu:$per_node")
    # SRUN_ARGS is split into words on purpose.
    # shellcheck disable=SC2086
    exec srun --partition "$partition" --job-name "$job" "${resources[@]}" --ntasks "${GPUS:-8}" \
        --ntasks-per-node "${TASKS_PER_NODE:-$per_node}" --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} "${PYTHON:-python}" -u "$folder/$tool" "$@"
}
