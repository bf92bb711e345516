"""Each loss of each distiller: accepted where it compares what it is given, refused with the cure elsewhere."""

import inspect
import re

import pytest
import torch
from helpers.architectures import faster
from helpers.classifier import KD_LOC, classifier_of
from helpers.distil import BOUNDED, SOFT, build, distilled_cfg
from helpers.one_stage import retinanet, ssd
from helpers.two_stage import with_masks
from mmdet.models.losses import L1Loss
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor, nn

import mmdet_kd.distillers
from mmdet_kd import losses
from mmdet_kd.distillers import BaseDistiller, Model, ModelPair
from mmdet_kd.errors import DistillationError

LOSSES = {
    'hint': dict(type='HintLoss'),
    'channel-wise': dict(type='CWDLoss'),
    'pearson': dict(type='PKDLoss'),
    'weighted': dict(type='ClassWeightedSoftCrossEntropyLoss'),
    'kl': dict(type='SoftenedKLLoss'),
    'kl of sigmoids': dict(type='SoftenedKLLoss', use_sigmoid=True),
    'bce': dict(type='SoftenedBCELoss'),
    'relations': dict(type='DISTLoss'),
    'relations of sigmoids': dict(type='DISTLoss', use_sigmoid=True),
    'bounded': dict(type='TeacherBoundedL2Loss'),
    # mmdet's that are known
    'l1': dict(type='L1Loss'),
    'smooth l1': dict(type='SmoothL1Loss'),
    'mse': dict(type='MSELoss'),
    'kl of mmdet': dict(type='KnowledgeDistillationKLDivLoss'),
    # mmdet's that are not
    'focal': dict(type='FocalLoss'),
    'cross entropy': dict(type='CrossEntropyLoss'),
    'iou': dict(type='GIoULoss'),
}
SOFTMAX, SIGMOID, BOXES = {'weighted', 'kl', 'kl of mmdet', 'relations'}, {'kl of sigmoids', 'bce'}, {'bounded'}
MAPS = {'l1', 'smooth l1', 'mse'}
ALL = dict(priors='all')  # as losses of relations ask for
RELATIONS = {'relations of sigmoids'}
OF_FEATURES = {'hint', 'channel-wise', 'pearson'}  # without an avg_factor


def told(kind):
    """What a loss has to be told when it is built."""
    parameters = inspect.signature(kind).parameters.items()
    return [name for name, parameter in parameters if parameter.default is parameter.empty]


def sigmoid(cfg):
    """Faster R-CNN whose box head scores by sigmoids."""
    cfg = faster(cfg)
    cfg.model.roi_head.bbox_head.loss_cls = dict(type='CrossEntropyCustomLoss', use_sigmoid=True, num_classes=3)
    return cfg


def classifier(cfg):
    return Config(classifier_of(cfg))


CONV = dict(adapter=dict(type='ConvAdapter'))
SLOTS = [  # student, teacher, distiller, its other settings, name of the loss, what is given, what is accepted
    (faster, faster, 'FeatureDistiller', CONV, 'loss', 'maps', MAPS | OF_FEATURES),
    (faster, faster, 'RPNDistiller', {}, 'loss_cls', 'softmax scores', SOFTMAX - {'relations'}),
    (faster, faster, 'RPNDistiller', {}, 'loss_bbox', 'boxes', BOXES),
    (faster, faster, 'RoIDistiller', {}, 'loss_cls', 'softmax scores', SOFTMAX),
    (sigmoid, sigmoid, 'RoIDistiller', {}, 'loss_cls', 'softmax scores', SOFTMAX),  # brought to a softmax
    (faster, faster, 'RoIDistiller', {}, 'loss_bbox', 'boxes', BOXES),
    (with_masks, with_masks, 'MaskDistiller', {}, 'loss_mask', 'sigmoid scores', SIGMOID | RELATIONS),
    (retinanet, retinanet, 'DenseHeadDistiller', ALL, 'loss_cls', 'sigmoid scores', SIGMOID | RELATIONS),
    (ssd, ssd, 'DenseHeadDistiller', ALL, 'loss_cls', 'softmax scores', SOFTMAX),
    (retinanet, retinanet, 'DenseHeadDistiller', {}, 'loss_bbox', 'maps', MAPS | {'iou'}),
    (retinanet, classifier, 'ClassifierClsDistiller', {}, 'loss_cls', 'sigmoid scores', SIGMOID | RELATIONS),
    (sigmoid, classifier, 'ClassifierClsDistiller', {}, 'loss_cls', 'sigmoid scores', SIGMOID | RELATIONS),
    (ssd, classifier, 'ClassifierClsDistiller', {}, 'loss_cls', 'softmax scores', SOFTMAX),
    (faster, classifier, 'ClassifierClsDistiller', {}, 'loss_cls', 'softmax scores', SOFTMAX),
    # called with an avg_factor, which a HintLoss and its like have not
    (faster, classifier, 'ClassifierLocDistiller', dict(layers=KD_LOC['layers']), 'loss_loc', 'maps', MAPS),
]

