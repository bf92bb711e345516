"""``student_scale``: the teacher sees the loaded pictures, the student smaller ones."""

import copy

import numpy as np
import pytest
import torch
from helpers.architectures import mask
from helpers.distil import HINT, build, distilled_cfg, losses_of, raw_batch, soft_part, step_of, taught, total
from mmcv.ops import roi_align
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks

from mmdet_kd.detectors.student_view import shrink
from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config
from mmdet_kd.heads import RoIView, box_heads, find_view
from mmdet_kd.knowledge import observe_student


@pytest.fixture
def cfg(student_cfg, teacher_cfg, teacher_checkpoint):
    """The whole method at half the size, the anchors of the student half as large."""
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
    return at_scale(cfg, 0.5)


def at_scale(cfg, scale):
    cfg = copy.deepcopy(cfg)
    cfg.model.student_scale = scale
    cfg.model.rpn_head.anchor_generator.scales = [4 * scale]
    return cfg


def uneven_batch():
    """Two pictures of sizes that nothing divides."""
    batch = raw_batch((3, 2), size=131)
    batch['inputs'][1] = batch['inputs'][1][:, :101, :117].contiguous()
    sample = batch['data_samples'][1]
    sample.set_metainfo({'img_shape': (101, 117)})
    sample.gt_instances.bboxes = sample.gt_instances.bboxes * 0.7
    return batch


@pytest.mark.parametrize('scale', [0.5, 0.37, 0.8])
def test_the_whole_method_trains(cfg, scale):
    detector = build(at_scale(cfg, scale))
    losses = losses_of(detector, uneven_batch())
    soft = soft_part(losses)
    assert len(soft) == 5
    assert all(loss.isfinite() for loss in soft.values())
    assert all(loss > 0 for name, loss in soft.items() if 'bbox' not in name)
    total(losses).backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)


def test_each_side_sees_what_it_would_see_alone(cfg, teacher_cfg, monkeypatch):
    # other means, another order of the channels, another padding
    teacher_cfg.model.data_preprocessor.update(
        mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False, pad_size_divisor=16
    )
    cfg.model.teacher.config = teacher_cfg
    detector, batch = build(cfg), uneven_batch()
    seen = {}
    know, extract = detector.teacher.knowledge_of, detector.extract_feat
    monkeypatch.setattr(
        detector.teacher, 'knowledge_of', lambda images, *a: seen.update(teacher=images) or know(images, *a)
    )
    monkeypatch.setattr(detector, 'extract_feat', lambda images: seen.update(student=images) or extract(images))
    losses_of(detector, batch)
    alone = MODELS.build(copy.deepcopy(teacher_cfg.model)).data_preprocessor(copy.deepcopy(batch), True)
    assert torch.equal(seen['teacher'], alone['inputs'])
    plain = MODELS.build(plain_student_config(cfg).model)
    small, _ = shrink(batch, 0.5)
    assert torch.equal(seen['student'], plain.data_preprocessor(small, True)['inputs'])


def test_the_student_is_tested_on_the_pictures_that_it_is_given(cfg):
    detector = build(cfg).eval()
    batch = raw_batch()
    data = detector.data_preprocessor(copy.deepcopy(batch), False)
    assert data['inputs'].shape[-2:] == (64, 64)
    plain = MODELS.build(plain_student_config(cfg).model).eval()
    plain.load_state_dict({k: v for k, v in detector.state_dict().items() if not k.startswith('distillers.')})
    data_plain = plain.data_preprocessor(copy.deepcopy(batch), False)
    for ours, theirs in zip(
        detector.predict(data['inputs'], data['data_samples']),
        plain.predict(data_plain['inputs'], data_plain['data_samples']),
        strict=True,
    ):
        assert torch.equal(ours.pred_instances.bboxes, theirs.pred_instances.bboxes)


