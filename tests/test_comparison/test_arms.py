"""What can be compared, what is taken from an earlier comparison, and what a table says of unlike arms."""

import re
from pathlib import Path

import pytest
import torch
from helpers.distil import build, distilled_cfg, save_teacher
from helpers.tiny import tiny_student_cfg, tiny_teacher_cfg, write_tiny_coco
from mmengine.config import Config

from mmdet_kd.comparison import arms_of, notes_on, number_of_parameters, trainings_of
from mmdet_kd.errors import DistillationError


@pytest.fixture
def folder(tmp_path):
    """`student.py`, `distilled.py` and its teacher's files."""
    data = write_tiny_coco(tmp_path / 'set', num_train=1, num_val=1)
    student, teacher = (make(data, 'unused') for make in (tiny_student_cfg, tiny_teacher_cfg))
    student.dump(tmp_path / 'student.py')
    teacher.dump(tmp_path / 'teacher.py')
    save_teacher(teacher, tmp_path / 'teacher.pth')
    distilled_cfg(student, 'teacher.py', 'teacher.pth').dump(tmp_path / 'distilled.py')
    return tmp_path


def configs(folder):
    return [folder / 'student.py', folder / 'distilled.py']


def change(path, **changes):
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(changes)
    cfg.dump(path)


def test_arms_are_called_after_their_files_and_know_what_they_rest_on(folder):
    arms = arms_of(configs(folder), ['--amp'], ranks=2)
    assert list(arms) == ['student', 'distilled']
    for recipe in arms.values():
        assert (recipe.flags, recipe.ranks) == (('--amp',), 2)
        assert [file.name for file in recipe.files] == ['train.json', 'val.json']
    assert arms['distilled'].weights == [folder / 'teacher.pth']


class TestWhatCannotBeCompared:
    def test_two_of_one_name(self, folder):
        (folder / 'other').mkdir()
        (folder / 'other' / 'student.py').write_text('')
        with pytest.raises(
            DistillationError, match=r'^two configs are called student\.py, and the table calls them so'
        ):
            arms_of([folder / 'student.py', folder / 'other' / 'student.py'])

    def test_what_leaves_no_numbers_or_lacks_its_start(self, folder):
        change(folder / 'student.py', val_cfg=None, val_dataloader=None, val_evaluator=None)
        change(folder / 'distilled.py', visualizer=dict(vis_backends=[]), load_from='nowhere.pth')
        with pytest.raises(DistillationError) as caught:
            arms_of(configs(folder))
        student, distilled = map(str, configs(folder))
        assert caught.value.problems == [
            f'{student} validates nothing. Set val_cfg, val_dataloader and val_evaluator',
            f"{distilled} keeps no numbers on the disk. Add dict(type='LocalVisBackend') to visualizer.vis_backends",
            f'there is no nowhere.pth, for {distilled}',
        ]

    def test_by_a_score_of_which_less_is_better(self, folder):
        """Whoever has more of it would be called better."""
        change(folder / 'student.py', **{'default_hooks.checkpoint.save_best': 'crowd_human/mMR'})
        change(folder / 'distilled.py', **{'default_hooks.checkpoint.save_best': ['val_loss']})
        arms = arms_of([folder / 'student.py'])  # mmengine takes more of it for better, too
        change(folder / 'student.py', **{'default_hooks.checkpoint.rule': 'less'})
        with pytest.raises(DistillationError) as caught:
            arms_of(configs(folder))
        assert [problem.partition(',')[0] for problem in caught.value.problems] == [
            f'{folder}/student.py keeps the best checkpoint by crowd_human/mMR',
            f'{folder}/distilled.py keeps the best checkpoint by val_loss',
        ]
        assert list(arms) == ['student']

    def test_a_teacher_whose_weights_are_missing(self, folder):
        (folder / 'teacher.pth').unlink()
        with pytest.raises(
            DistillationError, match=r"^model\.teacher\.checkpoint='teacher\.pth': there is no such file"
        ):
            arms_of(configs(folder))

    def test_a_config_that_goes_on_from_a_checkpoint(self, folder):
        """mmengine writes such a one for each session that was resumed."""
        change(folder / 'student.py', resume=True, load_from=str(folder / 'teacher.pth'))
        with pytest.raises(DistillationError, match=r'student\.py says resume=True, .*: set resume=False'):
            arms_of(configs(folder))

    @pytest.mark.parametrize(
        ('changes', 'said'),
        [
            (dict(val_evaluator=dict(type='VOCMetric')), 'student is judged by CocoMetric, distilled by VOCMetric'),
            (
                {'default_hooks.checkpoint.save_best': 'coco/bbox_mAP_s'},
                'student is judged by coco/bbox_mAP, distilled by coco/bbox_mAP_s',
            ),
        ],
    )
    def test_by_different_scores(self, folder, changes, said):
        change(folder / 'student.py', **{'default_hooks.checkpoint.save_best': 'coco/bbox_mAP'})
        change(folder / 'distilled.py', **{'default_hooks.checkpoint.save_best': 'coco/bbox_mAP'})
        arms_of(configs(folder))
        change(folder / 'distilled.py', **changes)
        with pytest.raises(DistillationError, match=f'{said}: give both the same'):
            arms_of(configs(folder))


