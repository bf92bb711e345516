#!/usr/bin/env bash
# Build mmcv's operators on a CUDA machine, run the tests that need one, and measure steps there: 25 minutes at most,
# of which the operators take the first 6 or so on 16 cores, once.
#
#   bash benchmarks/gpu.sh [build] [check] [suite] [measure]     all four, one after the other, if none is named
#
# It installs nothing into the Python that it is given: what is missing there goes into an environment beside it.
#
#   PYTHON       an interpreter whose torch finds the GPU                      (python3)
#   WHEELS       a folder of wheels, and mmcv's source archive, for a machine without a network   (none: the index)
#   MMCV_WHEELS  where the built mmcv is kept, by Python, torch and card       (~/.cache/mmdet_kd)
#   SITE         the environment                                               (/tmp/mmdet_kd_site)
#   OUT          for logs and results                                          (benchmarks/results)
#   PIECES       leave a freshly built mmcv in OUT too, in pieces of this size ('15m', say); joined again from
#                MMCV_WHEELS or WHEELS
#   BUILD_LIMIT, CHECK_LIMIT, SUITE_LIMIT, MEASURE_LIMIT   seconds             (540, 150, 300, 540)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=$(command -v "${PYTHON:-python3}")
WHEELS=${WHEELS:+$(realpath "$WHEELS")}
SITE=${SITE:-/tmp/mmdet_kd_site}
OUT=$(realpath "${OUT:-benchmarks/results}")
MMCV_VERSION=2.1.0
# What mmdet needs beside torch; setuptools because mmcv's build and mmengine import pkg_resources, which 81 dropped.
PACKAGES=(mmdet==3.3.0 mmengine==0.10.7 'pycocotools>=2.0' 'tensorly>=0.9' 'setuptools>=77,<81' pytest pytest-timeout
    pytest-xdist ninja psutil scipy opencv-python-headless)

say() { printf '[gpu %4d s] %s\n' "$SECONDS" "$*"; }
fail() { say "failed: $*" >&2; exit 1; }

# nproc counts no more cores than OMP_NUM_THREADS names, which is 1 here.
CORES=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)

# An environment that sees what PYTHON sees, and comes before it.
make_site() {
    export PATH=$SITE/bin:$(dirname "$PYTHON"):$PATH PYTHONPATH=$PWD OMP_NUM_THREADS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
    [[ -f $SITE/.done ]] && return
    "$PYTHON" -m venv --without-pip "$SITE" || fail 'no environment'
    "$PYTHON" -c 'import site, sys
for path in sys.path:
    if path.endswith(("site-packages", "dist-packages")):
        print(f"import site; site.addsitedir({path!r})")' >"$("$SITE/bin/python" -c \
        'import sysconfig; print(sysconfig.get_path("purelib"))')/parent.pth"
    if [[ -n $WHEELS ]]; then
        "$SITE/bin/python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir "$WHEELS"/*.whl
    else
        "$SITE/bin/python" -m pip install -q "${PACKAGES[@]}"
    fi || fail 'packages do not install'
    touch "$SITE/.done"
    say 'packages are installed'
}

# The folder of this Python, torch and card.
key() {
    python -c 'import sys, torch
major, minor = torch.cuda.get_device_capability()
print(f"py{sys.version_info[0]}{sys.version_info[1]}-torch{torch.__version__}-sm{major}{minor}")'
}