#: Losses that compare the right thing, and cannot be called so.
CALLED_OTHERWISE = {
    ('ClassifierLocDistiller', 'loss_loc'): OF_FEATURES,
    ('DenseHeadDistiller', 'loss_bbox'): OF_FEATURES,
    ('RPNDistiller', 'loss_cls'): {'relations'},  # of two scores
}


def assert_in_single_precision(loss, given):
    """Law 6: under autocast the loss is that of the same numbers in float32."""
    shape, count = {'maps': ((2, 3, 4, 4), 2), 'boxes': ((6, 4), 3)}.get(given, ((6, 4), 2))
    halves = [torch.randn(shape, generator=torch.Generator().manual_seed(i)).bfloat16() for i in range(count)]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = loss(*halves)
    assert found.dtype == torch.float32
    assert found.item() == loss(*(half.float() for half in halves)).item()


def pair_of(student, teacher):
    return ModelPair(
        *(Model(n, build(c, init=False), c.model) for n, c in (('student', student), ('teacher', teacher)))
    )


@pytest.mark.parametrize(('student', 'teacher', 'kind', 'settings', 'name', 'given', 'accepted'), SLOTS)
def test_a_loss_is_accepted_just_where_it_compares_what_it_is_given(
    student_cfg, student, teacher, kind, settings, name, given, accepted
):
    pair, problems = pair_of(student(student_cfg), teacher(student_cfg)), {}
    for loss, cfg in LOSSES.items():
        try:
            distiller = MODELS.build({'type': kind, 'pair': pair, **settings, name: cfg})
            assert_in_single_precision(getattr(distiller, name), 'boxes of both' if loss == 'iou' else given)
        except DistillationError as error:
            (problems[loss],) = error.problems
    assert set(LOSSES) - set(problems) == accepted
    for loss, problem in problems.items():
        if loss in CALLED_OTHERWISE.get((kind, name), ()):
            assert ' cannot be used here: ' in problem
            continue
        assert problem.startswith(f'{kind}: {name} is given {given}, and '), loss
        cured = {LOSSES[each]['type'] for each in accepted if not each.endswith('mmdet')}
        assert cured & set(re.findall(r'\w+', problem.rpartition('take ')[2])), loss


def test_the_tables_above_name_every_loss_and_every_place_for_one():
    ours = [each for each in map(vars(losses).get, losses.__all__) if issubclass(each, nn.Module)]
    # those that ask for a frame, or have to be told of their level, are tried in test_map_losses.py
    alone = {each.__name__ for each in ours if not getattr(each, 'needs_frame', False) and not told(each)}
    assert {cfg['type'] for cfg in LOSSES.values()} >= alone
    kinds = [getattr(mmdet_kd.distillers, name) for name in mmdet_kd.distillers.__all__]
    places = {
        (kind.__name__, argument)
        for kind in kinds
        if kind in MODELS.module_dict.values()
        for argument in inspect.signature(kind).parameters
        if argument.startswith('loss')
    }
    assert places == {(kind, name) for _, _, kind, _, name, _, _ in SLOTS}


