"""Bad input gets one clear error that names the cure, before anything trains."""

import copy
import warnings

import pytest
import torch
from helpers.distil import BOUNDED, HINT, METHOD, SOFT, build, distilled_cfg, save_teacher
from helpers.one_stage import retinanet
from mmdet.registry import MODELS

from mmdet_kd.errors import DistillationError


@pytest.fixture
def cfg(student_cfg, teacher_cfg, teacher_checkpoint):
    return distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)


def refused(cfg, match, init=False):
    with pytest.raises(DistillationError, match=match) as caught:
        build(cfg, init=init)
    return caught.value.problems


class TestTheTeacher:
    def test_no_such_config(self, cfg):
        cfg.model.teacher.config = 'no/such/teacher.py'
        refused(cfg, r"no teacher config 'no/such/teacher.py' \(looked at: ")

    def test_no_such_checkpoint(self, cfg):
        cfg.model.teacher.checkpoint = '/no/such/teacher.pth'
        build(cfg, init=False)  # a test needs no weights
        refused(cfg, 'no teacher checkpoint .*Train the teacher first', init=True)

    def test_an_untrained_teacher_must_be_written_out(self, cfg):
        del cfg.model.teacher['checkpoint']
        refused(cfg, 'write checkpoint=None')

    def test_an_untrained_teacher_warns(self, cfg, warned):
        cfg.model.teacher.checkpoint = None
        build(cfg)
        assert 'teaches noise' in warned[0]

    @pytest.mark.parametrize('teacher', [None, 'mmdet::x.py', {}])
    def test_something_that_is_no_teacher(self, cfg, teacher):
        cfg.model.teacher = teacher
        refused(cfg, r'teacher must be dict\(config=..., checkpoint=...\), not')

    def test_weights_that_do_not_fit_are_listed(self, cfg, teacher_cfg, tmp_path):
        path = save_teacher(teacher_cfg, tmp_path / 'other.pth')
        checkpoint = torch.load(path, weights_only=True)
        state = checkpoint['state_dict']
        state['backbone.extra'] = torch.zeros(1)
        del state['rpn_head.rpn_cls.bias']
        state['roi_head.bbox_head.fc_cls.bias'] = torch.zeros(81)
        torch.save(checkpoint, path)
        cfg.model.teacher.checkpoint = str(path)
        (problem,) = refused(cfg, 'do not fit', init=True)
        for name in ('backbone.extra', 'rpn_head.rpn_cls.bias', 'roi_head.bbox_head.fc_cls.bias'):
            assert name in problem


def test_a_student_of_another_class_of_mmdet(cfg):
    cfg.model.semantic_head = dict(type='PanopticFPNHead')
    refused(cfg, 'makes a student of a TwoStageDetector, which has no semantic_head')


