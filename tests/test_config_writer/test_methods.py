"""Methods under their names: the fragment that fits the student, several at once, and refusals with what does fit."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from test_config_writer.test_own_data import CASCADE, FASTER, RETINANET, STOCK

from mmdet_kd.config_writer.methods import VARIANTS
from mmdet_kd.config_writer.sources import our_configs
from mmdet_kd.errors import DistillationError

FCOS, SSD, C4 = f'{STOCK}/fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', 'ssd512_vgg16_2x_coco', 'faster-rcnn_r18_c4.py'
DETR = f'{STOCK}/detr/detr_r18_8xb2-500e_coco.py'
REPPOINTS = f'{STOCK}/reppoints/reppoints-moment_r50_fpn_1x_coco.py'


def fragment(name: str) -> Config:
    return Config.fromfile(our_configs() / '_base_' / 'distillers' / f'{name}.py')


@pytest.mark.parametrize(
    ('student', 'method', 'chosen'),
    [
        (FASTER, 'fgd', 'fgd-two-stage'),
        (RETINANET, 'fgd', 'fgd'),
        (FCOS, 'fgd', 'fgd-fcos'),
        (REPPOINTS, 'fgd', 'fgd-reppoints'),
        (CASCADE, 'gid', 'gid-two-stage'),
        (SSD, 'fkd', 'fkd-ssd512'),
        (FASTER, 'chen2017', 'chen2017'),
        (FASTER, 'chen2017-hint', 'chen2017-hint'),
        (FASTER, 'fgd-fcos', 'fgd-fcos'),  # whoever names a variant gets it
    ],
)
def test_the_fragment_is_that_for_the_student(write, student, method, chosen):
    _, distilled, notes = write(student, [method])
    assert distilled.model.distillers.to_dict() == fragment(chosen).distillers.to_dict()
    assert notes[0].endswith(f'_base_/distillers/{chosen}.py')


def test_a_detector_without_a_neck_is_compared_at_its_backbone(write, voc_set):
    _, distilled, _ = write(C4, ['chen2017'], voc_set)
    assert distilled.model.distillers.hint.source == 'backbone'


@pytest.mark.slow
def test_levels_whose_strides_are_alike_and_not_the_same_are_said(write, tmp_path):
    """An SSD300 has the cells of a RetinaNet's maps, and its strides are 300 over their number."""
    _, distilled, _ = write('ssd300_vgg16_2x_coco', ['fitnets'], teacher=RETINANET)
    fitnets = distilled.model.distillers.fitnets
    assert (fitnets.levels, fitnets.teacher_levels) == ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))
    assert '\n# 30 with 32, 60 with 64, 100 with 128.\n' in (tmp_path / 'out' / 'distilled.py').read_text()


YOLOX = f'{STOCK}/yolox/yolox_{{}}_8xb8-300e_coco.py'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('student', 'teacher', 'levels'),
    [(YOLOX.format('s'), YOLOX.format('l'), ((0, 1, 2), (0, 1, 2))), (FASTER, RETINANET, ((1, 2, 3), (0, 1, 2)))],
    ids=['three levels', 'other strides'],
)
def test_of_the_levels_that_a_method_means_those_are_compared_that_both_have(write, tmp_path, student, teacher, levels):
    _, distilled, _ = write(student, ['pkd'], teacher=teacher)
    pkd = distilled.model.distillers.pkd
    assert (pkd.levels, pkd.teacher_levels) == levels
    said = '# pkd compares the levels of the same strides, of those that it means, 0, 1, 2, 3: '
    assert said in (tmp_path / 'out' / 'distilled.py').read_text()


def test_a_classifiers_methods_are_chosen_by_the_heads_scores(write):
    _, distilled, _ = write(RETINANET, ['dicod'], teacher='classifier_r50_coco')
    assert distilled.model.distillers.to_dict() == fragment('dicod-sigmoid').distillers.to_dict()
    assert distilled.model.teacher.type == 'ClassifierTeacher'


def test_every_ending_of_a_fragments_name_is_known():
    """A new variant of a method must be told from a new part of it."""
    names = {path.stem for path in (our_configs() / '_base_' / 'distillers').glob('*.py')}
    parts = {
        'cls',
        'main',
        'cls-weighted',
        'l2',
        'l2-bounded',
        'hint',
        'hint-adapted',
        'ramp',
        'loc',
        'loc-pixels',
        'normed',
    }
    ends = {name.partition('-')[2] for name in names if '-' in name}
    for variant in VARIANTS:
        assert any(end == variant or end.endswith(f'-{variant}') for end in ends)
        ends = {end.removesuffix(variant).removesuffix('-') for end in ends} - {''}
    joined = {'cls-weighted-hint-adapted', 'cls-weighted-l2-bounded', 'l2-bounded-hint-adapted', 'pkd'}
    assert ends == parts | joined


