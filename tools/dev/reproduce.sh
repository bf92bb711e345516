#!/usr/bin/env bash
# Train what the papers report, and take what we measure into the metafiles: docs/reproduction.md.
#
#   tools/dev/reproduce.sh [--list] [NAME ...]
#
# Environment: GPUS (8) of this machine that train together, DATA (data), the folder that holds coco/, VOCdevkit/ and
# kitti/. PYTHON names the interpreter (of the active environment, else of .venv).
set -euo pipefail
if [[ -n ${DATA:-} ]]; then
    DATA=$(realpath -m "$DATA") # seen from where it was called
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tools/launch.sh
source tools/launch.sh
exec "$PYTHON" tools/dev/reproduce.py "$@"
