# shellcheck shell=bash
# Sourced by dist_train.sh and dist_test.sh.

# launch RANKS TOOL ARGUMENTS...: run a tool of this folder under torchrun.
launch() {
    local ranks=$1 tool=$2 folder where cores
    shift 2
    folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
        where=(--standalone) # a free port
    else
        where=(--nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}"
            --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
    fi
    cores=$(nproc 2>/dev/null || echo 1)
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores > ranks ? cores / ranks : 1))}
    exec "${PYTHON:-python}" -m torch.distributed.run "${where[@]}" --nproc-per-node "$ranks" "$folder/$tool" "$@"
}
