"""Students and teachers by path, package and name: what is written leads to them, and what is none is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.tiny import REPO
from mmengine.config import Config
from test_config_writer.test_own_data import FASTER, RETINANET, STOCK

from mmdet_kd.config_writer.sources import our_configs
from mmdet_kd.errors import DistillationError

FRAGMENT = 'faster-rcnn_r18_fpn.py'
DISTILLATION = 'chen2017_faster-rcnn-r18-fpn-from-r50-fpn_1x_coco.py'


def bases(folder: Path) -> str:
    return next(line for line in (folder / 'student.py').read_text().splitlines() if line.startswith('_base_'))


def test_configs_of_a_package_are_named_as_such(write, tmp_path):
    name = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
    _, distilled, _ = write(name, ['pkd'])
    assert bases(tmp_path / 'out') == f"_base_ = '{name}'"
    assert distilled.model.teacher.config == name


@pytest.mark.parametrize(
    'name',
    [
        'baselines/faster-rcnn_r18_fpn_1x_coco.py',
        'faster-rcnn_r18_fpn_1x_coco',
        f'{REPO}/configs/baselines/faster-rcnn_r18_fpn_1x_coco.py',
    ],
    ids=['folder', 'name', 'path'],
)
def test_a_config_of_this_package_is_found_by_name(write, name):
    alone, distilled, _ = write(name, ['pkd'], teacher=name)
    assert alone.model.backbone.depth == distilled.model.backbone.depth == 18
    assert distilled.model.teacher.config == 'configs/baselines/faster-rcnn_r18_fpn_1x_coco.py'


def test_what_lies_in_the_working_directory_may_be_moved_with_it(write, tmp_path, monkeypatch):
    (tmp_path / 'mine.py').write_text(f"_base_ = '{FASTER}'\n")
    monkeypatch.chdir(tmp_path)
    write('mine.py', ['pkd'])
    assert bases(tmp_path / 'out') == "_base_ = '../mine.py'"


def test_a_link_does_not_lead_astray(write, tmp_path, monkeypatch):
    (tmp_path / 'deep' / 'er').mkdir(parents=True)
    (tmp_path / 'out').symlink_to(tmp_path / 'deep' / 'er')
    (tmp_path / 'mine.py').write_text(f"_base_ = '{FASTER}'\n")
    monkeypatch.chdir(tmp_path)
    write('mine.py', ['pkd'])
    for folder in ('out', 'deep/er'):
        assert Config.fromfile(tmp_path / folder / 'distilled.py').model.backbone.depth == 50


def test_what_lies_elsewhere_is_named_by_its_whole_path(write, tmp_path, monkeypatch):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'mine.py').write_text(f"_base_ = '{FASTER}'\n")
    monkeypatch.chdir(tmp_path / 'elsewhere')
    write('../mine.py', ['pkd'])
    assert bases(tmp_path / 'out') == f"_base_ = '{tmp_path.resolve()}/mine.py'"


def test_a_fragment_of_a_teacher_says_its_checkpoint_itself(write, tmp_path):
    from mmdet_kd.config_writer import Request, plan_configs

    published = Config.fromfile(our_configs() / '_base_/teachers/faster-rcnn_r50_fpn_coco.py').teacher
    plan = plan_configs(Request(FASTER, 'faster-rcnn_r50_fpn_coco', None, None, ['pkd']), tmp_path)
    assert f"checkpoint='{published.checkpoint}'" in plan.texts['distilled.py']
    assert f"config='{published.config}'" in plan.texts['distilled.py']
    with pytest.raises(
        DistillationError, match=r'^TEACHER: name its checkpoint too, behind .*faster-rcnn_r50_fpn_1x_coco'
    ):
        plan_configs(Request(FASTER, FASTER, None, None, ['pkd']), tmp_path)


def test_a_fragment_of_a_student_is_given_what_it_lacks(write, voc_set, tmp_path):
    alone, _, notes = write(FRAGMENT, ['chen2017'], voc_set)
    assert alone.train_cfg.max_epochs == 12
    assert alone.optim_wrapper.optimizer.lr == 0.02
    assert alone.default_scope == 'mmdet'
    assert alone.model.roi_head.bbox_head.num_classes == 2
    assert 'pipeline=_base_.train_pipeline' in (tmp_path / 'out' / 'student.py').read_text()
    assert any(note.startswith('the schedule is mmdet::_base_/schedules/schedule_1x.py; --schedule') for note in notes)


def test_a_config_that_has_a_part_of_what_it_lacks_is_told_so(write, voc_set, tmp_path):
    """mmengine joins no two bases that have the same key."""
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = '{our_configs()}/_base_/students/{FRAGMENT}'\noptim_wrapper = dict(type='OptimWrapper')\n"
    )
    said = r'own\.py has no train_dataloader and no train_cfg and no default_scope, so mmdet::_base_/schedules.* have '
    with pytest.raises(DistillationError, match=f'{said}optim_wrapper, which mmengine does not join: write what it'):
        write(str(own), ['chen2017'], voc_set, teacher=FASTER)


def test_a_one_stage_fragment_is_asked_for_its_schedule(write, voc_set):
    with pytest.raises(
        DistillationError, match=r'says nothing of its schedule: give --schedule, schedule_1x_retinanet'
    ):
        write('retinanet_r50_fpn', ['fgd'], voc_set)
    alone, _, _ = write('retinanet_r50_fpn', ['fgd'], voc_set, schedule='schedule_1x_retinanet')
    assert alone.optim_wrapper.optimizer.lr == 0.01
    with pytest.raises(
        DistillationError, match=r'retinanet_r50_fpn_1x_coco\.py has a schedule of its own: leave it out'
    ):
        write(RETINANET, ['fgd'], voc_set, schedule='schedule_1x_retinanet')


@pytest.mark.parametrize(
    ('student', 'said'),
    [
        ('mmdet::faster_rcnn/none.py', r"STUDENT: there is no config 'mmdet::faster_rcnn/none\.py' \(looked at "),
        ('faster-rcnn_r19_fpn', r'STUDENT: there is no config .* Did you mean .*faster-rcnn_r18_fpn'),
        (DISTILLATION, 'is a distillation already: name the student that it builds on, its `_base_`'),
        (
            f'{STOCK}/grounding_dino/grounding_dino_swin-t_finetune_16xb2_1x_coco.py',
            'holds a GroundingDINO, which cannot be a student: it reads texts beside pictures',
        ),
        (f'{STOCK}/lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py', 'holds a LAD, which cannot be a student: it loads'),
        ('mmdet::_base_/default_runtime.py', 'has no `model` with a `type`: name the config of a detector'),
        (FRAGMENT, 'says nothing of its data: give --data ROOT, or a whole config'),
    ],
)
def test_what_can_be_no_student_is_refused(write, tmp_path, student, said):
    with pytest.raises(DistillationError, match=said) as refused:
        write(student, ['pkd'], teacher=FASTER)
    assert len(refused.value.problems) == 1
    assert len(str(refused.value)) < 600
    assert not (tmp_path / 'out').exists()


def test_a_package_that_is_not_there_is_one_message(write):
    name = f'{STOCK}/timm_example/retinanet_timm-tv-resnet50_fpn_1x_coco.py'
    with pytest.raises(
        DistillationError,
        match=r'imports what is not there \(Failed to import mmpretrain\.models\): install it, or add',
    ):
        write(name, ['pkd'], teacher=FASTER)


def test_ssds_fragment_wants_data_of_its_size(write, voc_set):
    with pytest.raises(DistillationError, match=r'wants pictures of one size, .* such as those in .*configs/baselines'):
        write('ssd300_vgg16', ['fkd'], voc_set)


def test_a_student_in_the_other_style_is_refused_with_the_command_that_turns_it(write, voc_set, tmp_path, monkeypatch):
    import mmdet

    name = next(Path(mmdet.__file__).parent.glob('configs/faster_rcnn/faster_rcnn_r50_fpn_1x_coco.py'), None)
    if name is None:  # mmdet's wheel has none
        (tmp_path / 'lazy.py').write_text(
            'from mmdet.models.detectors import FasterRCNN\nmodel = dict(type=FasterRCNN)\n'
        )
        name = tmp_path / 'lazy.py'
    with pytest.raises(DistillationError, match=r'on which no `_base_` can build\. Write it as .*python -c') as refused:
        write(str(name), ['pkd'], teacher=FASTER)
    command = str(refused.value).partition('python -c ')[2].strip('"')
    monkeypatch.chdir(tmp_path)
    exec(command)
    assert Config.fromfile('student_with_strings.py').model.type.endswith('FasterRCNN')
    assert os.path.exists('student_with_strings.py')


@pytest.mark.parametrize(
    ('name', 'kind', 'detector'),
    [
        ('deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', '', 'DeformableDETR'),
        ('rpn/rpn_r50_fpn_1x_coco.py', 'OneStage', 'RPN'),
        ('tridentnet/tridentnet_r50-caffe_1x_coco.py', 'TwoStage', 'TridentFasterRCNN'),
        ('solov2/solov2_r50_fpn_1x_coco.py', '', 'SOLOv2'),
    ],
)
def test_a_detector_of_any_class_keeps_its_class(write, name, kind, detector):
    _, distilled, _ = write(f'{STOCK}/{name}', ['pkd'] if 'trident' not in name else ['chen2017-cls'], teacher=FASTER)
    assert distilled.model.type == f'KnowledgeDistillation{kind}Detector'
    assert distilled.model.detector == detector