install_mmcv() {
    python -c 'import torch, mmcv.ops' 2>/dev/null && return
    local folder wheel name
    folder=${MMCV_WHEELS:-$HOME/.cache/mmdet_kd}/$(key) || fail 'torch finds no GPU'
    mkdir -p "$folder" && folder=$(realpath "$folder")
    wheel=$(find "$folder" -name 'mmcv-*.whl' | head -n 1)
    name=$(find "$folder" ${WHEELS:+"$WHEELS"} -name 'mmcv-*.whl.part-aa' | head -n 1)
    if [[ -z $wheel && -n $name ]]; then
        wheel=$folder/$(basename "${name%.part-aa}")
        cat "${name%aa}"* >"$wheel"
    fi
    if [[ -z $wheel ]]; then
        build_mmcv "$folder"
        wheel=$(find "$folder" -name 'mmcv-*.whl' | head -n 1)
    fi
    python -m pip install -q --no-index --no-deps --no-cache-dir "$wheel" || fail "$wheel does not install"
    python -c 'import torch
from mmcv.ops import RoIAlign, nms
maps, rois = torch.ones(1, 1, 8, 8, device="cuda"), torch.tensor([[0, 0.0, 0, 8, 8]], device="cuda")
assert RoIAlign(2)(maps, rois).eq(1).all()' || fail "mmcv does not run on the GPU: remove $folder to build it anew"
    say "mmcv is installed from $wheel"
}