#: What is written at a place, by dotted name in the model, and all that is said of it.
UNKNOWN = {
    'of the model': (
        dict(distilers={}),
        "KnowledgeDistillationTwoStageDetector has no 'distilers'. Did you mean distillers?",
    ),
    'of the plain detector': (
        dict(bakbone={}),
        "KnowledgeDistillationTwoStageDetector has no 'bakbone'. Did you mean backbone?",
    ),
    'of a part': ({'backbone.dept': 18}, "model.backbone: ResNet has no 'dept'. Did you mean depth?"),
    'type of a part': (
        {'rpn_head.type': 'RPNHed'},
        "model.rpn_head: there is no type 'RPNHed'. Did you mean RPNHead or GARPNHead?",
    ),
    'of a teacher': (
        {'teacher.chekpoint': 'a.pth'},
        "teacher: DetectorTeacher has no 'chekpoint'. Did you mean checkpoint?",
    ),
    'far from all of a teacher': (
        {'teacher.foo': 1},
        "teacher: DetectorTeacher has no 'foo'. Known are channels_last, checkpoint, classes_by_name, compile, config, "
        'fold_batch_norm, inherit, precision',
    ),
    'type of a teacher': (
        {'teacher.type': 'DetectorTeachr'},
        "teacher: 'DetectorTeachr' is not a teacher. Did you mean DetectorTeacher?",
    ),
    'of a distiller': (
        {'distillers.hint.sorce': 'neck'},
        "distillers.hint: FeatureDistiller has no 'sorce'. Did you mean source?",
    ),
    'type of a distiller': (
        {'distillers.hint.type': 'FeatureDistiler'},
        "distillers.hint: 'FeatureDistiler' is not a distiller. Did you mean FeatureDistiller?",
    ),
    'of an adapter': (
        {'distillers.hint.adapter.out_chanels': 8},
        "distillers.hint: adapter: ConvAdapter has no 'out_chanels'. Did you mean out_channels or in_channels?",
    ),
    'type of an adapter': (
        {'distillers.hint.adapter.type': 'ConvAdaptor'},
        "distillers.hint: adapter: there is no type 'ConvAdaptor'. Did you mean ConvAdapter or Conv3x3Adapter or "
        'NormConvAdapter?',
    ),
    'no type of an adapter': (
        {'distillers.hint.adapter': dict(out_channels=8)},
        'distillers.hint: adapter must be dict(type=...), not dict(out_channels). This package has ChannelAdapter, '
        'Conv3x3Adapter, ConvAdapter, LinearAdapter, NormAdapter, NormConvAdapter',
    ),
    'of a loss': (
        {'distillers.roi.loss_cls.temprature': 2},
        "distillers.roi: loss_cls: ClassWeightedSoftCrossEntropyLoss has no 'temprature'. Did you mean temperature?",
    ),
    'type of a loss': (
        {'distillers.hint.loss.type': 'HintLos'},
        "distillers.hint: loss: there is no type 'HintLos'. Did you mean HintLoss?",
    ),
}


@pytest.mark.parametrize('place', UNKNOWN)
def test_an_unknown_name_is_one_line_with_the_nearest_known_ones(cfg, place):
    written, said = UNKNOWN[place]
    cfg.merge_from_dict({f'model.{key}': value for key, value in written.items()}, allow_list_keys=False)
    if place == 'of the model':
        del cfg.model['distillers']
    elif place == 'no type of an adapter':
        cfg.model.distillers.hint.adapter = dict(out_channels=8)  # merging keeps the type
    with pytest.raises(DistillationError) as caught:
        build(cfg, init=False)
    assert str(caught.value) == said


def test_a_type_that_is_near_none_lists_ours_and_says_how_one_of_yours_is_known(cfg):
    cfg.model.distillers.roi.loss_bbox.type = 'Mine'
    (problem,) = refused(cfg, "^distillers.roi: loss_bbox: there is no type 'Mine'. This package has .*, HintLoss, ")
    assert problem.endswith("A class of your own needs custom_imports=dict(imports=['its.module'])")
    assert 'Adapter' not in problem
    assert len(problem) < 600


def test_a_name_that_several_parts_do_not_know_is_said_of_each(cfg):
    cfg.model.distillers.hint.sorce = cfg.model.distillers.roi.waight = 1
    cfg.model.distillers.hint.loss.type = 'HintLos'
    assert [problem.partition(' Did')[0] for problem in refused(cfg, '^3 problems')] == [
        "distillers.hint: FeatureDistiller has no 'sorce'.",
        "distillers.hint: loss: there is no type 'HintLos'.",
        "distillers.roi: RoIDistiller has no 'waight'.",
    ]


def test_the_keys_of_the_other_family_name_its_type(cfg, student_cfg):
    one_stage = retinanet(student_cfg).model
    keys = dict(type=cfg.model.type, teacher=cfg.model.teacher, distillers=cfg.model.distillers)
    other = copy.deepcopy(cfg)
    other.model = {**one_stage, **keys}
    cfg.model.type = 'KnowledgeDistillationOneStageDetector'
    for wrong, said in (
        (cfg, "SingleStageDetector, which has no roi_head and no rpn_head. Write type='{}TwoStageDetector'"),
        (other, "TwoStageDetector, which has no bbox_head. Write type='{}OneStageDetector'"),
    ):
        (problem,) = refused(wrong, 'makes a student of a ')
        assert problem.endswith(said.format('KnowledgeDistillation'))
        assert len(problem) < 200