class TestWhatATrainingIsKnownBy:
    """Beside its config and the weights that it names."""

    def test_what_the_file_of_a_teachers_config_says(self, folder):
        before = {title: recipe.fingerprint for title, recipe in arms_of(configs(folder)).items()}
        change(folder / 'teacher.py', **{'model.data_preprocessor.mean': [0.0, 0.0, 0.0]})
        after = {title: recipe.fingerprint for title, recipe in arms_of(configs(folder)).items()}
        assert after['student'] == before['student']
        assert after['distilled'] != before['distilled']

    def test_the_weights_of_a_backbone_on_this_machine(self, folder):
        weights = folder / 'backbone.pth'
        change(folder / 'student.py', **{'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=str(weights))})
        prints = []
        for value in (0.0, 1.0):
            torch.save({'state_dict': {'conv1.weight': torch.full((2,), value)}}, weights)
            prints.append(arms_of([folder / 'student.py'])['student'].fingerprint)
        assert prints[0] != prints[1]


class TestWhereTrainingsLie:
    def test_seed_by_seed_in_the_folder(self, folder):
        trainings = trainings_of(arms_of(configs(folder)), range(2), folder / 'out')
        assert [str(each) for each in trainings] == [
            *('student, seed 0', 'distilled, seed 0'),
            *('student, seed 1', 'distilled, seed 1'),
        ]
        assert trainings[-1].work_dir == folder / 'out' / 'distilled' / 'seed1'

    def test_annotations_that_changed_are_another_training(self, folder):
        (first, *_) = trainings_of(arms_of(configs(folder)), [0], folder / 'out')
        first.note(finished=True)
        (first.work_dir / 'epoch_2.pth').touch()
        annotations = folder / 'set' / 'val.json'
        annotations.write_text(annotations.read_text() + ' ')
        with pytest.raises(DistillationError, match='out/student/seed0 was trained with another config, other weights'):
            trainings_of(arms_of(configs(folder)), [0], folder / 'out')

    def test_an_arm_of_an_earlier_comparison_is_taken_from_there(self, folder):
        arms = arms_of(configs(folder))
        student, distilled = trainings_of(arms, [0], folder / 'before')
        student.note(finished=True)
        distilled.work_dir.mkdir(parents=True)  # and nothing in it
        trainings = trainings_of(arms, [0, 1], folder / 'out', folder / 'before')
        assert [(each.work_dir.relative_to(folder), each.state) for each in trainings] == [
            (Path('before/student/seed0'), 'finished'),
            *((Path(f'out/{place}'), 'new') for place in ('distilled/seed0', 'student/seed1', 'distilled/seed1')),
        ]

    def test_an_arm_that_did_not_end_is_not_taken_and_another_is_trained_anew(self, folder):
        arms = arms_of(configs(folder))
        student, distilled = trainings_of(arms, [0], folder / 'before')
        student.note(finished=False)
        distilled.note(finished=True)
        (distilled.work_dir / 'epoch_2.pth').touch()
        change(folder / 'distilled.py', **{'optim_wrapper.optimizer.lr': 0.5})
        arms = arms_of(configs(folder))
        with pytest.raises(DistillationError) as caught:
            trainings_of(arms, [0], folder / 'out', folder / 'before')
        (begun,) = caught.value.problems
        assert begun == f'{student.work_dir} did not end: go on there with the command that began it'
        student.note(finished=True)
        taken, another = trainings_of(arms, [0], folder / 'out', folder / 'before')
        assert (taken.work_dir, taken.state) == (student.work_dir, 'finished')
        assert (another.work_dir, another.state) == (folder / 'out/distilled/seed0', 'new')

    def test_a_folder_without_any_of_them_is_no_earlier_comparison(self, folder):
        with pytest.raises(
            DistillationError, match=r'nothing has none of student/seed0, distilled/seed0\. Name the fol'
        ):
            trainings_of(arms_of(configs(folder)), [0], folder / 'out', folder / 'nothing')


def test_unlike_arms_are_named(folder):
    assert notes_on(arms_of(configs(folder))) == []
    changes = {'train_cfg.max_epochs': 4, 'optim_wrapper.optimizer.lr': 0.5, 'train_dataloader.num_workers': 1}
    change(folder / 'distilled.py', **changes)
    said = 'train_cfg.max_epochs 2 -> 4, optim_wrapper.optimizer.lr 0.01 -> 0.5'
    assert notes_on(arms_of(configs(folder))) == [f'Not alike: distilled differs from student in {said}.']
    change(folder / 'distilled.py', **{'model.teacher.inherit': True})
    note, _ = notes_on(arms_of(configs(folder)))
    assert note == "Not alike: distilled starts with its teacher's neck and heads. Its gain is that of both."


def test_a_scaled_learning_rate_of_one_arm_is_named(folder):
    change(folder / 'distilled.py', auto_scale_lr=dict(enable=False, base_batch_size=16))
    arms = arms_of(configs(folder))
    assert not [note for note in notes_on(arms) if 'auto_scale_lr' in note]
    change(folder / 'distilled.py', auto_scale_lr=dict(enable=True, base_batch_size=16))
    assert [note for note in notes_on(arms_of(configs(folder))) if 'auto_scale_lr None -> 16' in note]


def test_arms_of_other_pictures_or_averages_are_unlike(folder):
    """A gain would be that of the augmentation, or of the averaged weights, as well."""
    cfg = Config.fromfile(folder / 'distilled.py')
    (flip,) = [step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomFlip']
    flip.prob = 0.25
    ramp = dict(type='LossWeightRampHook', path='distillers.*.weight', start=1.0, stop=0.0, begin=1, end=1)
    cfg.custom_hooks = [dict(type='EMAHook'), dict(type='NumClassCheckHook'), ramp]
    cfg.dump(folder / 'distilled.py')
    (note,) = notes_on(arms_of(configs(folder)))
    assert re.sub(r'pipeline\.\d', 'pipeline.N', note) == (
        'Not alike: distilled differs from student in train_dataloader.dataset.pipeline.N.prob 0.5 -> 0.25, '
        'custom_hooks [] -> [EMAHook].'
    )
    cfg.merge_from_dict(dict(custom_hooks=[ramp], **{'model.student_scale': 0.5}))
    cfg.dump(folder / 'distilled.py')
    assert notes_on(arms_of(configs(folder))) == []


def test_of_many_differences_the_first_are_named(folder):
    cfg = Config.fromfile(folder / 'distilled.py')
    cfg.optim_wrapper = dict(type='A', a=1, b=2, c=3)
    cfg.dump(folder / 'distilled.py')
    (note,) = notes_on(arms_of(configs(folder)))
    assert note.endswith(', and 1 more.')


def test_parameters_are_those_of_the_student_alone(folder):
    student, distilled = (Config.fromfile(path) for path in configs(folder))
    expected = sum(parameter.numel() for parameter in build(student, init=False).parameters())
    assert number_of_parameters(student) == number_of_parameters(distilled) == expected
