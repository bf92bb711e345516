"""Law 5: whatever makes a teacher fast is undone where it changes what a distiller asks for."""

import copy

import pytest
import torch
from helpers.architectures import DCN, DCNV2, cascade, deformable
from helpers.classifier import classifier_of
from helpers.distil import AS_ALONE
from helpers.one_stage import atss, fcos, gfl
from helpers.teachers import CPU, answers, assert_close, loaded, said, trained
from helpers.trained import pictures, randomise_as_trained
from helpers.two_stage import after, with_masks
from mmdet.registry import MODELS
from torch import nn

from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import ClassifierTeacher, DetectorTeacher
from mmdet_kd.teachers.speed import Speed, SpeedUp
from mmdet_kd.teachers.verification import describe, picture_for, relative_difference, speed_up, try_speed_up

pytestmark = pytest.mark.usefixtures('verified_on_the_whole_picture')

# Real operators that read raw memory.


def standardised(cfg):
    """Batch norm after convolutions whose weights are standardised cannot be folded into them."""
    cfg = deformable(cfg, None)
    cfg.model.backbone.update(type='DetectoRS_ResNet', conv_cfg=dict(type='ConvAWS'))
    return cfg


def dyhead(cfg):
    cfg = atss(cfg)
    width = cfg.model.neck.out_channels
    cfg.model.neck = [cfg.model.neck, dict(type='DyHead', in_channels=width, out_channels=width, num_blocks=1)]
    return cfg


def centernet(cfg):
    cfg = copy.deepcopy(cfg)
    channels = cfg.model.backbone.base_channels * 8
    cfg.model = dict(
        type='CenterNet',
        data_preprocessor=cfg.model.data_preprocessor,
        backbone=cfg.model.backbone,
        neck=dict(
            type='CTResNetNeck',
            in_channels=channels,
            num_deconv_filters=(16, 16, 8),
            num_deconv_kernels=(4, 4, 4),
            use_dcn=True,
        ),
        bbox_head=dict(type='CenterNetHead', num_classes=3, in_channels=8, feat_channels=8),
    )
    return cfg


def fcos_with_dcn(cfg):
    cfg = fcos(cfg)
    cfg.model.bbox_head.update(dcn_on_last_conv=True)
    return cfg


def tood(cfg):
    cfg = atss(cfg)
    cfg.model.type = 'TOOD'
    head = cfg.model.bbox_head
    head.update(type='TOODHead', stacked_convs=2, anchor_type='anchor_free', num_dcn=1, norm_cfg=None)
    head.initial_loss_cls, head.loss_cls = head.loss_cls, dict(type='QualityFocalLoss', use_sigmoid=True)
    cfg.model.train_cfg = dict(
        initial_epoch=4,
        initial_assigner=cfg.model.train_cfg.assigner,
        assigner=dict(type='TaskAlignedAssigner', topk=13),
        alpha=1,
        beta=6,
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    )
    return cfg


CASES = {
    'backbone, DCN': (lambda cfg: deformable(cfg, DCN), ('backbone', 'neck'), 'channels-last of backbone: '),
    'backbone, DCNv2': (lambda cfg: deformable(cfg, DCNV2), ('backbone', 'neck'), 'channels-last of backbone: level 3'),
    'backbone, ConvAWS': (standardised, ('backbone', 'neck'), 'batch norm folded of backbone: level'),
    'neck, DyHead': (dyhead, ('neck', 'dense'), 'channels-last of neck: level'),
    'neck, CenterNet': (centernet, ('neck',), 'channels-last of neck: level 0'),
    'head, DCN': (fcos_with_dcn, ('dense',), 'channels-last of bbox_head: '),
    'head, TOOD': (tood, ('dense',), 'channels-last of bbox_head: '),
}


@pytest.mark.parametrize('case', CASES)
def test_what_an_operator_cannot_take_is_undone(case, teacher_cfg, tmp_path, log):
    make, asked, undone = CASES[case]
    source = trained(make(teacher_cfg), tmp_path / 'trained.pth')
    expected = answers(loaded(source, asked, **AS_ALONE), asked)
    assert_close(answers(loaded(source, asked), asked), expected, 1e-4)
    assert undone in said(log)
    assert 'channels-last (' in said(log), 'the other parts keep it'