def test_anchors_that_differ_on_every_level_are_one_problem(cfg, teacher_cfg):
    teacher_cfg.model.rpn_head.anchor_generator.scales = [8]
    cfg.model.teacher.config = teacher_cfg
    (problem,) = refused(cfg, r'the anchors of level 0 differ \(.*\), and so do those of 4 more: give both the same')
    assert problem.count('anchors of level') == 1
    assert len(problem) < 300


def test_a_teacher_of_another_width_is_three_keys_and_a_count(cfg, student_cfg, tmp_path):
    path = save_teacher(student_cfg, tmp_path / 'narrow.pth')
    cfg.model.teacher.checkpoint = str(path)
    (problem,) = refused(cfg, 'do not fit', init=True)
    differing = sum(value.dim() > 0 for value in torch.load(path, weights_only=True)['state_dict'].values())
    _, keys, cure = problem.splitlines()
    shown, _, count = keys.partition(' and ')
    assert shown.count(', in the config') == 3
    assert 100 < int(count.removesuffix(' more')) + 3 <= differing
    assert cure.endswith('give the config that this checkpoint was trained with')
    assert len(problem) < 500 + len(str(path))


class TestTheClasses:
    @pytest.mark.parametrize(
        ('teacher', 'message'),
        [
            (('square', 'circle', 'triangle'), 'in another order'),
            (('circle', 'square', 'star'), 'does not know triangle; the student does not know star'),
        ],
    )
    def test_other_classes_or_another_order(self, cfg, teacher_cfg, tmp_path, teacher, message):
        path = save_teacher(teacher_cfg, tmp_path / 'other.pth', dataset_meta={'classes': teacher})
        cfg.model.teacher.checkpoint = str(path)
        (problem,) = refused(cfg, message, init=True)
        assert 'metainfo=dict(classes=' in problem

    def test_the_same_classes_pass(self, cfg):
        build(cfg)

    def test_a_hint_needs_no_common_classes(self, student_cfg, teacher_cfg, tmp_path, warned):
        path = save_teacher(teacher_cfg, tmp_path / 'other.pth', dataset_meta={'classes': ('a', 'b', 'c')})
        build(distilled_cfg(student_cfg, teacher_cfg, path, hint=HINT))
        assert 'No distiller compares classes' in warned[0]

    def test_another_number(self, cfg, teacher_cfg):
        teacher_cfg.model.roi_head.bbox_head.num_classes = 20
        cfg.model.teacher.config = teacher_cfg
        refused(cfg, 'student knows 3 classes, the teacher 20')


class TestThePair:
    def test_all_problems_are_listed_at_once(self, cfg, teacher_cfg):
        teacher_cfg.model.rpn_head.anchor_generator.scales = [8]
        teacher_cfg.model.roi_head.bbox_head.num_classes = 20
        cfg.model.teacher.config = teacher_cfg
        cfg.model.distillers.hint.levels = (0, 9)
        problems = refused(cfg, '[0-9]+ problems:')
        text = '\n'.join(problems)
        assert 'distillers.rpn: RPNDistiller: the anchors of level 0 differ' in text
        assert 'distillers.roi: RoIDistiller: the student knows 3 classes' in text
        assert "distillers.hint: FeatureDistiller: the student's neck has no level 9; it has levels 0 to 4" in text

    def test_a_head_that_regresses_buckets(self, cfg):
        head = cfg.model.roi_head.bbox_head
        cfg.model.roi_head.bbox_head = dict(
            type='SABLHead', num_classes=3, cls_in_channels=head.in_channels, reg_in_channels=head.in_channels
        )
        refused(
            cfg, r'SABLHead \(stage 0\) does not say how far .* 4 deltas: .* in which bucket .* Leave loss_bbox out'
        )

    def test_strides_and_level_counts(self, cfg, teacher_cfg):
        teacher_cfg.model.rpn_head.anchor_generator.strides = [4, 8, 16, 32]
        teacher_cfg.model.neck.num_outs = 4
        cfg.model.teacher.config = teacher_cfg
        problems = refused(cfg, 'problems')
        assert any('5 levels with strides [4, 8, 16, 32, 64]' in p and '4 with strides' in p for p in problems)
        assert any("the student's neck has 5 levels" in p and 'teacher_levels' in p for p in problems)

    def test_batch_augments_under_another_normalisation(self, cfg, teacher_cfg):
        teacher_cfg.model.data_preprocessor.mean = [0.0, 0.0, 0.0]
        cfg.model.teacher.config = teacher_cfg
        cfg.model.data_preprocessor.batch_augments = [
            dict(type='BatchSyncRandomResize', random_size_range=(64, 96), size_divisor=32)
        ]
        refused(cfg, 'remove batch_augments', init=True)

    def test_a_source_that_is_not_there(self, cfg):
        cfg.model.distillers.hint.source = 'neckk'
        refused(cfg, "no 'neckk'; source must be one of backbone, neck")

    def test_a_bare_hint_between_different_channels(self, cfg):
        cfg.model.distillers.hint.adapter = None
        refused(cfg, r"16 channels at stride 4 and the teacher's 32.*ConvAdapter")


