"""Pictures whose size no stride divides: both sides train on them, or are refused when the detector is built."""

import copy

import pytest
import torch
from helpers.distil import METHOD, build, distilled_cfg, losses_of, raw_batch, soft_part, step_of, taught, total
from helpers.one_stage import retinanet
from helpers.pairs import observed, pair_of
from helpers.zoo import small_detector
from mmdet.registry import MODELS

from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import canvas_problems, observe_student, on_meta

PVT = dict(type='PyramidVisionTransformer', embed_dims=8, num_layers=[1, 1, 1, 1], init_cfg=None)
PVT_CHANNELS = [8, 16, 40, 64]
ODD = 67  # pixels; of stride 4, ResNet makes 17 cells of it, PVT 16


def with_pvt(cfg):
    """The detector with a backbone that rounds down."""
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone = PVT
    cfg.model.neck.in_channels = PVT_CHANNELS
    return cfg


def unpadded(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.model.data_preprocessor.pad_size_divisor = 1
    return cfg


@pytest.mark.parametrize('student', [False, True], ids=['of ResNet', 'of PVT'])
@pytest.mark.parametrize('teacher', [False, True], ids=['by ResNet', 'by PVT'])
@pytest.mark.parametrize('family', [lambda cfg: cfg, retinanet], ids=['two-stage', 'one-stage'])
def test_networks_that_round_otherwise_teach_each_other(student_cfg, teacher_cfg, family, student, teacher):
    sides = [
        family(unpadded(with_pvt(cfg) if pvt else cfg)) for cfg, pvt in ((student_cfg, student), (teacher_cfg, teacher))
    ]
    detector = build(distilled_cfg(*sides, None))
    losses = losses_of(detector, raw_batch(size=ODD))
    total(losses).backward()
    assert len(soft_part(losses)) == (5 if 'roi_head' in sides[0].model else 2)
    assert all(loss.isfinite() for loss in soft_part(losses).values())


def test_the_cells_that_both_have_are_compared(student_cfg, teacher_cfg):
    """By the definition of the hint: a mean of squares over the cells that lie alike in both maps."""
    cfg = distilled_cfg(unpadded(student_cfg), unpadded(with_pvt(teacher_cfg)), None, hint=METHOD['hint'])
    detector = build(cfg)
    batch = detector.data_preprocessor(raw_batch(size=ODD), training=True)
    images = batch['inputs']
    with observe_student(detector, ('neck',)) as student:
        maps_s = detector.extract_feat(images)
        knowledge = detector.teacher.knowledge_of(images)
        hint = detector.distillers['hint']
        found = hint(student, knowledge, step_of(batch, knowledge))['feat']
    maps_t = knowledge.features('neck')
    assert [(s.shape[-1], t.shape[-1]) for s, t in zip(maps_s, maps_t, strict=True)][:2] == [(17, 16), (9, 8)]
    expected = []
    for adapter, s, t in zip(hint.adapters, maps_s, maps_t, strict=True):
        height, width = t.shape[-2:]
        expected.append(hint.loss(adapter(s[..., :height, :width], t), t))
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_the_priors_that_only_the_student_has_count_nothing(student_cfg, teacher_cfg):
    """A teacher that rounds down says nothing of the last row and column of anchors."""
    pair = pair_of(unpadded(student_cfg), unpadded(with_pvt(teacher_cfg)))
    distiller = MODELS.build(dict(**METHOD['rpn'], pair=pair))
    with observed(pair, size=ODD) as step:
        scores_s, scores_t = step.student.rpn.cls_scores, step.teacher.rpn.cls_scores
        fitted, valid = distiller._for_the_students_anchors(step.student.rpn, step.teacher.rpn, ratios=None)
    anchors = scores_s[0].shape[1]
    first = valid[:, : anchors * 17 * 17].view(2, 17, 17, anchors)
    assert first[:, :16, :16].all()
    assert not first[:, 16].any()
    assert not first[:, :, 16].any()
    assert torch.equal(fitted.cls_scores[0][..., :16, :16], scores_t[0])


@pytest.mark.parametrize(
    ('config', 'divisor', 'cure'),
    [
        ('hrnet/htc_hrnetv2p-w18_20e_coco.py', 1, 32),
        ('yolox/yolox_l_8xb8-300e_coco.py', 8, 32),
        ('yolox/yolox_l_8xb8-300e_coco.py', 32, None),
        ('yolox/yolox_l_8xb8-300e_coco.py', 640, None),
        ('pvt/retinanet_pvt-t_fpn_1x_coco.py', 1, None),
        ('swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py', 1, None),
    ],
)
def test_a_network_that_needs_a_divisor_is_known_at_build(config, divisor, cure):
    model = small_detector(config)
    model['data_preprocessor']['pad_size_divisor'] = divisor
    detector = on_meta(lambda: MODELS.build(model))
    problems = canvas_problems('student', detector)
    assert len(problems) == (cure is not None)
    assert all(problem.endswith(f'set data_preprocessor.pad_size_divisor={cure} in its config') for problem in problems)


HRNET = 'hrnet/htc_hrnetv2p-w18_20e_coco.py'


def unpadded_hrnet():
    """A network that needs a divisor of 32, and whose config does not say so."""
    model = small_detector(HRNET)
    model['data_preprocessor']['pad_size_divisor'] = 1
    return model


def test_such_a_student_is_refused_with_the_cure(student_cfg, teacher_cfg):
    cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint=METHOD['hint'])
    for key in ('backbone', 'neck', 'data_preprocessor'):
        cfg.model[key] = unpadded_hrnet()[key]
    with pytest.raises(DistillationError, match=r"the student's backbone and neck cannot .* 511x385 .*divisor=32"):
        build(cfg, init=False)


def test_such_a_teacher_is_given_the_padding_that_it_needs(student_cfg):
    """It says what it says of the same pictures with that padding, which is the only one with which it runs."""
    hint = dict(METHOD['hint'], source='backbone')
    cfg = distilled_cfg(unpadded(student_cfg), dict(model=unpadded_hrnet()), None, hint=hint)
    detector = build(cfg)
    batch = detector.data_preprocessor(raw_batch(size=ODD), training=True)
    assert batch['inputs'].shape[-1] == ODD
    knowledge = taught(detector, batch)
    assert knowledge.canvas == (96, 96)
    alone = detector.teacher.detector
    with torch.no_grad():
        expected = alone.backbone(alone.data_preprocessor(raw_batch(size=ODD), training=False)['inputs'])
    for found, wanted in zip(knowledge.features('backbone'), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert losses_of(detector, raw_batch(size=ODD))['hint.loss_feat'].isfinite()
