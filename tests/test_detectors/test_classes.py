"""The classes of the training set, of every head of the student and of every head of a teacher are the same."""

import copy

import pytest
from helpers.architectures import cascade
from helpers.distil import DENSE, HINT, ROI, build, distilled_cfg, losses_of, raw_batch, save_teacher
from helpers.narrow import narrowed
from helpers.one_stage import retinanet
from mmdet.registry import MODELS

from mmdet_kd.errors import DistillationError

CLASSES = ('circle', 'square', 'triangle')
FOUR = (*CLASSES, 'star')
FIVE = (*FOUR, 'moon')


def problem_of(cfg):
    with pytest.raises(DistillationError) as caught:
        build(cfg)
    (problem,) = caught.value.problems
    return problem


def with_classes(cfg, names, count):
    """The config of a detector that says it knows `names`, and has `count` classes in its head."""
    cfg.train_dataloader.dataset.metainfo = dict(classes=names)
    (cfg.model.get('roi_head') or cfg.model).bbox_head.num_classes = count
    return cfg


def taught(student, teacher, folder, names=None, **distillers):
    """A distillation by a teacher whose checkpoint names `names`."""
    meta = {} if names is None else {'dataset_meta': {'classes': names}}
    return distilled_cfg(student, teacher, save_teacher(teacher, folder / 'teacher.pth', **meta), **distillers)


@pytest.mark.parametrize('names', [None, FOUR])
def test_four_names_of_a_teacher_of_five_are_refused(student_cfg, teacher_cfg, tmp_path, names):
    """By name the fifth column, the class that nobody named, would be read as the background."""
    cfg = taught(student_cfg, with_classes(teacher_cfg, FOUR, 5), tmp_path, names, roi=ROI)
    cfg.model.teacher.classes_by_name = True
    problem = problem_of(cfg)
    assert 'names 4 classes (circle, square, triangle, star), but roi_head.bbox_head knows 5' in problem
    assert 'metainfo=dict(classes=...) of the train_dataloader.dataset of its config' in problem


def test_five_names_of_a_teacher_of_five_pass(student_cfg, teacher_cfg, tmp_path):
    cfg = taught(student_cfg, with_classes(teacher_cfg, FOUR, 5), tmp_path, FIVE, roi=ROI)
    cfg.model.teacher.classes_by_name = True
    build(cfg)


@pytest.mark.parametrize('family', [lambda cfg: cfg, retinanet])
def test_so_are_four_names_of_a_teacher_of_three(student_cfg, teacher_cfg, tmp_path, family):
    """Without classes_by_name too, and for a dense head."""
    student, teacher = family(student_cfg), with_classes(family(teacher_cfg), FOUR, 3)
    compared = {'roi': ROI} if 'roi_head' in student.model else {'dense': DENSE}
    problem = problem_of(taught(student, teacher, tmp_path, **compared))
    assert 'names 4 classes (circle, square, triangle, star), but' in problem
    assert 'bbox_head knows 3' in problem


@pytest.mark.parametrize('family', [lambda cfg: cfg, retinanet])
def test_and_four_names_of_a_student_of_three(student_cfg, teacher_cfg, tmp_path, family):
    detector = MODELS.build(taught(family(student_cfg), family(teacher_cfg), tmp_path, hint=HINT).model)
    detector.set_classes(FOUR)
    with pytest.raises(DistillationError) as caught:
        detector.init_weights()
    (problem,) = caught.value.problems
    assert problem.startswith('the training set has 4 classes (circle, square, triangle, star), but ')
    assert "bbox_head knows 3: set num_classes of the student's heads, or train_dataloader" in problem


@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_every_stage_of_a_cascade_counts(student_cfg, teacher_cfg, tmp_path, side):
    sides = {'student': cascade(student_cfg), 'teacher': cascade(teacher_cfg)}
    sides[side].model.roi_head.bbox_head[2].num_classes = 4
    problem = problem_of(taught(*sides.values(), tmp_path, roi=ROI))
    assert '3 classes (circle, square, triangle), but roi_head.bbox_head.2 knows 4: ' in problem
    assert ('the training set has' if side == 'student' else "the teacher's checkpoint") in problem


