"""What counts as another order of the classes, from what a teacher calls the objects."""

import pytest
import torch

from mmdet_kd.checks.class_order import exchanged_names, renamed, what_is_called
from mmdet_kd.checks.pictures import Pictures


@pytest.mark.parametrize(
    ('called', 'exchanged'),
    [
        ({0: {1: 9, 0: 1}, 1: {2: 8}, 2: {0: 7}}, {0: 1, 1: 2, 2: 0}),  # turned round
        ({0: {0: 9}, 1: {2: 8}, 2: {1: 7}, 3: {3: 9}, 4: {4: 5}}, {1: 2, 2: 1}),  # two of many
        ({0: {5: 9}, 1: {6: 8}}, {0: 5, 1: 6}),  # by names of classes that the pictures do not show
        ({0: {0: 9}, 1: {1: 8, 0: 3}}, {}),  # right, with errors
        ({0: {0: 9}, 1: {0: 8}, 2: {0: 9}}, {}),  # all the same: badly trained
        ({0: {3: 9}, 1: {3: 8}, 2: {3: 9}}, {}),
        ({0: {0: 9}, 1: {1: 9}, 2: {1: 8}}, {}),  # buses called trucks
        ({0: {0: 9}, 1: {1: 9}, 2: {5: 8}}, {}),  # chairs called armchairs, which the pictures do not show
        ({0: {1: 2}, 1: {0: 2}}, {}),  # too few to tell
        ({0: {1: 4, 0: 3, 2: 3}, 1: {0: 4, 1: 3, 2: 3}}, {}),  # guesses
        ({}, {}),
    ],
)
def test_an_order_is_wrong_where_names_are_exchanged(called, exchanged):
    assert exchanged_names(called) == exchanged


def detections(*found):
    boxes, scores, labels = zip(*found, strict=True) if found else ((), (), ())
    return dict(
        pred_instances=dict(
            bboxes=torch.tensor(boxes).view(-1, 4).float(), scores=torch.tensor(scores), labels=torch.tensor(labels)
        )
    )


def test_the_detection_of_the_highest_score_names_an_object():
    box, beside = [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]
    truths = [
        [dict(bbox=box, bbox_label=2, ignore_flag=0), dict(bbox=beside, bbox_label=1, ignore_flag=0)],
        [dict(bbox=box, bbox_label=2, ignore_flag=0), dict(bbox=box, bbox_label=0, ignore_flag=1)],
        [],
        [dict(bbox=box, bbox_label=1, ignore_flag=0)],
    ]
    half = [0.0, 0.0, 10.0, 5.0]  # overlaps it by half
    less = [0.0, 0.0, 10.0, 4.9]
    found = [
        detections((box, 0.3, 2), (half, 0.6, 0), (less, 0.9, 1)),
        detections((box, 0.3, 2)),
        detections((box, 0.3, 2)),
        detections(),
    ]
    called = what_is_called(found, Pictures([{}] * 4, truths, ('a', 'b', 'c'), 'validation'))
    assert {label: dict(names) for label, names in called.items()} == {2: {0: 1, 2: 1}}


def test_renamed_detections_have_the_names_of_the_objects():
    (sample,) = renamed([detections(*(([0, 0, 1, 1], 0.5, label) for label in (0, 1, 2, 3)))], {0: 1, 1: 2, 2: 0})
    assert sample['pred_instances']['labels'].tolist() == [2, 0, 1, 3]
