"""Students of any detector class of mmdet: `detector=` beside `type`."""

import copy
import pickle

import pytest
import torch
from helpers.architectures import c4
from helpers.distil import AS_ALONE, build, losses_of, soft_part, step_of, taught, total
from helpers.narrow import batch_for, distilled, fill_memory, narrowed, save_detector
from mmdet.models.detectors import DETR, TridentFasterRCNN
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmdet_kd.detectors import KnowledgeDistillationDetector, KnowledgeDistillationTwoStageDetector
from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config, student_state_dict
from mmdet_kd.knowledge import observe_student

DETR_R18 = 'detr/detr_r18_8xb2-500e_coco.py'


@pytest.fixture(autouse=True)
def _place_in_a_training():
    """Some heads and preprocessors ask how far the training is."""
    MessageHub.get_current_instance().update_info_dict({'epoch': 0, 'max_epochs': 12, 'iter': 0, 'max_iters': 100})


def steps(detector, batch, count):
    """Train on one batch; returns the losses of each step."""
    optimizer = torch.optim.AdamW([p for p in detector.parameters() if p.requires_grad], lr=1e-3)
    history = []
    for _ in range(count):
        losses = losses_of(detector, batch)
        optimizer.zero_grad()
        total(losses).backward()
        optimizer.step()
        history.append({name: float(sum(v) if isinstance(v, list) else v) for name, v in losses.items()})
    return history


def numbers(sample):
    """All that a detector predicts of a picture: tensors by name."""
    found = {}
    for name in ('pred_instances', 'pred_panoptic_seg'):
        for key, value in sample.get(name, {}).items():
            if isinstance(value, torch.Tensor):
                found[f'{name}.{key}'] = value
    assert found
    return found


def predictions(detector, batch):
    return [numbers(sample) for sample in detector.eval().test_step(copy.deepcopy(batch))]


def assert_same(first, second):
    assert [each.keys() for each in first] == [each.keys() for each in second]
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)


def plain_of(cfg, detector):
    """What stock mmdet makes of the exported config and weights; every weight must be its own."""
    config = plain_student_config(cfg)
    assert 'mmdet_kd' not in config.pretty_text
    plain = MODELS.build(config.model)
    plain.load_state_dict(student_state_dict(detector.state_dict()), strict=True)
    return plain


def uneven(batch, width):
    """The same batch, whose last picture is narrower, and so are its boxes."""
    batch['inputs'][-1] = batch['inputs'][-1][..., :width].contiguous()
    sample = batch['data_samples'][-1]
    sample.set_metainfo({'img_shape': (64, width), 'ori_shape': (64, width)})
    sample.gt_instances.bboxes[:, 0::2] *= width / 64
    return batch


