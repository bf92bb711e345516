"""Which share of a classification loss the labels have, and which each teacher, in the losses of real detectors.

Every factor is a ratio of two runs with the same weights, pictures and draws: to the plain student for the labels, and
to a detector with that distiller alone and mu 0 for a teacher.
"""

import copy

import pytest
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.architectures import cascade, faster
from helpers.classifier import classifier_of, kd_cls
from helpers.distil import BOUNDED, HINT, SOFT, build, distilled_cfg, losses_of, raw_batch
from helpers.training import distilled_run, train
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS

from mmdet_kd.heads import RoIView, register_view

KL = {'type': 'SoftenedKLLoss'}
#: Three distillers of the RoI head and two of the RPN, whose soft losses differ in size.
DISTILLERS = {
    'roi': {'type': 'RoIDistiller', 'loss_cls': SOFT, 'mu': 0.0},
    'roi_kl': {'type': 'RoIDistiller', 'loss_cls': KL, 'mu': 0.0},
    'roi_both': {'type': 'RoIDistiller', 'loss_cls': {**KL, 'temperature': 3.0}, 'loss_bbox': BOUNDED, 'mu': 0.0},
    'rpn': {'type': 'RPNDistiller', 'loss_cls': SOFT, 'mu': 0.0},
    'rpn_kl': {'type': 'RPNDistiller', 'loss_cls': KL, 'mu': 0.0},
}


class Runs:
    """The plain student, each distiller alone, and all of them together, on one batch."""

    def __init__(self, student, teacher):
        self.batch = raw_batch()
        self.plain = losses_of(build(student), self.batch)
        self.alone = {
            name: losses_of(build(distilled_cfg(student, teacher, None, **{name: cfg})), self.batch)
            for name, cfg in DISTILLERS.items()
        }
        self.detector = build(distilled_cfg(student, teacher, None, **DISTILLERS))

    def factors(self, **numbers):
        """Of each own loss, and of the soft loss of each distiller.

        Args:
            **numbers: name of a distiller -> mu, or mu and weight; those not named have weight 0.
        """
        detector = copy.deepcopy(self.detector)
        for name, distiller in detector.distillers.items():
            mu, weight = (*numbers[name], 1.0)[:2] if name in numbers else (0.0, 0.0)
            distiller.mu, distiller.weight = mu, weight
        return self.compared(losses_of(detector, self.batch))

    def compared(self, losses):
        own = {name: _sum(losses[name]) / _sum(value) for name, value in self.plain.items() if 'loss' in name}
        soft = {
            name: _sum(losses[f'{name}.loss_cls']) / _sum(alone[f'{name}.loss_cls'])
            for name, alone in self.alone.items()
        }
        return own, soft


def _sum(loss):
    return sum(level.item() for level in loss) if isinstance(loss, list) else loss.item()