# Headers and libraries of CUDA that nvcc's own folder lacks may lie among the packages of torch.
find_missing_cuda() {
    local home extra
    home=$(python -c 'from torch.utils.cpp_extension import CUDA_HOME; print(CUDA_HOME or "")' 2>/dev/null)
    [[ -n $home ]] || fail "no nvcc: install the CUDA toolkit of torch's version, or name its folder with CUDA_HOME"
    extra=$(python -c 'import nvidia, pathlib
print(next((p for root in nvidia.__path__ for p in pathlib.Path(root).glob("cu1*") if (p / "include").is_dir()), ""))' 2>/dev/null)
    if [[ ! -e $home/include/cusparse.h && -n $extra ]]; then
        export CPLUS_INCLUDE_PATH=$extra/include:${CPLUS_INCLUDE_PATH:-}
        say "CUDA's libraries have their headers in $extra"
    fi
    if ! compgen -G "$home/lib*/libcudart.so" >/dev/null && [[ -n $extra ]]; then
        mkdir -p "$WORK/lib"
        ln -sf "$(find "$extra/lib" -name 'libcudart.so*' | head -n 1)" "$WORK/lib/libcudart.so"
        export LIBRARY_PATH=$WORK/lib:${LIBRARY_PATH:-}
    fi
    if [[ ! -e $(python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]]; then
        [[ -n $WHEELS ]] && compgen -G "$WHEELS/python*-include.tar.gz" >/dev/null || fail "Python's headers are missing"
        tar xzf "$WHEELS"/python*-include.tar.gz -C "$WORK"
        export CPLUS_INCLUDE_PATH=$(dirname "$(find "$WORK" -name Python.h | head -n 1)"):${CPLUS_INCLUDE_PATH:-}
    fi
}

build_mmcv() {
    local folder=$1 source log=$OUT/mmcv_build.log wheel status ninja
    WORK=$SITE/build  # kept when the time is over: the next call goes on with the files that are left
    mkdir -p "$WORK"
    find_missing_cuda
    source=$WORK/mmcv-$MMCV_VERSION
    if [[ -d $source ]]; then
        say "going on in $source"
    elif [[ -n $WHEELS ]]; then
        cp "$WHEELS/mmcv-$MMCV_VERSION.tar.gz" "$WORK/" || fail "$WHEELS has no mmcv-$MMCV_VERSION.tar.gz"
    else
        python -m pip download -q --no-deps --no-build-isolation --no-binary mmcv -d "$WORK" "mmcv==$MMCV_VERSION" ||
            fail "mmcv's source cannot be had"
    fi
    [[ -d $source ]] || tar xzf "$WORK/mmcv-$MMCV_VERSION.tar.gz" -C "$WORK"
    TORCH_CUDA_ARCH_LIST=$(python -c 'import torch; print("{}.{}".format(*torch.cuda.get_device_capability()))')
    say "building mmcv for compute capability $TORCH_CUDA_ARCH_LIST with ${MAX_JOBS:=$CORES} jobs; log in $log"
    # No debug information, and little optimisation of the host's side: both take longer than they are worth here.
    TORCH_CUDA_ARCH_LIST=$TORCH_CUDA_ARCH_LIST FORCE_CUDA=1 MMCV_WITH_OPS=1 MAX_JOBS=$MAX_JOBS \
        CFLAGS='-g0 -O1 -fwrapv -DNDEBUG' LDFLAGS=-s timeout "${BUILD_LIMIT:-540}" \
        python -m pip wheel -v --no-index --no-deps --no-build-isolation --no-cache-dir -w "$folder" "$source" \
        >"$log" 2>&1
    status=$?
    ((status != 124)) || fail "mmcv is not built in ${BUILD_LIMIT:-540} s; the same command goes on with it"
    if ((status)); then
        # ninja stops at the first file that fails; the others are tried too, so that one run names them all.
        ninja=$(find "$source/build" -name build.ninja 2>/dev/null | head -n 1)
        [[ -z $ninja ]] || timeout "${RETRY_LIMIT:-60}" ninja -k 0 -C "$(dirname "$ninja")" >>"$log" 2>&1
        grep -E '^FAILED|rror: ' "$log" | cut -c1-300 | sort -u | head -n 60 >&2
        tail -n 3 "$log" | cut -c1-500 >&2
        fail "mmcv does not build; the whole log is $log"
    fi
    wheel=$(find "$folder" -name 'mmcv-*.whl' | head -n 1)
    say "built $(du -h "$wheel" | cut -f1) $wheel"
    [[ -z ${PIECES:-} ]] || split -b "$PIECES" "$wheel" "$OUT/$(basename "$wheel").part-"
    rm -rf "$WORK"
}

# The tests that need a GPU, those that can run without one included. cuBLAS adds up in one order in such a workspace.
check() {
    say 'tests that need a GPU'
    CUBLAS_WORKSPACE_CONFIG=:4096:8 timeout "${CHECK_LIMIT:-150}" python -m pytest tests/test_cuda.py \
        tests/test_detectors/test_loss_guard.py -n "${CHECK_JOBS:-6}" -p no:cacheprovider --tb=short -rfExP \
        >"$OUT/gpu_check.log" 2>&1
    local status=$?
    grep -E '^E  .*(Error|assert)' "$OUT/gpu_check.log" | grep -v 'While copying' | cut -c1-300 | sort | uniq -c |
        sort -rn | head -n 30  # what one failure says a hundred times would crowd out the rest
    grep -E '^(FAILED|ERROR)|passed|failed' "$OUT/gpu_check.log" | cut -c1-250
    return $status
}

# The quick tests, whose trainings by a Runner run on the GPU here; without those of packaging and of documents, which
# read the repository's own environment, and those of benchmarks, which write other files on a GPU.
suite() {
    say 'quick tests'
    CUBLAS_WORKSPACE_CONFIG=:4096:8 timeout "${SUITE_LIMIT:-300}" python -m pytest -m 'not slow' -n "${SUITE_JOBS:-12}" \
        --ignore tests/test_packaging --ignore tests/test_docs --ignore tests/test_benchmarks --ignore tests/test_cuda.py \
        -p no:cacheprovider --tb=short --show-capture=no -rfE >"$OUT/gpu_suite.log" 2>&1
    local status=$?
    grep -E '^(FAILED|ERROR)|passed|failed' "$OUT/gpu_suite.log" | cut -c1-250 | tail -n 60
    return $status
}

# Steps, taxes and memory at the size of COCO's pictures, in single and in mixed precision.
measure() {
    say 'steps of 4 pictures of 800x1333'
    timeout "${MEASURE_LIMIT:-540}" python benchmarks/gpu_steps.py --repeats "${REPEATS:-20}" --results "$OUT" 2>&1 |
        tee "$OUT/gpu_measure.log"
}

main() {
    local part status=0
    mkdir -p "$OUT"
    make_site
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null
    python -c 'import sys, torch; print(sys.version.split()[0], torch.__version__, torch.cuda.is_available())'
    install_mmcv
    for part; do
        [[ $part == build ]] && continue  # done by now
        if "$part"; then say "$part: done"; else status=1 && say "$part: something failed"; fi
    done
    return $status
}

(($#)) || set -- build check suite measure
for part; do
    [[ $part =~ ^(build|check|suite|measure)$ ]] || fail "$part is none of build, check, suite, measure"
done
main "$@"
