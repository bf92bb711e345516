"""The class scores of dense heads, compared as maps (source='dense.cls')."""

import math

import pytest
import torch
from helpers.architectures import faster
from helpers.distil import HINT, build, distilled_cfg, losses_of, raw_batch, save_teacher, soft_part
from helpers.one_stage import fcos, gfl, retinanet, ssd
from helpers.point_heads import POINT_HEADS
from helpers.tiny import REPO
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import DenseView, find_view
from mmdet_kd.knowledge import TeacherKnowledge, observe_student, record_calls

CWD = dict(type='FeatureDistiller', source='dense.cls', loss=dict(type='CWDLoss', temperature=2.0), reduction='sum')


def cwd_by_loops(maps_s, maps_t, temperature, weight):
    """Of each channel of each picture of each level, the divergence of two softmaxes over the places."""
    total = 0.0
    for feat_s, feat_t in zip(maps_s, maps_t, strict=True):
        images, channels = feat_s.shape[:2]
        for n in range(images):
            for c in range(channels):
                shares = []
                for feat in (feat_s, feat_t):
                    values = [math.exp(v / temperature) for v in feat[n, c].double().flatten().tolist()]
                    shares.append([value / sum(values) for value in values])
                divergence = sum(t * math.log(t / s) for s, t in zip(*shares, strict=True))
                total += weight * temperature**2 * divergence / (images * channels)
    return total


def spread(detector):
    """Scores that differ from place to place; a fresh head gives nearly the same everywhere."""
    generator = torch.Generator().manual_seed(3)
    for head in (detector.bbox_head, detector.teacher.detector.bbox_head):
        for name, weight in head.named_parameters():
            if 'cls' in name and weight.dim() == 4:
                torch.nn.init.normal_(weight, std=0.3, generator=generator)


def raw_scores(calls):
    """The first output of a head: the scores of each level, as it gave them."""
    (call,) = calls
    return [level.detach() for level in call.result[0]]


@pytest.mark.parametrize(
    ('family', 'divisor'),
    [
        (gfl, 32),
        (ssd, 128),
        *(
            pytest.param(family, divisor, marks=pytest.mark.slow)
            for family in (retinanet, fcos)
            for divisor in (32, 128)
        ),
    ],
)
def test_cwd_of_the_maps_that_both_heads_gave(student_cfg, teacher_cfg, family, divisor):
    """Also of a teacher that pads to a larger canvas, as far as both see the pictures."""
    student, teacher = family(student_cfg), family(teacher_cfg)
    teacher.model.data_preprocessor.pad_size_divisor = divisor
    detector = build(distilled_cfg(student, teacher, None, cwd=CWD))
    spread(detector)
    heads = {'student': (detector.bbox_head, 'forward'), 'teacher': (detector.teacher.detector.bbox_head, 'forward')}
    with record_calls(heads) as calls:
        found = soft_part(losses_of(detector, raw_batch()))['cwd.loss_feat']
    maps_s, maps_t = (raw_scores(calls[side]) for side in ('student', 'teacher'))
    assert (maps_t[0].shape[-1] > maps_s[0].shape[-1]) == (divisor == 128)
    maps_t = [t[..., : s.shape[-2], : s.shape[-1]] for s, t in zip(maps_s, maps_t, strict=True)]
    assert found.item() == pytest.approx(cwd_by_loops(maps_s, maps_t, 2.0, 10.0), rel=1e-4)
    assert found.item() > 1e-3
    found.backward()
    (scores,) = (p for n, p in detector.bbox_head.named_parameters() if n in (
        'retina_cls.weight', 'gfl_cls.weight', 'conv_cls.weight', 'cls_convs.0.0.weight'))  # fmt: skip
    assert scores.grad.abs().sum() > 0
    boxes = [p.grad for n, p in detector.bbox_head.named_parameters() if 'reg' in n and p.grad is not None]
    assert not any(gradient.any() for gradient in boxes)


@pytest.mark.parametrize(
    ('source', 'expected'), [('backbone', (1, 0, 0)), ('neck', (1, 1, 0)), ('dense.cls', (1, 1, 1))]
)
def test_the_teachers_head_runs_when_it_is_asked_and_once(student_cfg, source, expected):
    detector = build(retinanet(student_cfg)).eval()
    points = {part: (getattr(detector, part), 'forward') for part in ('backbone', 'neck', 'bbox_head')}
    with record_calls(points) as calls:
        teacher = TeacherKnowledge(detector, torch.randn(2, 3, 64, 64))
        for _ in range(2):
            asked = teacher.features(source)
    assert tuple(len(made) for made in calls.values()) == expected
    assert not any(feat.requires_grad for feat in asked)


@pytest.mark.parametrize(('source', 'kinds', 'compares'), [('neck', ('neck',), False), ('dense.cls', ('dense',), True)])
def test_what_is_recorded_and_whether_classes_are_compared(student_cfg, teacher_cfg, source, kinds, compares):
    cfg = distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, hint={**HINT, 'source': source})
    distiller = build(cfg, init=False).distillers['hint']
    assert distiller.kinds == kinds
    assert distiller.compares_classes is compares


def test_classes_of_another_order_are_refused(student_cfg, teacher_cfg, tmp_path):
    names = ('square', 'circle', 'triangle')
    teacher = retinanet(teacher_cfg)
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta={'classes': names})
    cfg = distilled_cfg(retinanet(student_cfg), teacher, checkpoint, cwd=CWD)
    with pytest.raises(DistillationError, match="the teacher's classes are not the student's"):
        build(cfg)