def test_methods_add_up(write):
    _, distilled, _ = write(FASTER, ['pkd', 'chen2017-cls-weighted'])
    both = fragment('pkd-two-stage').distillers.to_dict() | fragment('chen2017-cls-weighted').distillers.to_dict()
    assert distilled.model.distillers.to_dict() == both


def test_methods_with_a_distiller_of_the_same_name_are_refused(write):
    with pytest.raises(DistillationError, match=r"chen2017 and chen2017-hint both have a distiller 'hint': leave one"):
        write(FASTER, ['chen2017', 'chen2017-hint'])


def test_hooks_of_methods_are_added_to_those_of_the_student(write, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = '{FASTER}'\ncustom_imports = dict(imports=['json'], allow_failed_imports=False)\n"
        "custom_hooks = [dict(type='EMAHook')]\n"
    )
    _, distilled, _ = write(str(own), ['chen2017-ramp', 'fgfi'])
    assert [hook.type for hook in distilled.custom_hooks] == ['EMAHook', *['LossWeightRampHook'] * 3]
    assert [hook.path for hook in distilled.custom_hooks[1:]] == [
        'distillers.rpn.mu',
        'distillers.roi.mu',
        'distillers.fgfi.weight',
    ]
    assert distilled.custom_imports.imports == ['json', 'mmdet_kd']


def test_a_distiller_that_a_fragment_leaves_out_is_not_written(write):
    _, distilled, _ = write(FASTER, ['chen2017-cls-weighted-l2-bounded'])
    assert set(distilled.model.distillers) == {'rpn', 'roi'}


def test_a_fragment_of_ones_own_is_named_by_its_path(write, tmp_path):
    own = tmp_path / 'mine.py'
    own.write_text("# Mine.\ndistillers = dict(mine=dict(type='FeatureDistiller', source='neck'))\n")
    _, distilled, _ = write(FASTER, [str(own)])
    assert distilled.model.distillers.to_dict() == dict(mine=dict(type='FeatureDistiller', source='neck'))
    assert '# Mine.\n' in (tmp_path / 'out' / 'distilled.py').read_text()
    own.write_text("distillers = dict(mine=dict(type='RoIDistiller'))\noptim_wrapper = dict(clip_grad=None)\n")
    with pytest.raises(DistillationError, match='put optim_wrapper into the student'):
        write(FASTER, [str(own)])
    own.write_text('model = dict()\n')
    with pytest.raises(DistillationError, match='it has no `distillers`: name a fragment'):
        write(FASTER, [str(own)])


@pytest.mark.parametrize(
    ('student', 'method', 'teacher', 'said'),
    [
        (
            FASTER,
            'chen2018',
            None,
            r"no 'chen2018'. Did you mean chen2017.*there are chen2017, cwd, dist, fgd, fgfi",
        ),
        (
            RETINANET,
            'chen2017',
            None,
            r'compares an RPN and a RoI head, and the student has none.* there are bckd, crosskd, cwd, dist',
        ),
        (FASTER, 'cwd-cls', None, 'compares dense heads, and the student has none'),
        (FASTER, 'masks', None, 'compares masks, and the student has none'),
        (DETR, 'bckd', None, r'compares dense heads, and the student has none.* there are cwd, fgd, '),
        (DETR, 'dist', None, 'compares dense heads, and the student has none'),
        (FASTER, 'dicod', None, 'learns from a classifier, and the teacher is a detector'),
        (FASTER, 'pkd', 'classifier_r50_coco', r'the teacher is a classifier\. .* there are dicod;'),
        (FASTER, 'dicod-hint', 'classifier_r50_coco', 'learns from a detector, and the teacher is a classifier'),
    ],
)
def test_a_method_that_does_not_fit_is_refused_with_those_that_do(write, tmp_path, student, method, teacher, said):
    with pytest.raises(DistillationError, match=said) as refused:
        write(student, [method], teacher=teacher)
    assert len(str(refused.value)) < 500
    assert not (tmp_path / 'out').exists()


def test_a_student_without_a_neck_is_told_so(write, voc_set):
    with pytest.raises(DistillationError, match=r'it compares necks, and the student has none\. .* chen2017, dist;'):
        write(C4, ['pkd'], voc_set)
