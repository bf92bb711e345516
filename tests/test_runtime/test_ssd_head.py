"""SSD predicts, which mmdet 3.3.0 alone does not."""

import subprocess
import sys

import pytest
from helpers.distil import build, raw_batch
from helpers.one_stage import ssd


def test_a_plain_ssd_predicts(student_cfg):
    assert build(ssd(student_cfg)).eval().test_step(raw_batch())


@pytest.mark.slow
def test_it_is_still_needed():
    """Where this fails, mmdet has mended it: take mmdet_kd/runtime/ssd_head.py out."""
    code = """
from mmdet.models.dense_heads import SSDHead
anchors = dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[8])
print(hasattr(SSDHead(in_channels=[8], anchor_generator=anchors), 'loss_cls'))
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == 'False'