def test_a_roi_is_the_same_region_of_both_pictures(cfg):
    """On pixels: what RoIAlign cuts out of the small picture is what it cuts out of the large one."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand(2, 3, 9, 9, generator=generator) * 255, size=(131, 117), mode='bicubic'
    ).clamp(0, 255)
    batch = raw_batch((1, 1))
    batch['inputs'] = [smooth[0].to(torch.uint8), smooth[1, :, :101].to(torch.uint8)]
    small, ratios = shrink(batch, 0.37)
    rois = torch.tensor([[0, 3.0, 5.0, 30.5, 28.0], [1, 8.0, 2.0, 40.0, 33.0], [0, 20.0, 20.0, 42.0, 47.0]])
    detector = build(cfg)
    knowledge = detector.teacher.knowledge_of(torch.zeros(2, 3, 131, 117), ratios)
    mapped = knowledge._in_own_pixels(rois)
    # exact in x and y of each picture, whose sizes were rounded by themselves
    for (image, *box), (_, *large) in zip(rois.tolist(), mapped.tolist(), strict=True):
        before, after = batch['inputs'][int(image)], small['inputs'][int(image)]
        x, y = before.shape[2] / after.shape[2], before.shape[1] / after.shape[1]
        assert large == pytest.approx([box[0] * x, box[1] * y, box[2] * x, box[3] * y])

    def cut(pictures, boxes):
        height, width = (max(p.shape[axis] for p in pictures) for axis in (1, 2))
        canvas = torch.zeros(2, 3, height, width)
        for image, picture in enumerate(pictures):
            canvas[image, :, : picture.shape[1], : picture.shape[2]] = picture.float()
        return roi_align(canvas, boxes, (7, 7), 1.0, 4, 'avg', True)

    from_small, from_large = cut(small['inputs'], rois), cut(batch['inputs'], mapped)
    # the pictures vary by dozens of grey levels over a RoI; a shift of a pixel of the small one costs several
    assert (from_small - from_large).abs().mean() < 1.0
    shifted = cut(small['inputs'], rois + torch.tensor([0, 1.0, 1.0, 1.0, 1.0]))
    assert (shifted - from_large).abs().mean() > 3.0


def test_the_teacher_scores_the_students_rois_at_its_own_scale(cfg, teacher_cfg, teacher_checkpoint):
    detector, batch = build(cfg), uneven_batch()
    torch.manual_seed(0)
    small, ratios = shrink(batch, 0.5)
    data = MODELS.build(plain_student_config(cfg).model).data_preprocessor(small, True)
    with observe_student(detector, ('roi',)) as student:
        TwoStageDetector.loss(detector, data['inputs'], data['data_samples'])
        ((_, _, targets),) = student.roi_stages()
    teacher = detector.teacher.knowledge_of(detector.teacher.preprocess(batch['inputs']), ratios)
    got = teacher.roi(0, targets.rois)

    alone = MODELS.build(copy.deepcopy(teacher_cfg.model)).eval()
    alone.load_state_dict(torch.load(teacher_checkpoint, weights_only=True)['state_dict'])
    with torch.no_grad():
        feats = alone.extract_feat(alone.data_preprocessor(copy.deepcopy(batch))['inputs'])
        rois = targets.rois.clone()
        for row in rois:
            picture, shrunk = (pictures[int(row[0])] for pictures in (batch['inputs'], small['inputs']))
            row[1::2] *= picture.shape[2] / shrunk.shape[2]
            row[2::2] *= picture.shape[1] / shrunk.shape[1]
        expected = find_view(alone.roi_head, RoIView).of_rois(0, feats, rois)
    assert len(box_heads(alone.roi_head)) == 1
    torch.testing.assert_close(got.cls_score, expected.cls_score)
    torch.testing.assert_close(got.bbox_pred, expected.bbox_pred)


class TestWhatDoesNotFitIsRefused:
    @pytest.mark.parametrize('scale', [0, 1.0, 2.0, -0.5, '0.5', True])
    def test_a_scale_that_is_none(self, cfg, scale):
        cfg.model.student_scale = scale
        with pytest.raises(DistillationError, match=r'student_scale is .* between 0 and 1'):
            build(cfg, init=False)

    def test_anchors_that_cover_other_regions(self, cfg):
        cfg.model.rpn_head.anchor_generator.scales = [4]
        with pytest.raises(DistillationError, match=r'(?s)level 0 differ.*its scales times 0\.5') as caught:
            build(cfg, init=False)
        assert len(caught.value.problems) == 1

    def test_a_coder_that_depends_on_the_size(self, cfg):
        cfg.model.roi_head.bbox_head.bbox_coder.type = 'LegacyDeltaXYWHBBoxCoder'
        with pytest.raises(DistillationError, match=r"the student's LegacyDeltaXYWHBBoxCoder encodes .* differently"):
            build(cfg, init=False)

    def test_augmentation_of_the_batch(self, cfg):
        cfg.model.data_preprocessor.batch_augments = [
            dict(type='BatchSyncRandomResize', random_size_range=(64, 96), size_divisor=32, interval=1)
        ]
        with pytest.raises(DistillationError, match='remove batch_augments'):
            build(cfg)


def test_a_level_may_have_the_cells_of_another_one(student_cfg, teacher_cfg, teacher_checkpoint):
    """Half the size: a level of the student has the cells of the teacher's next one, and bare maps can be compared."""
    hint = {**HINT, 'adapter': None, 'levels': (0, 1, 2, 3), 'teacher_levels': (1, 2, 3, 4)}
    cfg = distilled_cfg(student_cfg, student_cfg, None, hint=hint)
    cfg.model.student_scale = 0.5
    detector = build(cfg)
    data = detector.data_preprocessor(raw_batch(size=128), True)
    with observe_student(detector, ('neck',)) as student:
        detector.extract_feat(data['inputs'])
        teacher = taught(detector, data)
        found = detector.distillers.hint(student, teacher, step_of(data, teacher))['feat']
        maps = zip(student.features('neck')[:4], teacher.features('neck')[1:], strict=True)
        expected = 0.5 * sum((ours - theirs).square().mean() for ours, theirs in maps) / 4
    torch.testing.assert_close(found, expected)
    with pytest.raises(DistillationError, match='a bare hint compares equal shapes'):
        build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint, hint=hint), init=False)


def test_masks_are_shrunk_with_their_boxes(cfg, teacher_cfg):
    cfg.model = mask(cfg).model
    cfg.model.type = 'KnowledgeDistillationTwoStageDetector'
    batch = uneven_batch()
    for picture, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        shape = (len(sample.gt_instances), *picture.shape[-2:])
        sample.gt_instances.masks = BitmapMasks(np.ones(shape, np.uint8), *shape[1:])
    losses = losses_of(build(cfg), batch)
    assert losses['loss_mask'].isfinite()
    assert losses['roi.loss_cls'] > 0


def test_under_autocast_the_losses_are_of_single_precision(cfg):
    detector = build(cfg)
    with torch.autocast('cpu', dtype=torch.bfloat16), observe_student(detector, ('neck',)) as student:
        data = detector.data_preprocessor(uneven_batch(), True)
        detector.extract_feat(data['inputs'])
        teacher = taught(detector, data)
        loss = detector.distillers.hint(student, teacher, step_of(data, teacher))['feat']
    assert loss.dtype == torch.float32
    assert loss.isfinite()