class TestADETR:
    """A DETR that learns the memory of another."""

    @pytest.fixture(scope='class')
    def model(self):
        model = narrowed(DETR_R18)
        model.data_preprocessor.pad_size_divisor = 32
        return model

    @pytest.fixture(scope='class')
    def cfg(self, model, tmp_path_factory):
        cfg = distilled(model, model, save_detector(model, tmp_path_factory.mktemp('detr') / 't.pth'), 'memory')
        cfg.model.teacher.update(AS_ALONE)
        return cfg

    def test_it_is_the_class_of_mmdet_with_its_own_losses(self, cfg, model):
        detector, batch = build(cfg), batch_for(model)
        assert isinstance(detector, KnowledgeDistillationDetector)
        assert isinstance(detector, DETR)
        own = losses_of(build(Config(dict(model=model))), batch)
        found = losses_of(detector, batch)
        assert found.keys() - own.keys() == {'hint.loss_feat'}
        assert all(torch.equal(found[name], value) for name, value in own.items())

    def test_it_trains_and_leaves_a_plain_student(self, cfg, model):
        detector, batch = build(cfg), batch_for(model)
        history = steps(detector, batch, 4)
        assert history[-1]['hint.loss_feat'] < history[0]['hint.loss_feat']
        assert [n for n, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []
        assert_same(predictions(detector, batch), predictions(plain_of(cfg, detector), batch))

    @pytest.mark.parametrize('copied', [copy.deepcopy, lambda detector: pickle.loads(pickle.dumps(detector))])
    def test_a_copy_is_the_same(self, cfg, model, copied):
        detector, batch = build(cfg), batch_for(model)
        twin = copied(detector)
        assert type(twin) is type(detector)
        assert losses_of(twin, batch)['hint.loss_feat'] == losses_of(detector, batch)['hint.loss_feat']
        assert_same(predictions(twin, batch), predictions(detector, batch))

    def test_the_teachers_memory_is_that_which_it_has_alone(self, cfg, model):
        """On a canvas with padding, which its encoder is not to attend to."""
        detector, batch = build(cfg), uneven(batch_for(model), width=32)
        found = taught(detector, detector.data_preprocessor(copy.deepcopy(batch), training=True)).features('memory')
        alone = MODELS.build(copy.deepcopy(model)).eval()
        alone.load_state_dict(torch.load(cfg.model.teacher.checkpoint, weights_only=True)['state_dict'])
        seen = []
        alone.encoder.register_forward_hook(lambda module, args, memory: seen.append(memory))
        alone.test_step(copy.deepcopy(batch))
        assert [tuple(level.shape) for level in found] == [(2, 32, 2, 2)]
        # not to the bit: without a graph, some CPUs take kernels that round otherwise
        torch.testing.assert_close(found[0].flatten(2).transpose(1, 2), seen[0])

    def test_padding_is_not_compared(self, cfg, model):
        """The second picture fills the left half of its canvas: of 2x2 cells, those on the right mean nothing."""
        detector, batch = build(cfg), uneven(batch_for(model), width=32)
        data = detector.data_preprocessor(copy.deepcopy(batch), training=True)
        hint = detector.distillers.hint
        torch.nn.init.constant_(hint.adapters[0].conv.bias, 0.5)  # which an adapter writes on the padding too
        with observe_student(detector, ('memory',)) as student:
            detector.loss(**{'batch_inputs': data['inputs'], 'batch_data_samples': data['data_samples']})
            teacher = taught(detector, data)
            step = step_of(data, teacher)
            found = hint(student, teacher, step)['feat']
            feat_s, feat_t = student.features('memory')[0], teacher.features('memory')[0]
            difference = hint.adapters[0](feat_s, feat_t) - feat_t
        counted = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])[:, None]
        torch.testing.assert_close(found, 0.5 * (counted * difference).square().mean())
        assert difference[1, :, :, 1].abs().min() > 0


def trident(cfg):
    """TridentNet of three branches, on one map of stride 16."""
    cfg = c4(cfg)
    branches = dict(num_branch=3, test_branch_idx=1)
    cfg.model.backbone.update(type='TridentResNet', trident_dilations=(1, 2, 3), **branches)
    cfg.model.roi_head.update(type='TridentRoIHead', **branches)
    cfg.model.type = 'TridentFasterRCNN'
    return cfg


@pytest.mark.slow
class TestATridentNet:
    """Three maps of each picture in training, and one of the teacher's."""

    @pytest.fixture
    def cfg(self, student_cfg, teacher_cfg, tmp_path):
        teacher = c4(teacher_cfg).model
        cfg = distilled(trident(student_cfg).model, teacher, save_detector(teacher, tmp_path / 't.pth'), 'backbone')
        cfg.model.distillers.roi = dict(
            type='RoIDistiller',
            loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss'),
            loss_bbox=dict(type='TeacherBoundedL2Loss'),
        )
        cfg.model.distillers.rpn = dict(cfg.model.distillers.roi, type='RPNDistiller')
        return cfg

    def test_each_branch_is_compared_with_the_same_map_of_the_teacher(self, cfg):
        detector, batch = fill_memory(build(cfg)), batch_for(cfg.model)
        assert isinstance(detector, KnowledgeDistillationTwoStageDetector)
        assert isinstance(detector, TridentFasterRCNN)
        data = detector.data_preprocessor(copy.deepcopy(batch), training=True)
        with observe_student(detector, ('backbone',)) as student:
            found = losses_of(detector, batch)
            (feat_s,) = student.features('backbone')
            (feat_t,) = taught(detector, data).features('backbone')
            hint = detector.distillers.hint
            expected = [hint.loss(hint.adapters[0](branch, feat_t), feat_t) for branch in feat_s.split(2)]
        assert (len(feat_s), len(feat_t)) == (6, 2)
        assert len({round(float(loss), 6) for loss in expected}) == 3
        torch.testing.assert_close(found['hint.loss_feat'], torch.stack(expected).mean())

    def test_it_trains_by_all_distillers_and_leaves_a_plain_student(self, cfg):
        detector, batch = fill_memory(build(cfg)), batch_for(cfg.model)
        history = steps(detector, batch, 4)
        assert history[-1]['hint.loss_feat'] < history[0]['hint.loss_feat']
        assert soft_part(history[0]).keys() >= {'rpn.loss_cls', 'roi.loss_cls'}
        assert_same(predictions(detector, batch), predictions(plain_of(cfg, detector), batch))

    def test_one_that_gives_all_branches_in_a_test_cannot_teach(self, cfg, student_cfg):
        cfg.model.teacher.config = dict(model=trident(student_cfg).model.to_dict())
        build(cfg, init=False)
        for part in ('backbone', 'roi_head'):
            cfg.model.teacher.config.model[part].test_branch_idx = -1
        with pytest.raises(DistillationError, match='set test_branch_idx of backbone and roi_head'):
            build(cfg, init=False)