def test_where_no_distiller_compares_classes_a_teacher_may_name_what_it_likes(
    student_cfg, teacher_cfg, tmp_path, warned
):
    """A panoptic teacher names things and stuff, and its box head knows the things."""
    cfg = taught(student_cfg, with_classes(teacher_cfg, FOUR, 3), tmp_path, hint=HINT)
    build(cfg)
    assert 'the student does not know star. No distiller compares classes' in warned[0]


@pytest.fixture
def panoptic(student_cfg):
    """Panoptic FPN of three things and two classes of stuff."""
    cfg = copy.deepcopy(student_cfg)
    cfg.model = narrowed('panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py')
    return cfg


@pytest.mark.slow
def test_a_panoptic_pair_knows_things_and_stuff(panoptic, tmp_path):
    """Its box head knows the things alone, and the data and the checkpoint name both."""
    cfg = taught(panoptic, panoptic, tmp_path, FIVE, hint=HINT)
    cfg.model.teacher.inherit = True
    detector = MODELS.build(cfg.model)
    detector.set_classes(FIVE)
    detector.init_weights()
    detector.set_classes(FOUR)
    with pytest.raises(DistillationError, match=r'has 4 classes \(.*\), but panoptic_fusion_head knows 5: set num_cl'):
        detector.init_weights()


@pytest.mark.slow
def test_the_things_of_a_panoptic_teacher_are_found_by_name(panoptic, student_cfg, tmp_path):
    cfg = taught(student_cfg, panoptic, tmp_path, FIVE, roi=ROI)
    cfg.model.teacher.classes_by_name = True
    detector = MODELS.build(cfg.model)
    detector.set_classes(CLASSES[::-1])
    detector.init_weights()
    assert 'roi.loss_cls' in losses_of(detector.train(), raw_batch())
    detector.set_classes((*CLASSES[:2], 'star'))  # is stuff, which its box head does not score
    with pytest.raises(
        DistillationError, match="does not know the student's class 'star'; it knows circle, square, tri"
    ):
        detector.init_weights()


class TestADetectorInAScript:
    def detector(self, student_cfg, teacher_cfg, folder, **distillers):
        return MODELS.build(taught(student_cfg, teacher_cfg, folder, **distillers).model)

    def test_has_to_be_told_the_names(self, student_cfg, teacher_cfg, tmp_path):
        detector = self.detector(student_cfg, teacher_cfg, tmp_path, roi=ROI)
        with pytest.raises(DistillationError, match=r'nobody told .* call detector\.set_classes\(names\) before'):
            detector.init_weights()
        detector.set_classes(CLASSES)
        detector.init_weights()
        detector.set_classes(CLASSES[::-1])
        with pytest.raises(DistillationError, match='in another order'):
            detector.init_weights()

    def test_need_not_be_told_where_maps_are_compared(self, student_cfg, teacher_cfg, tmp_path, warned):
        self.detector(student_cfg, teacher_cfg, tmp_path, hint=HINT).init_weights()
        assert not warned

    def test_must_be_told_where_classes_are_found_by_name(self, student_cfg, teacher_cfg, tmp_path):
        cfg = taught(student_cfg, teacher_cfg, tmp_path, hint=HINT)
        cfg.model.teacher.classes_by_name = True
        with pytest.raises(DistillationError, match='a teacher has classes_by_name or inherit, and nobody told'):
            MODELS.build(cfg.model).init_weights()

    def test_is_told_names_and_not_a_name(self, student_cfg, teacher_cfg, tmp_path):
        detector = self.detector(student_cfg, teacher_cfg, tmp_path, hint=HINT)
        with pytest.raises(DistillationError, match=r"set_classes\(\) has classes='helmet', .*classes=\('helmet',\)"):
            detector.set_classes('helmet')


def test_a_teacher_config_without_the_comma(student_cfg, teacher_cfg):
    teacher_cfg.train_dataloader.dataset.metainfo.classes = 'helmet'
    cfg = distilled_cfg(student_cfg, teacher_cfg, None)
    with pytest.raises(DistillationError, match=r"of the teacher config has classes='helmet', .*classes=\('helmet',\)"):
        build(cfg, init=False)