def test_a_part_that_stays_in_single_precision_gets_such_maps(teacher_cfg, tmp_path, log):
    """mmcv's deformable convolutions know no bfloat16 on the CPU."""
    source, asked = trained(dyhead(teacher_cfg), tmp_path / 'trained.pth'), ('neck', 'dense')
    expected = answers(loaded(source, asked, **AS_ALONE), asked)
    teacher = loaded(source, asked, precision='bfloat16')
    assert_close(answers(teacher, asked), expected, 0.2)
    assert 'bfloat16 (backbone, bbox_head)' in said(log)
    assert 'bfloat16 of neck: NotImplementedError' in said(log)
    assert {p.dtype for p in teacher.detector.neck.parameters()} == {torch.float32}
    assert {p.dtype for p in teacher.detector.backbone.parameters()} == {torch.bfloat16}


def test_a_classifier_is_verified_too(student_cfg, tmp_path, log):
    backbone = dict(type='ResNet', depth=50, base_channels=4, dcn=DCNV2, stage_with_dcn=(False, False, False, True))
    cfg = classifier_of(student_cfg, backbone=backbone)
    plain = MODELS.build(copy.deepcopy(cfg['model']))
    randomise_as_trained(plain, 'backbone')
    torch.save({'state_dict': plain.state_dict()}, tmp_path / 'classifier.pth')
    teacher = ClassifierTeacher(cfg, tmp_path / 'classifier.pth')
    teacher.load(CPU)
    crops = pictures(seed=3, size=(48, 48))
    with torch.no_grad():
        assert_close([teacher.model.logits_of(crops)], [plain.logits_of(crops)], 1e-4)
    assert '(CropClassifier) faster: nothing. Undone' in said(log)
    assert 'channels-last of classifier: ' in said(log)


# Faults of one percent, put in by hand: each quantity that is asked for is compared.


class Faulty(Speed):
    """One speed-up, which makes a module's outputs larger by a share, or breaks it otherwise."""

    def __new__(cls, *args):
        return object.__new__(cls)

    def __init__(self, path, change):
        super().__init__(False, False, None, False)
        part, _, inner = path.partition('.')
        object.__setattr__(self, 'step', SpeedUp('the fault', lambda n, m: n == part and self.put_in(m, inner), {}))
        object.__setattr__(self, 'change', change)

    def put_in(self, module, inner):
        self.change(module.get_submodule(inner))
        return True

    def speed_ups(self):
        yield self.step


def enlarge(module):
    for parameter in module.parameters(recurse=False):
        parameter.mul_(1.01)


def spoil(module):
    module.weight[0] = float('nan')


def fail(module):
    module.forward = None


def fail_in_silence(module):
    raise AssertionError


QUANTITIES = [
    ('cascade', 'backbone', 'backbone.layer4.1.bn2', 'level 3'),
    ('cascade', 'neck', 'neck.fpn_convs.0.conv', 'level 0'),
    ('cascade', 'neck', 'neck.fpn_convs.3.conv', 'level 3'),
    ('cascade', 'rpn', 'rpn_head.rpn_cls', 'scores, level'),
    ('cascade', 'rpn', 'rpn_head.rpn_reg', 'boxes, level'),
    ('cascade', 'roi', 'roi_head.bbox_head.0.fc_cls', 'stage 0, scores'),
    ('cascade', 'roi', 'roi_head.bbox_head.0.fc_reg', 'stage 0, box deltas'),
    ('cascade', 'roi', 'roi_head.bbox_head.2.fc_reg', 'stage 2, box deltas'),
    ('masks', 'roi.masks', 'roi_head.mask_head.1.conv_logits', 'stage 1, masks'),
    ('atss', 'dense', 'bbox_head.atss_cls', 'scores, level'),
    ('atss', 'dense', 'bbox_head.scales.4', 'boxes, level 4'),
    ('atss', 'dense', 'bbox_head.atss_centerness', 'output 2, level'),
    ('gfl', 'dense', 'bbox_head.gfl_reg', 'boxes, level'),
]
ARCHITECTURES = {'cascade': cascade, 'masks': after(cascade, with_masks), 'atss': atss, 'gfl': gfl}


@pytest.fixture
def plain(request, teacher_cfg):
    detector = MODELS.build(copy.deepcopy(ARCHITECTURES[request.param](teacher_cfg).model))
    randomise_as_trained(detector, 'backbone', 'neck')
    return detector.requires_grad_(False)


@pytest.mark.parametrize(('plain', 'kind', 'path', 'quantity'), QUANTITIES, indirect=['plain'])
def test_a_fault_of_one_percent_in_any_quantity_is_undone(plain, kind, path, quantity):
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    forms, (outcome,) = speed_up(plain, Faulty(path, enlarge), {kind})
    assert outcome.problem.startswith(quantity)
    assert 'changes by ' in outcome.problem
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())
    assert f'the fault of {path.partition(".")[0]}: {quantity}' in describe(plain, [outcome])
    assert forms.keys() >= {path.partition('.')[0]}