ONE, TWO = (f'KnowledgeDistillation{family}StageDetector' for family in ('One', 'Two'))
ANY = 'KnowledgeDistillationDetector'
#: A config of the zoo, what is written over it, and what is said of it.
REFUSED = {
    'no detector': (DETR_R18, dict(type=ANY), "needs the student's own class, such as detector='DETR', or detector"),
    'a DETR as a one-stage detector': (
        DETR_R18, dict(type=ONE), f"no num_queries .*: write type='{ANY}', detector=_base_.model.type, or .*DETR"
    ),
    'one class of the family for another': (
        'dino/dino-4scale_r50_8xb2-12e_coco.py',
        dict(type=ANY, detector='DETR'),
        'a student of a DETR, which has no .*dn_cfg.*: add detector=_base_.model.type, or .*DINO',
    ),
    'an instance detector': (
        'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
        dict(type=ONE),
        f"which has no mask_head: write type='{ANY}', detector=_base_.model.type, or detector=.*CondInst",
    ),
    'a panoptic detector': (
        'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py',
        dict(type=TWO),
        'no panoptic_fusion_head and no semantic_head: add detector=_base_.model.type, or .*PanopticFPN',
    ),
    'an RPN alone as a two-stage detector': (
        'rpn/rpn_r50_fpn_1x_coco.py', dict(type=TWO), f"has no roi_head.*write type='{ONE}', detector='RPN'"
    ),
    'an RPN alone': ('rpn/rpn_r50_fpn_1x_coco.py', dict(type=ONE), 'no rpn_head: add detector=_base_.model.type.*RPN'),
    'TridentNet': (
        'tridentnet/tridentnet_r50-caffe_1x_coco.py',
        dict(type=TWO),
        "model.backbone: TridentResNet is of mmdet's TridentFasterRCNN, .*: add detector='TridentFasterRCNN'",
    ),
    'RTMDet': (
        'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        dict(type=ONE),
        "model.bbox_head: RTMDetSepBNHead is of mmdet's RTMDet, .*: add detector='RTMDet'",
    ),
    'another family': (DETR_R18, dict(type=TWO, detector='DETR'), f"and DETR is none: write type='{ANY}'"),
    'a slip of the pen': (DETR_R18, dict(type=ANY, detector='DETER'), 'no class .DETER.. Did you mean DETR'),
    'something else': (DETR_R18, dict(type=ANY, detector='ResNet'), "such as 'DETR', not 'ResNet'"),
    'a student already': (DETR_R18, dict(type=ANY, detector=TWO), 'is a student already: leave detector out'),
    'a SoftTeacher': (DETR_R18, dict(type=ANY, detector='SoftTeacher'), 'SoftTeacher cannot be a student: it holds'),
    'LAD': (DETR_R18, dict(type=ANY, detector='LAD'), 'LAD cannot be a student: it loads a teacher of its own'),
    'LD': (
        'ld/ld_r18-gflv1-r101_fpn_1x_coco.py', dict(type=ONE), 'of a KnowledgeDistillationSingleStageDetector'
    ),
    'GLIP': (DETR_R18, dict(type=ANY, detector='GLIP'), 'GLIP cannot be a student: it reads texts'),
}  # fmt: skip


@pytest.mark.parametrize('case', REFUSED)
def test_what_cannot_be_is_refused_with_the_line_to_write(case):
    config, written, said = REFUSED[case]
    model = narrowed(config)
    model.update(written, teacher=dict(config=dict(model=narrowed(DETR_R18)), checkpoint=None), distillers={})
    with pytest.raises(DistillationError, match=said):
        MODELS.build(model)