@pytest.mark.parametrize('family', [pytest.param(retinanet, marks=pytest.mark.slow), ssd])
def test_a_teacher_of_more_classes_gives_the_maps_of_the_students(student_cfg, teacher_cfg, tmp_path, family):
    """Anchor by anchor; of a softmax, what the student does not know is background."""
    names, softmax = ('star', 'triangle', 'circle', 'moon', 'square'), family is ssd
    teacher = family(teacher_cfg)
    teacher.model.bbox_head.num_classes = 5
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta={'classes': names})
    cfg = distilled_cfg(family(student_cfg), teacher, checkpoint, cwd=CWD)
    cfg.model.teacher.classes_by_name = True
    detector = build(cfg)
    spread(detector)
    knowledge = detector.teacher.knowledge_of(torch.randn(2, 3, 64, 64))
    found = knowledge.features('dense.cls')
    raw = detector.teacher.detector.bbox_head(knowledge.features('neck'))[0]
    each, wanted = 5 + softmax, [names.index(name) for name in ('circle', 'square', 'triangle')]
    for ours, theirs in zip(found, raw, strict=True):
        channels = []
        for anchor in range(theirs.shape[1] // each):
            of_anchor = theirs[:, anchor * each : (anchor + 1) * each]
            channels += [of_anchor[:, index] for index in wanted]
            if softmax:
                channels.append(of_anchor[:, [0, 3, 5]].exp().sum(dim=1).log())
        torch.testing.assert_close(ours, torch.stack(channels, dim=1))
    assert losses_of(detector, raw_batch())['cwd.loss_feat'] > 0


def more_classes(cfg):
    cfg = retinanet(cfg)
    cfg.model.bbox_head.num_classes = 4
    return cfg


def more_anchors(cfg):
    cfg = retinanet(cfg)
    cfg.model.bbox_head.anchor_generator.scales = [4, 6]
    return cfg


REFUSED = {
    'two-stage': (faster, faster, "the student does not say what class .*: it has no such head. Set source='neck'"),
    'two-stage teacher': (retinanet, faster, "the teacher does not say what class .* Set source='neck'"),
    'other places': (fcos, POINT_HEADS['rtmdet'], "the priors of the student's FCOSHead .* are not those of"),
    'other anchors': (retinanet, more_anchors, "the priors of the student's RetinaHead .* are not those of"),
    'softmax and sigmoids': (retinanet, ssd, 'the student gives sigmoid scores, the teacher softmax scores'),
    'more classes': (retinanet, more_classes, r'the student knows 3 classes, the teacher 4: .*classes_by_name=True'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_heads_whose_scores_mean_something_else_are_refused_at_build(student_cfg, teacher_cfg, name):
    student, teacher, message = REFUSED[name]
    with pytest.raises(DistillationError, match=f'FeatureDistiller: {message}'):
        build(distilled_cfg(student(student_cfg), teacher(teacher_cfg), None, cwd=CWD), init=False)


def test_pictures_of_another_size_are_refused(student_cfg, teacher_cfg):
    cfg = distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, cwd=CWD)
    cfg.model.student_scale = 0.5
    with pytest.raises(DistillationError, match='FeatureDistiller: it compares priors of one grid'):
        build(cfg, init=False)


def test_a_student_says_the_maps_of_its_own_step(student_cfg):
    """They are what its own loss was given, with their gradient."""
    detector = build(gfl(student_cfg))
    batch = detector.data_preprocessor(raw_batch((2, 1)), training=True)
    points = {'head': (detector.bbox_head, 'forward')}
    with observe_student(detector, ('dense',)) as student, record_calls(points) as calls:
        detector.loss(batch['inputs'], batch['data_samples'])
        found = student.features('dense.cls')
        assert all(ours is theirs for ours, theirs in zip(found, calls['head'][0].result[0], strict=True))
    assert len(found) == 5
    assert all(feat.requires_grad for feat in found)


@pytest.mark.parametrize('family', [gfl, pytest.param(retinanet, marks=pytest.mark.slow)])
def test_the_fragment_trains(student_cfg, teacher_cfg, family):
    distillers = Config.fromfile(REPO / 'configs/_base_/distillers/cwd-cls.py').distillers
    assert (distillers.cwd.source, distillers.cwd.adapter) == ('dense.cls', None)
    cfg = distilled_cfg(family(student_cfg), family(teacher_cfg), None, **distillers)
    detector = build(cfg)
    spread(detector)
    first = soft_part(losses_of(detector, raw_batch()))['cwd.loss_feat']
    first.backward()
    assert detector.neck.lateral_convs[0].conv.weight.grad.abs().sum() > 0
    assert not list(detector.distillers.parameters())
    assert detector.distillers['cwd'].reduction == 'sum'


@pytest.mark.parametrize('family', [retinanet, ssd, fcos])
def test_the_channels_of_score_maps_are_those_of_the_head(student_cfg, family):
    detector = build(family(student_cfg)).eval()
    view = find_view(detector.bbox_head, DenseView)
    with torch.no_grad():
        maps = view.maps(detector.bbox_head(detector.extract_feat(torch.zeros(1, 3, 64, 64))), training=False)
    assert view.score_map_channels == [level.shape[1] for level in maps.scores]