@pytest.mark.parametrize('plain', ['cascade'], indirect=True)
@pytest.mark.parametrize(
    ('change', 'why'),
    [
        (spoil, 'scores, level 0 is of another shape or not finite'),
        (fail, 'TypeError: '),
        (fail_in_silence, 'AssertionError: '),
    ],
)
def test_what_is_not_finite_or_fails_is_undone(plain, change, why):
    _, (outcome,) = speed_up(plain, Faulty('rpn_head.rpn_cls', change), {'rpn'})
    assert outcome.problem.startswith(why)
    assert plain.rpn_head.rpn_cls.weight.isfinite().all()


@pytest.mark.parametrize(
    ('dtype', 'undone', 'stays'), [(None, 1e-3, 1e-5), (torch.float16, 0.1, 0.01), (torch.bfloat16, 0.5, 0.1)]
)
def test_a_precision_excuses_what_it_rounds_and_no_more(dtype, undone, stays):
    conv = nn.Conv2d(3, 4, 1).requires_grad_(False)
    expected = {'weight': conv.weight.clone()}

    def problem(share):
        step = SpeedUp('the fault', lambda name, module: module.weight.mul_(1 + share) is not None, {})
        return try_speed_up(step, 'conv', conv, lambda module: {'weight': module.weight}, expected, dtype)[1].problem

    assert problem(stays) is None
    assert problem(undone).startswith('weight changes by ')


@pytest.mark.parametrize('plain', ['cascade'], indirect=True)
def test_the_picture_has_contrast_nearly_everywhere_and_in_every_channel(plain):
    """What reads a constant map at a wrong place finds the right number."""
    picture = picture_for(plain, (384, 512))
    assert picture.shape == (1, 3, 384, 512)
    blocks = picture.unfold(2, 16, 16).unfold(3, 16, 16).flatten(-2)
    assert (blocks.std(dim=-1) > 0.1).float().mean() > 0.9  # of a channel's own std; some are black or white
    assert (picture[:, 0] - picture[:, 1]).std() > 0.1


@pytest.mark.parametrize('plain', ['cascade'], indirect=True)
def test_what_changes_nothing_stays(plain):
    head = plain.rpn_head
    _, (outcome,) = speed_up(plain, Faulty('rpn_head.rpn_cls', lambda module: module.weight.mul_(1 + 1e-6)), {'rpn'})
    assert outcome.problem is None
    assert plain.rpn_head is not head


@pytest.mark.parametrize('plain', ['cascade'], indirect=True)
def test_a_part_that_changes_its_maps_in_place_is_compared_on_the_same_maps(plain):
    plain.neck.lateral_convs[0] = nn.Sequential(nn.SiLU(inplace=True), plain.neck.lateral_convs[0])
    _, (outcome,) = speed_up(plain, Faulty('neck', lambda module: None), {'neck'})
    assert outcome.problem is None


def test_a_part_that_cannot_be_run_at_all_is_an_error_with_its_cure():
    """DETR's head reads what a transformer makes, not maps."""
    teacher = DetectorTeacher('mmdet::detr/detr_r18_8xb2-500e_coco.py', None)
    with pytest.raises(DistillationError, match=r"teacher's bbox_head \(DETRHead\) cannot .*leave that distiller out"):
        teacher.load(CPU, asked={'dense'})
    assert teacher.detector is None


class TestRelativeDifference:
    VALUES = torch.tensor([3.0, -4.0])

    def test_it_is_a_ratio_of_lengths(self):
        assert relative_difference(self.VALUES + torch.tensor([0.3, 0.4]), self.VALUES) == pytest.approx(0.1)
        assert relative_difference(100 * self.VALUES, 50 * self.VALUES) == pytest.approx(1.0)

    def test_zeros_equal_zeros_alone(self):
        assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0
        assert relative_difference(torch.full((2,), 1e-9), torch.zeros(2)) == float('inf')

    @pytest.mark.parametrize('value', [float('nan'), float('inf')])
    def test_nothing_that_is_not_finite_passes(self, value):
        spoilt = torch.tensor([3.0, value])
        assert relative_difference(spoilt, self.VALUES) == float('inf')
        assert relative_difference(self.VALUES, spoilt) == float('inf')
        assert relative_difference(spoilt, spoilt) == float('inf')

    def test_another_shape_is_another_value(self):
        assert relative_difference(self.VALUES[None], self.VALUES) == float('inf')
