# shellcheck shell=bash
# Sourced by dist_*.sh and slurm_*.sh.

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Unless told otherwise: the environment that is active, else the one that `make` has set up here, else any.
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python
    if [[ -z ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} && -x $TOOLS/../.venv/bin/python ]]; then
        PYTHON=$TOOLS/../.venv/bin/python
    fi
fi

# under_torchrun RANKS TOOL ARGUMENTS...
under_torchrun() {
    local ranks=$1 tool=$2 where cores
    shift 2
    if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
        where=(--standalone) # a free port
    else
        where=(--nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}"
            --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
    fi
    cores=$(nproc 2>/dev/null || echo 1)
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks ? cores / ranks : 1))}
    export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
    exec "$PYTHON" -m torch.distributed.run "${where[@]}" --nproc-per-node "$ranks" "$TOOLS/$tool" "$@"
}

# under_srun PARTITION JOB_NAME TOOL ARGUMENTS...
under_srun() {
    local partition=$1 job=$2 tool=$3 per_node=${GPUS_PER_NODE:-8} resources=()
    shift 3
    [[ $per_node == 0 ]] || resources=("--gres=gpu:$per_node")
    # SRUN_ARGS is split into words on purpose.
    # shellcheck disable=SC2086
    exec srun --partition "$partition" --job-name "$job" "${resources[@]}" --ntasks "${GPUS:-8}" \
        --ntasks-per-node "${TASKS_PER_NODE:-$per_node}" --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} "$PYTHON" -u "$TOOLS/$tool" "$@"
}
