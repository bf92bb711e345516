"""A student that starts with its teacher's neck and heads (`inherit=True`), and where that is refused."""

import copy

import pytest
import torch
from helpers.architectures import faster
from helpers.classifier import classifier_of
from helpers.distil import HINT, build, distilled_cfg, losses_of, raw_batch, save_teacher
from helpers.one_stage import retinanet
from helpers.tiny import CLASSES
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config, student_state_dict

FAMILIES = {'two-stage': (faster, {'neck', 'rpn_head', 'roi_head'}), 'one-stage': (retinanet, {'neck', 'bbox_head'})}


@pytest.fixture
def pair(student_cfg, teacher_cfg, tmp_path):
    """A student whose neck and heads are as wide as those of its teacher, and the weights of that."""
    return alike(faster(student_cfg), faster(teacher_cfg), tmp_path)


def alike(student, teacher, folder, **inherit):
    """The student's config, distilled; its neck and heads as wide as the teacher's, the backbone its own."""
    for part in ('neck', 'rpn_head', 'roi_head', 'bbox_head'):
        if part in teacher.model:
            student.model[part] = copy.deepcopy(teacher.model[part])
    student.model.neck.in_channels = [8, 16, 32, 64]
    teacher.model.neck.in_channels = [8, 16, 32, 64]  # and so a backbone of another depth
    teacher.model.backbone.update(base_channels=8, depth=34)
    checkpoint = save_teacher(teacher, folder / 'of_the_teacher.pth', dataset_meta={'classes': CLASSES})
    cfg = distilled_cfg(student, teacher, checkpoint, hint=HINT)
    cfg.model.teacher.update(inherit or dict(inherit=True))
    return cfg


def without(cfg):
    cfg = copy.deepcopy(cfg)
    del cfg.model.teacher['inherit']
    return cfg


def refused(cfg, match, init=False):
    with pytest.raises(DistillationError, match=match) as error:
        build(cfg, init=init)
    return str(error.value)


def trained(cfg):
    return torch.load(cfg.model.teacher.checkpoint, weights_only=True)['state_dict']


@pytest.mark.parametrize('family', FAMILIES)
def test_neck_and_heads_start_with_the_teachers_bits_and_the_rest_as_without(
    family, student_cfg, teacher_cfg, tmp_path
):
    architecture, parts = FAMILIES[family]
    cfg = alike(architecture(student_cfg), architecture(teacher_cfg), tmp_path)
    student, alone, weights = build(cfg).state_dict(), build(without(cfg)).state_dict(), trained(cfg)
    inherited = {key for key in student if not key.startswith(('backbone.', 'distillers.'))}
    assert {key.partition('.')[0] for key in inherited} == parts
    assert inherited < student.keys()
    for key, value in student.items():
        assert torch.equal(value, weights[key] if key in inherited else alone[key]), key
    assert not torch.equal(student['neck.fpn_convs.0.conv.weight'], alone['neck.fpn_convs.0.conv.weight'])


def test_the_student_draws_the_numbers_that_it_would_draw_without(pair):
    build(pair)
    drawn = torch.rand(4)
    build(without(pair))
    assert torch.equal(drawn, torch.rand(4))


def test_it_inherits_what_was_trained_and_not_what_was_made_fast(student_cfg, teacher_cfg, tmp_path):
    """A norm in the neck is folded into its convolution in the teacher that runs."""
    for cfg in (student_cfg, teacher_cfg):
        cfg.model.neck.norm_cfg = dict(type='BN')
    cfg = alike(faster(student_cfg), faster(teacher_cfg), tmp_path, inherit=True, precision='bfloat16')
    weights = trained(cfg)
    for key in weights:
        if key.startswith('neck.') and key.endswith(('running_mean', 'running_var', 'bn.weight')):
            weights[key] = weights[key] + 0.5
    torch.save({'state_dict': weights, 'meta': {}}, cfg.model.teacher.checkpoint)
    detector = build(cfg)
    assert next(detector.teacher.detector.neck.parameters()).dtype == torch.bfloat16
    for key, value in detector.neck.state_dict().items():
        assert torch.equal(value, weights[f'neck.{key}']), key


def test_the_student_trains_what_it_has_inherited_and_the_teacher_stays(pair):
    detector = build(pair)
    inherited = {key: value.clone() for key, value in detector.neck.state_dict().items()}
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.1)
    losses = losses_of(detector, raw_batch())
    sum(detector.parse_losses(losses)[:1]).backward()
    optimizer.step()
    assert not torch.equal(detector.neck.state_dict()['fpn_convs.0.conv.weight'], inherited['fpn_convs.0.conv.weight'])
    detector.teacher.detector.neck.requires_grad_(True)  # it is not the same memory
    before = detector.teacher.detector.neck.lateral_convs[0].conv.weight.clone()
    with torch.no_grad():
        detector.neck.lateral_convs[0].conv.weight.fill_(7)
    assert torch.equal(detector.teacher.detector.neck.lateral_convs[0].conv.weight, before)