@pytest.fixture(scope='module', params=[faster, pytest.param(cascade, marks=pytest.mark.slow)])
def runs(request, tiny_set, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    return Runs(request.param(tiny_student_cfg(tiny_set, folder)), tiny_teacher_cfg(tiny_set, folder))


@pytest.mark.parametrize(
    ('numbers', 'roi', 'rpn', 'soft'),
    [
        # one: mu for the labels
        ({'roi': [0.3]}, 0.3, 1, {'roi': 0.7}),
        ({'rpn': [0.3]}, 1, 0.3, {'rpn': 0.7}),
        # n: the mean of mu for the labels
        ({'roi': [0.5], 'roi_kl': [0.5]}, 0.5, 1, {'roi': 0.25, 'roi_kl': 0.25}),
        ({'roi': [0.2], 'roi_kl': [0.6]}, 0.4, 1, {'roi': 0.4, 'roi_kl': 0.2}),
        ({'roi': [0.1], 'roi_kl': [0.4], 'roi_both': [0.7]}, 0.4, 1, {'roi': 0.3, 'roi_kl': 0.2, 'roi_both': 0.1}),
        ({'rpn': [0.1], 'rpn_kl': [0.5]}, 1, 0.3, {'rpn': 0.45, 'rpn_kl': 0.25}),
        # all for the labels is a claim as well
        ({'roi': [1.0], 'roi_kl': [0.5]}, 0.75, 1, {'roi_kl': 0.25}),
        # the two heads share nothing
        ({'roi': [0.2], 'rpn': [0.7]}, 0.2, 0.7, {'roi': 0.8, 'rpn': 0.3}),
        ({'roi': [0.2], 'rpn': [0.4], 'rpn_kl': [0.8]}, 0.2, 0.6, {'roi': 0.8, 'rpn': 0.3, 'rpn_kl': 0.1}),
        # weights on the way to 0
        ({'roi': [0.5, 0.5], 'roi_kl': [0.5, 0.5]}, 0.75, 1, {'roi': 0.125, 'roi_kl': 0.125}),
        ({'roi': [0.2, 1.0], 'roi_kl': [0.8, 0.5]}, 13 / 30, 1, {'roi': 16 / 30, 'roi_kl': 1 / 30}),
        ({}, 1, 1, {}),
    ],
)
def test_the_shares(runs, numbers, roi, rpn, soft):
    own, found = runs.factors(**numbers)
    for name, factor in own.items():
        expected = {'loss_cls': roi, 'loss_rpn_cls': rpn}.get(name.rpartition('.')[2], 1)
        assert factor == pytest.approx(expected, rel=1e-5), name
    assert found == pytest.approx(dict.fromkeys(DISTILLERS, 0) | soft, rel=1e-4)


def test_all_loss_weights_of_zero_claim_nothing(runs):
    detector = copy.deepcopy(runs.detector)
    for name, distiller in detector.distillers.items():
        distiller.mu = 0.2
        if name not in ('roi', 'rpn'):
            distiller.loss_cls.loss_weight = 0.0  # of roi_both the regression still counts
    own, soft = runs.compared(losses_of(detector, runs.batch))
    for name in own:
        expected = 0.2 if name.endswith(('loss_cls', 'loss_rpn_cls')) else 1
        assert own[name] == pytest.approx(expected, rel=1e-5), name
    assert soft == pytest.approx({'roi': 0.8, 'rpn': 0.8, 'roi_kl': 0, 'roi_both': 0, 'rpn_kl': 0}, rel=1e-5)


def test_what_adds_to_the_students_losses_claims_nothing(student_cfg, teacher_cfg):
    """A hint and a classifier's scores leave hard and soft to the RoIDistiller."""
    batch, roi = raw_batch(), {'type': 'RoIDistiller', 'loss_cls': SOFT, 'mu': 0.3}
    found = {}
    for case, distillers in {'roi': {'roi': roi}, 'all': {'roi': roi, 'hint': HINT, 'kd_cls': kd_cls()}}.items():
        cfg = distilled_cfg(student_cfg, None, None, **distillers)
        classifier = {'type': 'ClassifierTeacher', 'config': classifier_of(student_cfg), 'checkpoint': None}
        del cfg.model['teacher']
        cfg.model.teachers = {'detector': {'config': teacher_cfg, 'checkpoint': None}}
        if case == 'all':
            cfg.model.teachers['classifier'] = classifier
        found[case] = losses_of(build(cfg), batch)
    plain = losses_of(build(student_cfg), batch)
    for losses in found.values():
        assert losses['loss_cls'].item() == pytest.approx(0.3 * plain['loss_cls'].item(), rel=1e-6)
    assert found['all']['roi.loss_cls'].item() == found['roi']['roi.loss_cls'].item()
    assert found['all']['kd_cls.loss_cls'] > 0


@MODELS.register_module()
class RenamingRoIHead(StandardRoIHead):
    """Names its classification loss in a way that nobody foresaw."""

    def loss(self, *args, **kwargs):
        return {name.replace('loss_cls', 'loss_classes'): loss for name, loss in super().loss(*args, **kwargs).items()}


register_view(RenamingRoIHead)(RoIView)  # it trains as its base does


def test_a_loss_that_the_student_does_not_have_cannot_be_shared(student_cfg, teacher_cfg):
    student_cfg.model.roi_head.type = 'RenamingRoIHead'
    detector = build(distilled_cfg(student_cfg, teacher_cfg, None, roi=DISTILLERS['roi_both']))
    with pytest.raises(RuntimeError, match=r'the student has only .*loss_classes.*: leave loss_cls out'):
        losses_of(detector, raw_batch())
    bounded = {'type': 'RoIDistiller', 'loss_bbox': BOUNDED}
    losses_of(build(distilled_cfg(student_cfg, teacher_cfg, None, roi=bounded)), raw_batch())  # claims nothing


def test_a_ramp_to_zero_gives_the_labels_and_the_other_teacher_all(tmp_path, tiny_set):
    """Real trainings at a learning rate of 0, so that each step of theirs has the same weights."""
    still = {'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 9, 'optim_wrapper.optimizer.lr': 0.0}
    plain = distilled_run(tmp_path, tiny_set, **still)
    plain.model.distillers = {'hint': HINT}
    shared = copy.deepcopy(plain)
    shared.model.distillers = {
        'roi': {'type': 'RoIDistiller', 'loss_cls': SOFT, 'mu': 0.2},
        'roi_kl': {'type': 'RoIDistiller', 'loss_cls': KL, 'mu': 0.8},
    }
    ramp = {'type': 'LossWeightRampHook', 'path': 'distillers.roi_kl.weight', 'start': 1, 'stop': 0}
    shared.custom_hooks = [{**ramp, 'begin': 0, 'end': 2}]
    plain, shared = train(plain), train(shared)
    assert len(plain) == 4
    # w = 1, 1/2, 0, 0: (mu of the one + w (1 - w (1 - mu of the other))) / (1 + w)
    for step, expected in enumerate([(0.2 + 0.8) / 2, (0.2 + 0.5 * 0.9) / 1.5, 0.2, 0.2]):
        assert shared[step]['loss_cls'] == pytest.approx(expected * plain[step]['loss_cls'], rel=1e-4)
        assert shared[step]['loss_rpn_cls'] == pytest.approx(plain[step]['loss_rpn_cls'], rel=1e-4)