class Apart(nn.Module):
    """A loss of a user's."""

    def forward(self, first: Tensor, second: Tensor, weight: Tensor | None = None, avg_factor: float = 1.0) -> Tensor:
        return (first - second).abs().sum() / avg_factor


def apart(compares):
    return type('Apart', (Apart,), {'compares': compares})


class Shifted(L1Loss):
    """What a subclass of a loss that is known does with its inputs, nobody knows."""


def problems_of(cfg):
    with pytest.raises(DistillationError) as caught:
        build(cfg, init=False)
    return caught.value.problems


class TestInAWholeDetector:
    def of(self, student_cfg, teacher_cfg, **losses):
        return distilled_cfg(student_cfg, teacher_cfg, None, roi=dict(type='RoIDistiller', **losses))

    def test_softmax_on_sigmoids(self, student_cfg, teacher_cfg):
        dense = dict(type='DenseHeadDistiller', loss_cls=SOFT)
        (problem,) = problems_of(distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, dense=dense))
        assert problem == (
            'distillers.dense: DenseHeadDistiller: loss_cls is given sigmoid scores, and '
            'ClassWeightedSoftCrossEntropyLoss compares softmax scores: '
            'take SoftenedBCELoss, or SoftenedKLLoss or DISTLoss with use_sigmoid=True'
        )

    def test_a_loss_that_can_be_set_right(self, student_cfg, teacher_cfg):
        cfg = self.of(student_cfg, teacher_cfg, loss_cls=LOSSES['kl of sigmoids'])
        assert 'set loss_cls.use_sigmoid=False, or take' in problems_of(cfg)[0]

    def test_every_loss_that_is_wrong_is_listed(self, student_cfg, teacher_cfg):
        cfg = self.of(student_cfg, teacher_cfg, loss_cls=BOUNDED, loss_bbox=SOFT)
        cfg.model.teacher.config.model.roi_head.bbox_head.num_classes = 5
        first, second, third = problems_of(cfg)
        assert 'loss_cls is given softmax scores, and TeacherBoundedL2Loss compares boxes' in first
        assert 'loss_bbox is given boxes, and ClassWeightedSoftCrossEntropyLoss compares softmax scores' in second
        assert 'the student knows 3 classes, the teacher 5' in third

    def test_a_loss_that_does_not_say_what_it_compares(self, student_cfg, teacher_cfg):
        for kind in (Apart, Shifted):
            (problem,) = problems_of(self.of(student_cfg, teacher_cfg, loss_cls=dict(type=kind)))
            assert f'what {kind.__name__} compares is not known' in problem
            assert "set compares = 'softmax scores' in its class, or in a subclass of your own" in problem

    def test_a_loss_that_says_it(self, student_cfg, teacher_cfg):
        build(self.of(student_cfg, teacher_cfg, loss_cls=dict(type=apart('softmax scores'))), init=False)
        (problem,) = problems_of(self.of(student_cfg, teacher_cfg, loss_cls=dict(type=apart('scores'))))
        assert (
            "must be one of 'maps', 'softmax scores', 'sigmoid scores', 'boxes', 'decoded boxes', not 'scores'"
            in problem
        )

    def test_a_loss_that_is_no_scalar(self, student_cfg, teacher_cfg):
        hint = dict(type='FeatureDistiller', **CONV, loss=dict(type='L1Loss', reduction='none'))
        (problem,) = problems_of(distilled_cfg(student_cfg, teacher_cfg, None, hint=hint))
        assert 'loss cannot be used here: it returns a tensor of shape (1, 32, 2, 2), not a scalar' in problem

    def test_a_distiller_that_does_not_look_at_its_problems(self, student_cfg, teacher_cfg):
        class Careless(BaseDistiller):
            def __init__(self, pair, loss):
                super().__init__()
                self.loss = self._build_loss('loss', loss, 'boxes', lambda built: built(None))

            def forward(self, student, teacher, step):
                return {}

        careless = dict(type=Careless, loss=dict(type='HintLoss'))
        (problem,) = problems_of(distilled_cfg(student_cfg, teacher_cfg, None, careless=careless))
        assert 'distillers.careless: Careless: loss is given boxes, and HintLoss compares maps' in problem