class TestTheDistillers:
    @pytest.mark.parametrize('name', ['s0', 'd5'])
    def test_a_name_under_which_detectors_log_losses(self, cfg, name):
        cfg.model.distillers = {name: HINT}
        refused(cfg, rf'distillers\.{name}: this name is taken')

    @pytest.mark.parametrize('distillers', [{}, {'hint': None}, None])
    def test_none_at_all(self, cfg, distillers):
        cfg.model.distillers = distillers
        refused(cfg, 'nothing would be distilled')

    @pytest.mark.parametrize(
        ('name', 'change', 'message'),
        [
            ('hint', dict(type='SomethingElse'), 'SomethingElse.* is not a distiller. This package has BCKD'),
            ('hint', dict(loss=dict(type='HintLoss', loss_weight=-1)), 'loss_weight must be at least 0, not -1'),
            ('roi', dict(loss_cls=dict(SOFT, temperature=0)), 'temperature must be greater than 0'),
            ('roi', dict(loss_cls=dict(SOFT, background_weight=-1.0)), 'background_weight must be at least 0'),
            ('rpn', dict(loss_bbox=dict(BOUNDED, margin=-0.1)), 'margin must be at least 0'),
            ('rpn', dict(mu=1.5), r'mu must lie in \[0, 1\], not 1.5'),
            ('roi', dict(loss_cls=None, loss_bbox=None), 'neither loss_cls nor loss_bbox'),
        ],
    )
    def test_a_wrong_setting_names_its_distiller(self, cfg, name, change, message):
        settings = {**METHOD[name], **change}
        cfg.model.distillers = {name: settings}
        refused(cfg, rf'distillers\.{name}: .*{message}')

    def test_a_distiller_that_is_no_dict(self, cfg):
        cfg.model.distillers = {'roi': 'RoIDistiller'}
        refused(cfg, r'distillers\.roi: must be dict\(type=...\)')

    def test_something_that_is_no_distiller(self, cfg):
        cfg.model.distillers = {'hint': dict(type='HintLoss')}
        refused(cfg, 'distillers.hint: ')


def test_a_training_loop_that_skips_init_weights_is_told(cfg):
    from helpers.distil import losses_of, raw_batch

    with pytest.raises(RuntimeError, match=r'init_weights\(\) first'):
        losses_of(build(cfg, init=False), raw_batch())


def test_a_detector_without_complaints_does_not_warn(cfg, warned):
    with warnings.catch_warnings():
        warnings.filterwarnings('error', module='mmdet_kd')
        build(cfg)
    assert not warned


def test_configs_are_not_changed_by_building(cfg):
    model = copy.deepcopy(cfg.model)
    model.teacher.config = model.teacher.config.to_dict()
    before = copy.deepcopy((model.distillers, model.teacher))
    MODELS.build(model)
    assert (model.distillers, model.teacher) == before
