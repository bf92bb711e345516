"""A detector that is used without a Runner leaves the process as it found it."""

import os
import subprocess
import sys

import pytest
from helpers.tiny import REPO

# A process of its own: in one that has had a Runner, or another test, the fault would not show.
CHILD = """
import sys, threading
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.distil import build, distilled_cfg
from mmdet.utils import register_all_modules
from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer

register_all_modules()
build(distilled_cfg(*(make(sys.argv[1], 'unused') for make in (tiny_student_cfg, tiny_teacher_cfg)), None))
got = []
for kind in (MMLogger, Visualizer):
    thread = threading.Thread(target=lambda: got.append(kind.get_instance('of another thread')), daemon=True)
    thread.start()
    thread.join(20)  # takes no time, or for ever
print([type(each).__name__ for each in got])
"""


@pytest.mark.slow
def test_other_threads_can_log_and_draw_after_init_weights(tiny_set):
    """mmengine keeps its loggers and visualizers under one lock, which it does not release where it raises."""
    done = subprocess.run(
        [sys.executable, '-c', CHILD, str(tiny_set)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(REPO / 'tests'), str(REPO)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "['MMLogger', 'Visualizer']"