#: Of each, a config and where the maps come from.
CLASSES = {
    'RPN': ('rpn/rpn_r50_fpn_1x_coco.py', 'neck'),
    'SOLOv2': ('solov2/solov2_r50_fpn_1x_coco.py', 'neck'),
    'CondInst': ('condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py', 'neck'),
    'BoxInst': ('boxinst/boxinst_r50_fpn_ms-90k_coco.py', 'neck'),
    'PanopticFPN': ('panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py', 'neck'),
    'MaskFormer': ('maskformer/maskformer_r50_ms-16xb1-75e_coco.py', 'backbone'),
    'DETR': (DETR_R18, 'neck'),
    'DeformableDETR': ('deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', 'memory'),
    'DINO': ('dino/dino-4scale_r50_8xb2-12e_coco.py', 'memory'),
    'DDQDETR': ('ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py', 'memory'),
    'RTMDet': ('rtmdet/rtmdet_tiny_8xb32-300e_coco.py', 'neck'),
    'YOLOX': ('yolox/yolox_tiny_8xb8-300e_coco.py', 'neck'),
    'CenterNet': ('centernet/centernet_r18_8xb16-crop512-140e_coco.py', 'neck'),
    'CornerNet': ('cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco.py', 'backbone'),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', CLASSES)
def test_it_learns_from_its_like_and_leaves_a_plain_student(name, tmp_path):
    if name == 'BoxInst':
        pytest.importorskip('skimage')
    config, source = CLASSES[name]
    model = narrowed(config)
    if name == 'RTMDet':
        model.data_preprocessor.pad_size_divisor = 32  # without it, it is refused with that line
    cfg = distilled(model, model, save_detector(model, tmp_path / 't.pth'), source)
    detector, batch = build(cfg), batch_for(model)
    own = losses_of(build(Config(dict(model=model))), batch)
    history = steps(detector, batch, 4)
    assert history[0].keys() == {*own, 'hint.loss_feat'}
    assert history[-1]['hint.loss_feat'] < history[0]['hint.loss_feat']
    moved = [key for key in own if 'loss' in key and history[-1][key] != history[0][key]]
    assert moved == [key for key in own if 'loss' in key and history[0][key] != 0]
    assert_same(predictions(detector, batch), predictions(plain_of(cfg, detector), batch))


@pytest.mark.slow
@pytest.mark.parametrize('name', CLASSES)
def test_it_teaches_maps_to_another_class(name, student_cfg, tmp_path):
    """To a Faster R-CNN, whose levels are named where not each has a partner; heads of the teacher do not run."""
    config, source = CLASSES[name]
    source = 'neck' if source == 'memory' else source
    model = narrowed(config)
    if name == 'BoxInst':
        model.data_preprocessor.type = 'DetDataPreprocessor'  # its own needs skimage, to make masks of boxes
        for key in (
            'mask_stride',
            'pairwise_size',
            'pairwise_dilation',
            'pairwise_color_thresh',
            'bottom_pixels_removed',
        ):
            model.data_preprocessor.pop(key)
    levels = LEVELS.get(name, {})
    student = student_cfg.model
    cfg = distilled(student, model, save_detector(model, tmp_path / 't.pth'), source, **levels)
    detector = build(cfg)
    run = set()
    for part_name, part in detector.teacher.detector.named_children():
        part.register_forward_hook(lambda *_, called=part_name: run.add(called))
    history = steps(detector, batch_for(student), 3)
    assert run - {'data_preprocessor'} == ({'backbone', 'neck'} if source == 'neck' else {'backbone'})
    assert history[-1]['hint.loss_feat'] < history[0]['hint.loss_feat']


#: Which levels of a Faster R-CNN (strides 4 to 64) are compared with which of a teacher, where that is not decided.
LEVELS = {
    'SOLOv2': {},
    'CondInst': dict(levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)),
    'BoxInst': dict(levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)),
    'DETR': dict(levels=(3,), teacher_levels=(0,)),
    'DeformableDETR': dict(levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)),
    'DINO': dict(levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)),
    'DDQDETR': dict(levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)),
    'RTMDet': dict(levels=(1, 2, 3), teacher_levels=(0, 1, 2)),
    'YOLOX': dict(levels=(1, 2, 3), teacher_levels=(0, 1, 2)),
    'CenterNet': dict(levels=(0,), teacher_levels=(0,)),
    'CornerNet': dict(levels=(0,), teacher_levels=(0,)),
}
