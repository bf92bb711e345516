"""A detector learns the classes of its own training set, whoever else is in the process; by mmengine's Runner alone."""

import copy
import json
import uuid
from pathlib import Path

import pytest
from helpers import tiny_student_cfg, write_tiny_coco
from helpers.distil import HINT, ROI, distilled_cfg, save_teacher
from helpers.tiny import CLASSES, REPO, log_of
from helpers.training import LossRecorder
from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config
from mmdet_kd.hooks import TrainingClassesHook
from mmdet_kd.hooks.training_classes_hook import built_loops

TURNED = CLASSES[::-1]


@pytest.fixture
def cfg(tmp_path, teacher_cfg):
    """One step of a student on a set of its own, with a teacher of the same classes."""
    return distilled_on(tmp_path, teacher_cfg, CLASSES)


def distilled_on(folder, teacher_cfg, classes, **distillers):
    root = write_tiny_coco(folder / '_'.join(classes), num_train=2, num_val=1, classes=classes)
    checkpoint = save_teacher(teacher_cfg, folder / 'teacher.pth', dataset_meta={'classes': CLASSES})
    student = tiny_student_cfg(root, folder / 'run', **{'train_cfg.max_epochs': 1})
    return distilled_cfg(student, teacher_cfg, checkpoint, **(distillers or {'roi': ROI}))


def runner_of(cfg):
    cfg.experiment_name = uuid.uuid4().hex
    runner = Runner.from_cfg(cfg)
    runner.register_hook(recorder := LossRecorder())
    return runner, recorder.steps


def turn(dataset):
    """Let a data set list its classes the other way round, in a file that does so too."""
    root = write_tiny_coco(Path(dataset.data_root) / 'turned', num_train=2, num_val=1, classes=TURNED)
    dataset.update(data_root=f'{root}/', metainfo=dict(classes=TURNED))


def test_by_our_runtime_fragment_mmengine_trains(cfg):
    """So mmdet's own tools/train.py does."""
    runtime = Config.fromfile(REPO / 'configs' / '_base_' / 'default_runtime.py')
    del cfg.default_hooks['training_classes']
    cfg.merge_from_dict(dict(default_hooks=runtime.default_hooks, custom_imports=runtime.custom_imports))
    runner, steps = runner_of(cfg)
    runner.train()
    assert 'roi.loss_cls' in steps[0]


def test_a_plain_config_does_without_it(cfg):
    assert 'training_classes' in cfg.default_hooks
    assert 'training_classes' not in plain_student_config(cfg).default_hooks


class TestWithoutTheHook:
    def test_scores_are_not_compared(self, cfg):
        del cfg.default_hooks['training_classes']
        runner, steps = runner_of(cfg)
        with pytest.raises(DistillationError, match='nobody told the detector') as caught:
            runner.train()
        (problem,) = caught.value.problems
        for cure in (
            'tools/train.py',
            "custom_hooks=[dict(type='TrainingClassesHook')]",
            'detector.set_classes(names)',
        ):
            assert cure in problem
        assert not steps

    def test_maps_are(self, tmp_path, teacher_cfg):
        cfg = distilled_on(tmp_path, teacher_cfg, TURNED, hint=HINT)
        del cfg.default_hooks['training_classes']
        runner, steps = runner_of(cfg)
        runner.train()
        assert 'No distiller compares classes' not in log_of(Path(runner.work_dir))
        assert any(name.startswith('hint.loss_') for name in steps[0])


class TestTheDataSets:
    def refused(self, cfg):
        runner, steps = runner_of(cfg)
        with pytest.raises(DistillationError) as caught:
            runner.train()
        assert not steps
        (problem,) = caught.value.problems
        return problem

    def test_a_validation_set_in_another_order(self, cfg):
        """Here the teacher has the order of the validation set."""
        turn(cfg.train_dataloader.dataset)
        problem = self.refused(cfg)
        assert "the training set lists its classes as ('triangle', 'square', 'circle'), the validation set" in problem
        assert "metainfo=dict(classes=('triangle', 'square', 'circle',)) into val_dataloader.dataset" in problem

    def test_a_test_set_in_another_order_is_refused_when_it_is_built(self, cfg):
        turn(cfg.test_dataloader.dataset)
        runner, steps = runner_of(cfg)
        runner.train()
        assert steps
        with pytest.raises(DistillationError, match=r"the test set as \('triangle', .* into test_dataloader\.dataset"):
            runner.test()

    def test_parts_whose_difference_mmengine_is_told_to_ignore(self, cfg):
        part, other = cfg.train_dataloader.dataset, copy.deepcopy(cfg.train_dataloader.dataset)
        turn(other)
        cfg.train_dataloader.dataset = dict(type='ConcatDataset', ignore_keys=['classes'], datasets=[part, other])
        problem = self.refused(cfg)
        assert "as ('circle', 'square', 'triangle'), another part of it as ('triangle', 'square', 'circle')" in problem
        assert problem.count('into each of its parts') == 1

    def test_classes_in_another_order_than_the_annotation_file(self, cfg):
        """mmdet numbers labels in the file's order, so the names would be those of other labels."""
        for split in ('train', 'val'):
            cfg[f'{split}_dataloader'].dataset.metainfo.classes = TURNED
        runner, steps = runner_of(cfg)
        with pytest.raises(
            DistillationError, match=r'the config lists its classes in another order than .*train\.json'
        ):
            runner.train()
        assert not steps

    def test_a_class_without_an_object_is_refused_unless_it_is_meant(self, cfg):
        path = Path(cfg.train_dataloader.dataset.data_root, 'train.json')
        content = json.loads(path.read_text())
        content['annotations'] = [each for each in content['annotations'] if each['category_id'] != 2]
        path.write_text(json.dumps(content))
        assert "has an object 'square', which the config asks for" in self.refused(cfg)
        cfg.allow_absent_classes = True
        runner, _ = runner_of(cfg)
        assert runner.train_loop
        TrainingClassesHook().before_run(runner)
        assert runner.model._class_names == CLASSES

    def test_a_string_in_the_place_of_a_tuple(self, cfg):
        for split in ('train', 'val'):
            cfg[f'{split}_dataloader'].dataset.metainfo.classes = 'circle'
        runner, steps = runner_of(cfg)
        with pytest.raises(DistillationError) as caught:
            runner.train()
        assert not steps
        for problem, split in zip(caught.value.problems, ('train', 'val'), strict=True):
            assert problem.startswith(f"{split}_dataloader.dataset.metainfo has classes='circle', a string")
            assert "comma to be a tuple: classes=('circle',)" in problem


def test_two_runners_in_one_process_do_not_mix(tmp_path, teacher_cfg):
    """The second one has all that it trains on built, and was the last to say so, when the first one starts."""
    first, steps = runner_of(distilled_on(tmp_path / 'first', teacher_cfg, CLASSES))
    second, steps_of_second = runner_of(distilled_on(tmp_path / 'second', teacher_cfg, TURNED))
    assert second.train_loop.dataloader.dataset.metainfo['classes'] == TURNED
    first.train()
    assert steps
    with pytest.raises(DistillationError, match='in another order'):
        second.train()
    assert not steps_of_second


def test_a_test_builds_no_training_set(cfg):
    cfg.train_dataloader.dataset.ann_file = 'gone.json'
    turn(cfg.test_dataloader.dataset)
    cfg.test_evaluator.ann_file = f'{cfg.test_dataloader.dataset.data_root}val.json'
    runner, _ = runner_of(cfg)
    assert built_loops(runner) == {}
    runner.test()
    assert list(built_loops(runner)) == ['test']
