#!/usr/bin/env bash
# Make .venv hold everything that `make demo`, `make test` and `make site` need.
#
# Each step leaves a stamp in .venv, so a run that was interrupted or failed
# goes on where it stopped, and a run on a finished set-up does nothing.
#
#   PYTHON    the interpreter to start from          (python3.11, else python3)
#   TORCH     a pip requirement for torch            (the CPU build, or the CUDA one where a GPU is found)
#   MAX_JOBS  parallel compilers for mmcv            (the number of cores)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

VENV=$PWD/.venv
TORCH_VERSION=2.13.0
MMCV_VERSION=2.1.0
MIM_VERSION=0.3.9
PIP=("$VENV/bin/python" -m pip --disable-pip-version-check)
LOG=$VENV/set_up.log

fail() { printf '\nset-up failed: %s\n' "$1" >&2; exit 1; }

# run_step NAME COMMAND...: run COMMAND, its output in the log. bash's -e is off inside it: commands there chain with &&.
run_step() {
    local name=$1; shift
    printf '[set-up] %s\n' "$name"
    if ! "$@" >>"$LOG" 2>&1; then
        tail -n 25 "$LOG" >&2
        fail "the step '$name'. Its whole output is in $LOG; run the same command again to continue from this step."
    fi
}

# step NAME KEY COMMAND...: the same, unless COMMAND succeeded before with the same KEY.
step() {
    local name=$1 key=$2 stamp=$VENV/.done-$1; shift 2
    [[ -f $stamp && $(<"$stamp") == "$key" ]] && return
    run_step "$name" "$@"
    printf '%s' "$key" >"$stamp"
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep GPU >/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"; return
        fi
    done
    fail "Python 3.11 is needed (tried: ${PYTHON:-python3.11 python3}). Name one with PYTHON=/path/to/python3.11."
}


install_torch() {
    "${PIP[@]}" install "${TORCH_ARGS[@]}" "$TORCH" &&
        "${PIP[@]}" install 'setuptools>=77.0.3,<81' wheel ninja psutil numpy
}

check_compilers() {
    local headers; headers=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    command -v "${CXX:-c++}" >/dev/null ||
        fail "a C++ compiler is needed to compile mmcv's operators. On Debian and Ubuntu: apt install g++."
    [[ -f $headers/Python.h ]] ||
        fail "Python's headers are needed to compile mmcv's operators ($headers/Python.h). On Debian and Ubuntu: apt install python3.11-dev."
}

# pip's own wheel cache does not know which torch a wheel was compiled for: keep one that does.
build_mmcv() {
    local folder=$1 fresh
    mkdir -p "$folder" || return
    exec 9>"$folder/.lock"; flock 9 # two set-ups at once compile it once
    compgen -G "$folder/mmcv-*.whl" >/dev/null && return
    fresh=$(mktemp -d "$folder/build.XXXXXX")
    MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(nproc)} "${PIP[@]}" wheel --no-cache-dir --no-build-isolation \
        --no-deps --no-binary mmcv -w "$fresh" "mmcv==$MMCV_VERSION" || { rm -rf "$fresh"; return 1; }
    if ! "$VENV/bin/python" -m zipfile -l "$fresh"/mmcv-*.whl | grep 'mmcv/_ext' >/dev/null; then
        rm -rf "$fresh"
        echo "mmcv was built without its compiled operators (mmcv._ext). Is a C++ compiler installed (g++ --version)?"
        return 1
    fi
    mv "$fresh"/mmcv-*.whl "$folder/" && rmdir "$fresh"
}

check_mmcv() { "$VENV/bin/python" -c 'from mmcv.ops import RoIAlign, nms'; }

install_mmcv() {
    "${PIP[@]}" install -c tools/dev/constraints.txt "$1"/mmcv-*.whl || return
    if ! check_mmcv; then
        rm -f "$1"/mmcv-*.whl
        echo "mmcv's compiled operators do not load; its cached wheel was removed and will be compiled anew."
        return 1
    fi
}

# openmim's own dependencies pull in setuptools 60, which breaks torch: it gets what it uses, by name.
install_packages() {
    "${PIP[@]}" install -c tools/dev/constraints.txt -r tools/dev/requirements.txt &&
        "${PIP[@]}" install --no-deps "openmim==$MIM_VERSION"
}

install_project() { "${PIP[@]}" install -c tools/dev/constraints.txt -e .; }

main() {
    local python wheels
    if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit 1 # it has said why
        rm -rf "$VENV"
        "$python" -m venv "$VENV" ||
            fail "$python cannot make a virtual environment. On Debian and Ubuntu: apt install python3.11-venv."
    fi
    check_compilers

    TORCH_ARGS=()
    if [[ -z ${TORCH:-} && -f $VENV/.done-torch ]]; then
        TORCH=$(<"$VENV/.done-torch") # what was asked for when this environment was made
    elif [[ -z ${TORCH:-} ]]; then
        if has_gpu; then
            TORCH=torch==$TORCH_VERSION
        else
            TORCH=torch==$TORCH_VERSION+cpu
            TORCH_ARGS=(--extra-index-url https://download.pytorch.org/whl/cpu --retries 1)
        fi
    fi
    step "torch" "$TORCH" install_torch

    local key; key=$("$VENV/bin/python" -c 'import sys, torch; print(f"py{sys.version_info[0]}.{sys.version_info[1]}-torch{torch.__version__}")')
    if has_gpu && "$VENV/bin/python" -c 'import sys, torch; sys.exit(torch.version.cuda is None)'; then
        [[ -x ${CUDA_HOME:-/usr/local/cuda}/bin/nvcc ]] || command -v nvcc >/dev/null ||
            fail "nvcc is needed to compile mmcv's CUDA operators: install the CUDA toolkit of torch's version, or take the CPU with TORCH=torch==$TORCH_VERSION+cpu in a fresh .venv."
        TORCH_CUDA_ARCH_LIST=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | sort -u | paste -sd';')
        export TORCH_CUDA_ARCH_LIST FORCE_CUDA=1
        key+=-sm${TORCH_CUDA_ARCH_LIST//[.;]/}
    fi
    key+=-mmcv$MMCV_VERSION
    wheels=${XDG_CACHE_HOME:-$HOME/.cache}/mmdet_kd/$key
    if ! compgen -G "$wheels/mmcv-*.whl" >/dev/null; then
        echo "[set-up] compiling mmcv's operators once for this machine: about 10 minutes on 2 cores (follow $LOG)"
        run_step "mmcv-wheel" build_mmcv "$wheels"
    fi
    step "mmcv" "$key" install_mmcv "$wheels"
    step "packages" "$(cat tools/dev/requirements.txt tools/dev/constraints.txt | cksum)" install_packages
    # An editable install holds copies of configs/ and tools/, for mim: another install when they change.
    step "mmdet_kd" "$(find pyproject.toml mmdet_kd/version.py configs tools -type f ! -name '*.pyc' -exec cksum {} + | sort | cksum)" \
        install_project
    check_mmcv || fail "mmcv's compiled operators do not load. Remove .venv and run the same command again."
}

main
