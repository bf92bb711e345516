"""Every head that mmdet exports has a view, which answers or has a reason."""

import pytest
from mmdet.models import dense_heads, roi_heads
from mmdet.models.roi_heads import bbox_heads, mask_heads

from mmdet_kd.heads import BoxHeadView, DenseView, HeadView, MaskView, RoIView, RPNView, known_heads

#: What is no head of a detector by itself: bases, parts of mask heads, embeddings of trackers.
NO_HEADS = {
    'AnchorFreeHead',
    'AnchorHead',
    'BaseRoIHead',
    'FeatureAdaption',
    'YOLACTProtonet',
    'CondInstMaskHead',
    'BoxInstMaskHead',
    'ResLayer',
    'RoIEmbedHead',
    'QuasiDenseEmbedHead',
}
ROOMS = (dense_heads, bbox_heads, mask_heads, roi_heads)


def exported():
    return sorted({name for room in ROOMS for name in room.__all__ if name.endswith('Head')} - NO_HEADS)


def class_of(name):
    return next(getattr(room, name) for room in ROOMS if hasattr(room, name))


@pytest.mark.parametrize('name', exported())
def test_it_has_a_view(name):
    head, views = class_of(name), known_heads()
    found = [views[base] for base in head.__mro__ if base in views]
    assert found, f'{name} has no view'
    reasons = [found[0].cannot.get(question) for question in found[0].questions]
    assert all(reason is None or len(reason.split()) > 2 for reason in reasons)


def test_what_is_left_out_is_no_head_that_a_detector_trains_by_itself():
    assert not [name for name in NO_HEADS for room in ROOMS if getattr(room, name, None) in known_heads()]


@pytest.mark.parametrize('sort', [DenseView, RPNView, RoIView, BoxHeadView, MaskView])
def test_reasons_are_for_questions_that_are_asked(sort):
    views = {view for view in known_heads().values() if issubclass(view, sort)}
    assert views
    assert issubclass(sort, HeadView)
    for view in views:
        assert view.cannot.keys() <= view.questions.keys(), view
