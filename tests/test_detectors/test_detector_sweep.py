"""Every detector class and combination of heads of mmdet's zoo does what docs/detectors.md says of it."""

import inspect
from importlib.util import find_spec

import pytest
from detector_sweep import PACKAGES, TRAINS, configs, outcome_of, written_rows
from mmdet.models.detectors import BaseDetector, SingleStageDetector, TwoStageDetector
from mmdet.registry import MODELS

from mmdet_kd.detectors import why_no_student

ROWS = written_rows()


@pytest.mark.slow
@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.config)
def test_a_detector_of_the_zoo_does_what_the_table_says(row, tmp_path):
    lacking = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if row.outcome.partition(' needs ')[2] in set(PACKAGES.values()) - {*lacking}:
        pytest.skip('the table was written without a package that is installed here')
    assert outcome_of(row.config, tmp_path) == row.outcome


@pytest.mark.slow
def test_the_table_has_each_combination_of_the_zoo():
    assert {(row.detector, row.heads): row.config for row in ROWS} == configs()


def test_each_class_of_mmdet_trains_or_has_a_reason():
    registered = {
        kind for kind in MODELS.module_dict.values() if inspect.isclass(kind) and issubclass(kind, BaseDetector)
    }
    classes = {kind for kind in registered if kind.__module__.startswith('mmdet.') and not inspect.isabstract(kind)}
    train = {MODELS.get(row.detector) for row in ROWS if row.outcome.startswith(TRAINS)}
    rest = {kind for kind in classes if not any(issubclass(each, kind) for each in train)}
    assert {SingleStageDetector, TwoStageDetector} <= classes - rest
    lacking = {kind.__name__ for kind in rest if why_no_student(kind) is None}
    assert lacking == {'BoxInst', 'CrowdDet'}  # scikit-image, torchvision
    assert not [row for row in ROWS if row.outcome.startswith('FAILS')]
