"""One-stage students: SSD, RetinaNet, FCOS, GFL and ATSS, by `type` alone."""

import copy

import pytest
import torch
from helpers.distil import DENSE, HINT, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from helpers.one_stage import ONE_STAGE, gfl, retinanet, ssd
from helpers.published import RESNETS, publish
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config

# Where OpenMMLab publishes weights of Caffe, in mmengine's table of `open-mmlab://`.
VGG16 = 'https://download.openmmlab.com/pretrain/third_party/vgg16_caffe-292e1171.pth'
RESNET50_CAFFE = 'https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth'


def method_of(name, priors='positive'):
    loss = {'type': 'SoftenedKLLoss', 'use_sigmoid': name != 'ssd'}
    return {'hint': HINT, 'dense': {**DENSE, 'loss_cls': loss, 'priors': priors}}


@pytest.mark.parametrize('priors', ['positive', 'all'])
@pytest.mark.parametrize('name', ONE_STAGE)
def test_it_trains_predicts_and_leaves_a_plain_student(student_cfg, teacher_cfg, name, priors):
    student, teacher = (ONE_STAGE[name](cfg) for cfg in (student_cfg, teacher_cfg))
    cfg = distilled_cfg(student, teacher, None, **method_of(name, priors))
    detector = build(cfg)
    losses = losses_of(detector, raw_batch())
    assert soft_part(losses).keys() == {'hint.loss_feat', 'dense.loss_cls'}
    assert all(loss.isfinite() and loss > 0 for loss in soft_part(losses).values())
    total(losses).backward()
    assert [n for n, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []

    plain = MODELS.build(plain_student_config(cfg).model)
    state = {key: value for key, value in detector.state_dict().items() if not key.startswith('distillers.')}
    plain.load_state_dict(state, strict=True)
    results = [d.eval().test_step(copy.deepcopy(raw_batch())) for d in (detector, plain)]
    for distilled, alone in zip(*results, strict=True):
        assert torch.equal(distilled.pred_instances.scores, alone.pred_instances.scores)
        assert torch.equal(distilled.pred_instances.bboxes, alone.pred_instances.bboxes)


@pytest.mark.parametrize('name', ONE_STAGE)
def test_the_students_own_losses_are_mmdets(student_cfg, teacher_cfg, name):
    student, teacher = (ONE_STAGE[name](cfg) for cfg in (student_cfg, teacher_cfg))
    distilled = losses_of(build(distilled_cfg(student, teacher, None, **method_of(name))), raw_batch())
    for key, value in losses_of(build(student), raw_batch()).items():
        for first, second in zip(*(v if isinstance(v, list) else [v] for v in (value, distilled[key])), strict=True):
            assert torch.equal(first, second), key


def test_one_line_says_the_number_of_classes(student_cfg, teacher_cfg):
    student, teacher = retinanet(student_cfg), retinanet(teacher_cfg)
    teacher.model.bbox_head.num_classes = 5
    cfg = distilled_cfg(student, teacher, None, hint=HINT, dense=DENSE)
    cfg.model.num_classes = 5
    assert build(cfg, init=False).bbox_head.num_classes == 5
    assert plain_student_config(cfg).model.bbox_head.num_classes == 5


def test_a_two_stage_teacher_gives_hints(student_cfg, teacher_cfg):
    detector = build(distilled_cfg(retinanet(student_cfg), teacher_cfg, None, hint=HINT))
    assert losses_of(detector, raw_batch())['hint.loss_feat'] > 0


class TestWhatDoesNotFitIsRefused:
    def problems(self, student, teacher, **dense):
        with pytest.raises(DistillationError) as error:
            MODELS.build(distilled_cfg(student, teacher, None, dense={**DENSE, **dense}).model)
        return str(error.value)

    def test_other_priors(self, student_cfg, teacher_cfg):
        message = self.problems(retinanet(student_cfg), gfl(teacher_cfg))
        assert '3 at stride 4' in message
        assert '1 at stride 4' in message
        assert 'give both the same levels, and the same anchors or points' in message

    def test_anchors_of_another_size(self, student_cfg, teacher_cfg):
        student, teacher = retinanet(student_cfg), retinanet(teacher_cfg)
        teacher.model.bbox_head.anchor_generator.scales = [5]
        assert "are not those of the teacher's RetinaHead" in self.problems(student, teacher)

    def test_a_softmax_and_a_sigmoid_and_a_loss_for_the_other(self, student_cfg, teacher_cfg):
        message = self.problems(ssd(student_cfg), retinanet(teacher_cfg))
        assert 'the student gives softmax scores, the teacher sigmoid scores' in message
        assert 'set loss_cls.use_sigmoid=False' in message

    def test_another_number_of_classes(self, student_cfg, teacher_cfg):
        student, teacher = retinanet(student_cfg), retinanet(teacher_cfg)
        student.model.bbox_head.num_classes = 7
        assert 'the student knows 7 classes, the teacher 3' in self.problems(student, teacher)

    def test_a_two_stage_teacher(self, student_cfg, teacher_cfg):
        message = self.problems(retinanet(student_cfg), teacher_cfg)
        assert (
            'the teacher does not say what class each prior has or where its priors are: it has no such head' in message
        )

    def test_an_unknown_choice_of_priors(self, student_cfg, teacher_cfg):
        message = self.problems(retinanet(student_cfg), retinanet(teacher_cfg), priors='negative')
        assert "priors must be one of ('positive', 'all'), not 'negative'" in message

    def test_two_resolutions(self, student_cfg, teacher_cfg):
        cfg = distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, dense=DENSE)
        cfg.model.student_scale = 0.5
        with pytest.raises(DistillationError, match='leave student_scale or it out'):
            MODELS.build(cfg.model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'size', 'address'),
    [
        ('ssd/ssd300_coco.py', 300, VGG16),
        ('ssd/ssd512_coco.py', 512, VGG16),
        ('retinanet/retinanet_r18_fpn_1x_coco.py', 128, RESNETS['resnet18']),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', 128, RESNET50_CAFFE),
        ('gfl/gfl_r50_fpn_1x_coco.py', 128, RESNETS['resnet50']),
        ('atss/atss_r50_fpn_1x_coco.py', 128, RESNETS['resnet50']),
    ],
)
def test_mmdets_own_configs_by_base_and_type_alone(tmp_path, monkeypatch, name, size, address):
    """With their pretrained weights, whose file is found where torch keeps its downloads."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    loss = f"dict(type='SoftenedKLLoss', use_sigmoid={'ssd' not in name})"
    (tmp_path / 'distilled.py').write_text(f"""
_base_ = 'mmdet::{name}'
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    teacher=dict(config='mmdet::{name}', checkpoint=None),
    distillers=dict(
        hint=dict(type='FeatureDistiller', adapter=dict(type='ConvAdapter'), loss=dict(type='HintLoss')),
        dense=dict(type='DenseHeadDistiller', loss_cls={loss}, priors='all')))
""")
    cfg = Config.fromfile(tmp_path / 'distilled.py')
    weights = MODELS.build(dict(cfg.model.backbone, init_cfg=None)).state_dict()
    publish(tmp_path, address, weights)
    detector = build(cfg)
    assert all(torch.equal(value, weights[key]) for key, value in detector.backbone.state_dict().items())
    losses = losses_of(detector, raw_batch((3,), size=size, classes=80))
    assert soft_part(losses).keys() == {'hint.loss_feat', 'dense.loss_cls'}
    total(losses).backward()
    assert [n for n, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []
