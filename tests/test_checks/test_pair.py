"""What is said of a pair before it is checked: each fact of each sort of pair, as a reader would look it up."""

import copy

import pytest
from helpers.architectures import c4, cascade, softmax_rpn
from helpers.classifier import KD_LOC, classifier_of, kd_cls, taught_by_classifier
from helpers.detr import detr
from helpers.distil import AS_ALONE, DENSE, HINT, METHOD, ROI, RPN, build, distilled_cfg, save_teacher
from helpers.one_stage import fcos, gfl, retinanet, ssd
from helpers.tiny import CLASSES, REPO
from helpers.two_stage import with_masks
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.checks import describe_pair
from mmdet_kd.hooks import LossWeightRampHook

STDS = 'DeltaXYWHBBoxCoder of std 0.1, 0.1, 0.2, 0.2'
FOUR = (*CLASSES, 'star')
GID = Config.fromfile(REPO / 'configs/_base_/distillers/gid-two-stage.py').distillers.gid.to_dict()
CWD_CLS = Config.fromfile(REPO / 'configs/_base_/distillers/cwd-cls.py').distillers.cwd.to_dict()
FKD = Config.fromfile(REPO / 'configs/_base_/distillers/fkd-two-stage.py').distillers.fkd.to_dict()


def million(model):
    """Parameters of a plain detector."""
    return (
        f'{sum(parameter.numel() for parameter in MODELS.build(copy.deepcopy(model)).parameters()) / 1e6:.3g} million'
    )


def test_the_method_of_chen_in_all_its_lines(student_cfg, teacher_cfg, teacher_checkpoint):
    detector = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))
    distiller = 'with ClassWeightedSoftCrossEntropyLoss (loss_weight 1), TeacherBoundedL2Loss (loss_weight 0.5), '
    assert describe_pair(detector) == [
        f'student: TwoStageDetector of ResNet-18 of base width 8, FPN; {million(student_cfg.model)} parameters',
        f'teacher: FasterRCNN of ResNet-18 of base width 16, FPN; {million(teacher_cfg.model)} parameters; weights of '
        'teacher.pth',
        'distillers.hint: FeatureDistiller with HintLoss (loss_weight 0.5)',
        'distillers.hint: maps of neck, strides 4, 8, 16, 32, 64, channels 16 to 32 by ConvAdapter',
        f'distillers.rpn: RPNDistiller {distiller}the labels count 0.5 (mu)',
        'distillers.rpn: RPNHead: 3 anchors a cell, object or not by a sigmoid, boxes by DeltaXYWHBBoxCoder of std 1, '
        '1, 1, 1, on both sides',
        f'distillers.roi: RoIDistiller {distiller}the labels count 0.5 (mu)',
        f'distillers.roi: Shared2FCBBoxHead: 3 classes by a softmax, boxes by {STDS}, on both sides',
        'classes of teacher: circle, square, triangle: the same on both sides, in this order',
        'pictures for teacher: the same as for the student',
        'teacher at work: its backbone, neck, rpn_head, roi_head run once a step',
        'teacher made faster: batch norm folded (backbone); channels-last (backbone, neck, rpn_head)',
        f'adapters: {5 * (16 + 1) * 32 / 1e6:.3g} million parameters, trained with the student and left out of its '
        'export',
    ]


def two_stage(change=lambda cfg: cfg, of_teacher=lambda cfg: cfg, **distillers):
    """Makes the config of a distillation by an untrained teacher, both sides of which are changed."""
    return lambda student, teacher: distilled_cfg(change(student), of_teacher(teacher), None, **distillers)


def without_neck(**hint):
    return two_stage(c4, c4, hint=dict(HINT, source='backbone', **hint))


def decomposed(student, teacher):
    cfg = distilled_cfg(student, teacher, None, hint=HINT)
    cfg.model.backbone.update(type='Decomposed', of='ResNet', layers={'conv1': (3, 4), 'layer2.0.conv1': (3, 5)})
    cfg.model.rpn_head.update(type='Decomposed', of='RPNHead', layers={'rpn_conv': [4, 6]})
    return cfg


def at_half_the_size(student, teacher):
    cfg = distilled_cfg(student, teacher, None, rpn=RPN)
    cfg.model.student_scale = 0.5
    cfg.model.rpn_head.anchor_generator.scales = [2]
    return cfg


def normalised_otherwise(student, teacher):
    teacher.model.data_preprocessor.update(mean=[1.0, 2.0, 3.0], bgr_to_rgb=False)
    return distilled_cfg(student, teacher, None, hint=HINT)


def as_it_would_be_alone(student, teacher):
    cfg = distilled_cfg(student, teacher, None, hint=HINT)
    cfg.model.teacher.update(AS_ALONE)
    return cfg


def two_teachers(student, teacher):
    cfg = distilled_cfg(student, None, None, hint=HINT, kd_cls=kd_cls(), kd_loc=KD_LOC)
    del cfg.model['teacher']
    classifier = dict(type='ClassifierTeacher', config=classifier_of(student), checkpoint=None)
    cfg.model.teachers = dict(detector=dict(config=teacher, checkpoint=None), classifier=classifier)
    return cfg


# what makes the pair, lines that it has, subjects that it lacks
PAIRS = {
    'cascade': (
        two_stage(cascade, roi=ROI),
        [
            "distillers.roi: the student's 3 stages, Shared2FCBBoxHead: 3 classes by a softmax, boxes by "
            f'{STDS}, then Shared2FCBBoxHead: 3 classes by a softmax, boxes by DeltaXYWHBBoxCoder of std 0.05, 0.05, '
            '0.1, 0.1, then Shared2FCBBoxHead: 3 classes by a softmax, boxes by DeltaXYWHBBoxCoder of std 0.033, '
            f"0.033, 0.067, 0.067; the teacher's Shared2FCBBoxHead: 3 classes by a softmax, boxes by {STDS}",
            'teacher at work: its backbone, neck, roi_head run once a step; rpn_head never run',
        ],
        ['adapters', 'start', 'ramp'],
    ),
    'softmax RPN': (
        two_stage(softmax_rpn, rpn=RPN),
        [
            "distillers.rpn: the student's RPNHead: 3 anchors a cell, object or not by a softmax, boxes by "
            "DeltaXYWHBBoxCoder of std 1, 1, 1, 1; the teacher's RPNHead: 3 anchors a cell, object or not by a "
            'sigmoid, boxes by DeltaXYWHBBoxCoder of std 1, 1, 1, 1',
            'classes of teacher: nobody compares them',
        ],
        [],
    ),
    'a class of its own': (
        two_stage(detr, detr, hint=dict(HINT, source='memory')),
        [
            'distillers.hint: maps of memory, strides 32, channels 32 by ConvAdapter',
            'teacher at work: its backbone, neck, encoder run once a step; decoder, bbox_head never run',
        ],
        ['distillers.dense'],
    ),
    'predictions of a dense head': (
        two_stage(gfl, gfl, bckd=dict(type='BCKDDistiller'), ld=dict(type='LDDistiller', cls_weight=10.0)),
        [
            'distillers.bckd: BCKDDistiller with cls (cls_weight 1), bbox (bbox_weight 4)',
            'distillers.ld: LDDistiller with main (main_weight 0.25), region (region_weight 0.25), cls (cls_weight 10)',
            'distillers.ld: GFLHead: 3 classes by sigmoids, 1 anchors a cell, on both sides',
        ],
        ['adapters'],
    ),
    'masks': (
        two_stage(
            lambda cfg: with_masks(cascade(cfg)),
            lambda cfg: with_masks(cfg, class_agnostic=True),
            masks=dict(type='MaskDistiller', loss_mask=dict(type='SoftenedKLLoss', use_sigmoid=True)),
        ),
        [
            'distillers.masks: MaskDistiller with SoftenedKLLoss (loss_weight 1)',
            "distillers.masks: the student's 3 stages, FCNMaskHead: a mask of each of 3 classes; the teacher's "
            'FCNMaskHead: one mask for any class',
            'teacher at work: its backbone, neck, roi_head run once a step; rpn_head never run',
            'classes of teacher: nobody compares them',
        ],
        ['adapters'],
    ),
    'no neck': (
        without_neck(),
        [
            'distillers.hint: maps of backbone, strides 16, channels 128 to 256 by ConvAdapter',
            'teacher at work: its backbone run once a step; rpn_head, roi_head never run',
        ],
        [],
    ),
    'decomposed': (
        decomposed,
        ['student: TwoStageDetector of ResNet-18 of base width 8, FPN, 3 layers decomposed; '],
        [],
    ),
    'half the size': (
        at_half_the_size,
        ['pictures for teacher: the same as for the student; the student sees them at 0.5 of the size'],
        ['adapters'],
    ),
    'other normalisation': (
        normalised_otherwise,
        [
            "pictures for teacher: in its own normalisation, from the loaded ones (the student's -> its: mean "
            '[123.675, 116.28, 103.53] -> [1.0, 2.0, 3.0], bgr_to_rgb True -> False)'
        ],
        [],
    ),
    'as it would be alone': (as_it_would_be_alone, [], ['teacher made faster']),
    'FKD': (
        two_stage(fkd=dict(FKD, loss=dict(FKD['loss']))),
        ['distillers.fkd: maps of neck, strides 4, 8, 16, 32, channels 16 to 32'],
        [],
    ),
    'GID': (
        two_stage(gid=GID),
        [
            'distillers.gid: GIDDistiller with feat (feat_weight 0.0005), rel (rel_weight 40), cls (cls_weight 0.1), '
            'bbox (bbox_weight 1)',
            'distillers.gid: maps of neck, strides 4, 8, 16, 32, channels 16 to 32 by Conv3x3Adapter',
            'distillers.gid: RPNHead: 3 anchors a cell, object or not by a sigmoid, boxes by DeltaXYWHBBoxCoder of std '
            '1, 1, 1, 1, on both sides',
        ],
        [],
    ),
    'two teachers': (
        two_teachers,
        [
            'teachers.detector: FasterRCNN of ResNet-18 of base width 16, FPN; ',
            'teachers.classifier: CropClassifier of ResNet-18 of base width 8; ',
            'distillers.hint: FeatureDistiller with HintLoss (loss_weight 0.5) from teachers.detector',
            'distillers.kd_cls: ClassifierClsDistiller with SoftenedKLLoss (loss_weight 0.4) from teachers.classifier',
            f"distillers.kd_cls: the student's Shared2FCBBoxHead: 3 classes by a softmax, boxes by {STDS}; the "
            'classifier has 3 classes',
            'classes of teachers.detector: nobody compares them',
            "pictures for teachers.classifier: cut out of the student's own at the boxes, 32x32 pixels",
            'teachers.classifier at work: looks at 256 crops at once, at most',
        ],
        [],
    ),
    'classifier alone': (
        lambda student, teacher: taught_by_classifier(student, kd_cls=kd_cls()),
        ['classes of teacher: circle, square, triangle; it names none, so their number alone was compared'],
        ['adapters'],
    ),
    'RetinaNet': (
        two_stage(retinanet, retinanet),
        [
            'student: SingleStageDetector of ResNet-18 of base width 8, FPN; ',
            f'distillers.dense: RetinaHead: 3 classes by sigmoids, 3 anchors a cell, boxes by {STDS}, on both sides',
            'teacher at work: its backbone, neck, bbox_head run once a step',
        ],
        [],
    ),
    'scores of RetinaNet': (
        two_stage(retinanet, retinanet, cwd=CWD_CLS),
        ['distillers.cwd: maps of dense.cls, strides 4, 8, 16, 32, 64, channels 9'],
        [],
    ),
    'FCOS': (
        two_stage(fcos, fcos, dense=DENSE),
        ['distillers.dense: FCOSHead: 3 classes by sigmoids, points, on both sides'],
        [],
    ),
    'SSD': (
        two_stage(ssd, ssd, dense=dict(DENSE, loss_cls=dict(type='SoftenedKLLoss'))),
        [f'distillers.dense: SSDHead: 3 classes by a softmax, 3 anchors a cell, boxes by {STDS}, on both sides'],
        [],
    ),
}
QUICK = ('cascade', 'half the size', 'GID', 'two teachers', 'RetinaNet')