def test_a_runner_starts_with_it_and_load_from_comes_after(pair, tmp_path):
    start = tmp_path / 'start.pth'
    for load_from in (None, start):
        pair.work_dir, pair.load_from = str(tmp_path / f'run{load_from is None}'), load_from and str(load_from)
        pair.experiment_name = f'inherits-{load_from is None}'
        runner = Runner.from_cfg(pair)
        runner.train_loop.run = lambda: None  # what comes before the first step is asked
        runner.train()
        weights = runner.model.state_dict()
        if load_from is None:
            assert torch.equal(weights['neck.fpn_convs.0.conv.weight'], trained(pair)['neck.fpn_convs.0.conv.weight'])
            others = {key: torch.full_like(value, 3) for key, value in weights.items()}
            torch.save({'state_dict': others, 'meta': {}}, start)
    assert all((value == 3).all() for value in weights.values())


def test_the_log_says_what_was_inherited_and_which_settings_differ(pair, log):
    build(pair)
    (line,) = (line for line in log if 'inherit=True' in line)
    assert "The student starts with its teacher's weights in neck, roi_head, rpn_head (" in line
    assert 'differ' not in line
    log.clear()
    pair.merge_from_dict({'model.roi_head.bbox_head.reg_decoded_bbox': True})  # of the same shapes, it means others
    build(pair)
    (line,) = (line for line in log if 'inherit=True' in line)
    assert 'roi_head.bbox_head.reg_decoded_bbox (not there) -> True' in line


def test_a_test_and_an_export_do_not_ask_for_the_teacher(pair, tmp_path):
    weights = build(pair).state_dict()
    pair.model.teacher.checkpoint = str(tmp_path / 'gone.pth')
    detector = build(pair, init=False)
    detector.load_state_dict(weights)
    plain_cfg = plain_student_config(pair)
    assert 'inherit' not in str(plain_cfg.model)
    plain = build(plain_cfg, init=False)
    plain.load_state_dict(student_state_dict(weights))
    picture = raw_batch((1,))
    for model in (detector, plain):
        model.eval()
    with torch.no_grad():
        found, same = (model.test_step(copy.deepcopy(picture))[0].pred_instances for model in (detector, plain))
    assert torch.equal(found.bboxes, same.bboxes)
    assert torch.equal(found.scores, same.scores)


# What is refused


def test_other_shapes_and_names_are_refused_at_build_with_the_list(pair):
    wide = copy.deepcopy(pair)
    wide.model.teacher.config.model.neck.out_channels = 40
    said = refused(wide, 'Leave inherit out, or give both sides the same neck and heads')
    assert 'neck.lateral_convs.0.conv.weight (32, 8, 1, 1), of the teacher (40, 8, 1, 1)' in said
    build(without(wide), init=False)

    for side, other in ((pair.model, 'teacher'), (pair.model.teacher.config.model, 'student')):
        side.neck.norm_cfg = dict(type='BN')
        said = refused(pair, r'and \d+ more')
        side.neck.norm_cfg = None
        assert f'neck.lateral_convs.0.bn.weight, which the {other} lacks' in said


def test_two_heirs_are_refused_and_one_of_two_teachers_may_give(pair):
    teacher = pair.model.pop('teacher')
    pair.model.teachers = dict(first=teacher, second=dict(teacher, inherit=False))
    pair.model.distillers = dict(hint=dict(HINT, teacher='first'), other=dict(HINT, teacher='second'))
    student = build(pair).state_dict()
    weights = torch.load(teacher.checkpoint, weights_only=True)['state_dict']
    assert torch.equal(student['neck.fpn_convs.0.conv.weight'], weights['neck.fpn_convs.0.conv.weight'])
    pair.model.teachers.second.inherit = True
    refused(pair, 'cannot inherit from first and second: keep inherit=True in one')


def test_a_classifier_has_no_heads_to_give(student_cfg):
    student = retinanet(student_cfg)
    cfg = distilled_cfg(student, classifier_of(student), None, hint=HINT)
    cfg.model.teacher.update(type='ClassifierTeacher', inherit=True)
    refused(cfg, "ClassifierTeacher has no 'inherit'")


def test_classes_in_another_order_are_refused_though_no_distiller_compares_them(pair, warned):
    weights = torch.load(pair.model.teacher.checkpoint, weights_only=True)
    weights['meta']['dataset_meta']['classes'] = CLASSES[::-1]
    torch.save(weights, pair.model.teacher.checkpoint)
    refused(pair, 'Leave teacher.inherit out', init=True)
    build(without(pair))
    assert 'No distiller compares classes' in warned[-1]
    pair.model.teacher.classes_by_name = True
    refused(pair, 'teacher.inherit and teacher.classes_by_name do not go together')