@pytest.mark.parametrize('name', [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in PAIRS])
def test_what_differs_from_pair_to_pair(name, student_cfg, teacher_cfg):
    make, wanted, lacking = PAIRS[name]
    lines = describe_pair(build(make(student_cfg, teacher_cfg)))
    for line in wanted:
        assert [each for each in lines if each.startswith(line) and (line.endswith(' ') or each == line)], lines
    assert not [each for each in lines if each.split(':')[0] in lacking]
    assert len(lines) <= 20


def test_classes_that_are_found_by_name_and_those_that_are_not_taught(student_cfg, teacher_cfg, tmp_path):
    teacher_cfg.model.roi_head.bbox_head.num_classes = 4
    names = ('star', 'triangle', 'square', 'circle')
    checkpoint = save_teacher(teacher_cfg, tmp_path / 'four.pth', dataset_meta=dict(classes=names))
    cfg = distilled_cfg(student_cfg, teacher_cfg, checkpoint, roi=ROI)
    cfg.model.teacher.classes_by_name = True
    lines = describe_pair(build(cfg))
    assert (
        "classes of teacher: circle, square, triangle, found by name among the teacher's 4; not taught, and "
        'background: star' in lines
    )
    assert [line for line in lines if "the teacher's Shared2FCBBoxHead: 4 classes by a softmax" in line]


def test_what_is_inherited_and_what_moves(student_cfg, teacher_cfg, tmp_path):
    teacher_cfg.model = copy.deepcopy(student_cfg.model)
    cfg = distilled_cfg(student_cfg, teacher_cfg, save_teacher(teacher_cfg, tmp_path / 'a.pth'), hint=METHOD['hint'])
    cfg.model.teacher.inherit = True
    step = LossWeightRampHook('distillers.hint.weight', 0.0, 1.0, 37, 37)
    slope = LossWeightRampHook('distillers.hint.loss.loss_weight', 5.0, 0.5, 1, 3, by_epoch=True)
    lines = describe_pair(build(cfg), [step, slope])
    assert 'start: neck, rpn_head, roi_head with the weights of teacher (inherit=True)' in lines
    assert lines[-2:] == [
        'ramp: distillers.hint.weight is 0, and 1 from iteration 37 on',
        'ramp: distillers.hint.loss.loss_weight goes from 5 to 0.5 between epoch 1 and 3',
    ]
