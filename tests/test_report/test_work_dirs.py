"""What finished work dirs say: scores that mmdet's own metrics have logged, costs, and which folders are refused."""

import json
import logging
import math
import shutil

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric, VOCMetric
from mmengine.logging import MMLogger

from mmdet_kd.errors import DistillationError
from mmdet_kd.report import Cost, finished_trainings
from mmdet_kd.report.work_dirs import classes_in_text, classes_of, cost_of, read_work_dir, recipe_of, sizes_of


def truth_of(tiny_set):
    """The validation set: image id -> boxes (xyxy) and labels."""
    content = json.loads((tiny_set / 'val.json').read_text())
    found = {image['id']: ([], []) for image in content['images']}
    for each in content['annotations']:
        x, y, w, h = each['bbox']
        found[each['image_id']][0].append([x, y, x + w, y + h])
        found[each['image_id']][1].append(each['category_id'] - 1)
    return found


def predicted(boxes, labels, **more):
    instances = dict(
        bboxes=torch.tensor(boxes, dtype=torch.float).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.ones(len(labels)),
    )
    return dict(pred_instances=instances, ori_shape=(64, 64), **more)


class TestCoco:
    def test_sizes_and_classes_that_have_objects(self, tiny_set):
        """All circles are found, and nothing else; all objects are small; there is no car."""
        metric = CocoMetric(ann_file=str(tiny_set / 'val.json'), metric='bbox', classwise=True)
        metric.dataset_meta = dict(classes=('circle', 'square', 'triangle'))
        truth = truth_of(tiny_set)
        assert {label for _, labels in truth.values() for label in labels} == {0, 1, 2}
        for image, (boxes, labels) in truth.items():
            circles = [index for index, label in enumerate(labels) if label == 0]
            metric.process({}, [predicted([boxes[i] for i in circles], [0] * len(circles), img_id=image)])
        logged = metric.evaluate(len(truth))
        assert classes_of(logged) == pytest.approx({'circle': 100, 'square': 0, 'triangle': 0})
        assert sizes_of(logged) == pytest.approx({'small': 100 / 3}, abs=0.05)

    def test_classes_of_boxes_and_masks_together_are_left_out(self):
        """The metric gives both one name."""
        logged = {'coco/bbox_mAP': 0.3, 'coco/circle_precision': 0.5}
        assert classes_of(logged) == {'circle': 50}
        assert classes_of({**logged, 'coco/segm_mAP': 0.2}) == {}

    def test_a_class_without_objects_is_left_out(self):
        assert classes_of({'coco/circle_precision': math.nan, 'coco/a/b_precision': 0.1}) == {'a/b': 10}


def test_kitti_is_judged_by_difficulty_and_has_no_sizes():
    levels = {'easy': 30.0, 'moderate': 20.0, 'hard': math.nan}
    logged = {f'kitti/{name}_{level}': score for name in ('Car', 'mAP') for level, score in levels.items()}
    assert sizes_of(logged) == {'easy': 30, 'moderate': 20}
    assert classes_of(logged) == {'Car': 20}


class TestVoc:
    @pytest.fixture
    def log(self, tmp_path):
        """A work dir whose log is mmengine's."""
        (tmp_path / '1' / 'vis_data').mkdir(parents=True)
        (tmp_path / '1' / 'vis_data' / 'scalars.json').write_text('{"loss": 1.0, "step": 1}\n')
        logger, handler = MMLogger.get_current_instance(), logging.FileHandler(tmp_path / '1' / '1.log')
        handler.setFormatter(logging.Formatter('%(asctime)s - %(name)s - %(levelname)s - %(message)s'))
        before = logger.level
        logger.setLevel('INFO')
        logger.addHandler(handler)
        yield logger
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(before)

    def judge(self, logger, shares, thresholds, epoch):
        """Validate: of each class its boxes are shrunk to such a share of their width."""
        metric = VOCMetric(iou_thrs=thresholds)
        metric.dataset_meta = dict(dataset_type='VOC', classes=('a b', 'c', 'no object'))
        boxes = np.array([[0, 0, 40, 40], [50, 0, 90, 40]], dtype=np.float32)
        shrunk = [[x, y, x + share * (right - x), low] for (x, y, right, low), share in zip(boxes, shares, strict=True)]
        truth = dict(bboxes=torch.tensor(boxes), labels=torch.tensor([0, 1]))
        nothing = dict(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        metric.process({}, [predicted(shrunk, [0, 1], gt_instances=truth, ignored_instances=nothing)])
        logged = metric.evaluate(1)
        logger.info(f'Epoch(val) [{epoch}][1/1]    pascal_voc/mAP: {logged["pascal_voc/mAP"]:.4f}  time: 1.0')

    def test_classes_stand_in_the_text_of_the_log(self, log, tmp_path):
        self.judge(log, (0.1, 0.1), 0.5, epoch=1)
        self.judge(log, (1.0, 0.1), 0.5, epoch=2)
        assert classes_in_text(tmp_path) == {'a b': 100, 'c': 0}

    def test_of_several_overlaps_none_is_the_score(self, log, tmp_path):
        self.judge(log, (1.0, 1.0), [0.5, 0.75], epoch=1)
        assert classes_in_text(tmp_path) == {}


def test_a_step_costs_the_median_without_the_first():
    steps = [dict(time=9.0, memory=5.0), dict(time=1.0, memory=7.0), dict(time=2.0), dict(time=3.0, memory=6.0)]
    assert cost_of(steps) == Cost(2.0, 7.0)
    assert cost_of(steps[:1]) == Cost(9.0, 5.0)
    assert cost_of([dict(loss=1.0)]) is None


class TestFolders:
    def test_of_an_arm_or_of_one_training(self, compared):
        out = compared / 'out'
        trainings = finished_trainings([out / 'slow', out / 'fast' / 'seed0'])
        assert [(each.title, each.seed, each.work_dir) for each in trainings] == [
            ('slow', 0, out / 'slow' / 'seed0'),
            ('seed0', 0, out / 'fast' / 'seed0'),
        ]
        kept = read_work_dir(trainings[0])
        (loss,) = kept.losses.values()
        assert f'loss: {loss:.4f}' in max((out / 'slow' / 'seed0').glob('*/*.log')).read_text()
        assert kept.record['run']['max_epochs'] == 1
        assert 'lr=0.001' in kept.config

    def test_that_hold_no_finished_training_are_refused_together(self, compared, tmp_path):
        copy = tmp_path / 'slow'
        shutil.copytree(compared / 'out' / 'slow' / 'seed0', copy)
        for config in copy.glob('*/vis_data/config.py'):
            config.write_text(config.read_text().replace('max_epochs=1', 'max_epochs=4'))
        (copy / 'training.json').unlink()
        (tmp_path / 'empty').mkdir()
        with pytest.raises(DistillationError) as caught:
            finished_trainings([copy, tmp_path / 'empty', compared / 'out' / 'slow'])
        assert caught.value.problems == [
            'two folders are called slow, and the report calls them so: rename one',
            f'{copy}: {copy} did not end (25 % is done): resume it',
            f'{tmp_path}/empty: {tmp_path}/empty is no work dir of a training that validated. Name one, or a config',
        ]

    def test_of_one_name_are_told_to_be_renamed_and_nothing_of_their_seeds(self, compared, tmp_path):
        shutil.copytree(compared / 'out' / 'slow', tmp_path / 'slow')
        with pytest.raises(DistillationError) as caught:
            finished_trainings([compared / 'out' / 'slow', tmp_path / 'slow'])
        assert caught.value.problems == ['two folders are called slow, and the report calls them so: rename one']

    def test_two_trainings_of_one_seed_are_refused(self, compared, tmp_path):
        """One of them would take the place of the other without a word."""
        for name in ('seed0', 'seed1'):
            shutil.copytree(compared / 'out' / 'slow' / 'seed0', tmp_path / 'slow' / name)
        with pytest.raises(DistillationError, match=r'slow/seed0 and .*slow/seed1 were both trained with seed 0'):
            finished_trainings([tmp_path / 'slow'])

    def test_that_were_kept_by_a_score_of_which_less_is_better(self, compared, tmp_path):
        shutil.copytree(compared / 'out' / 'slow' / 'seed0', tmp_path / 'slow')
        for config in (tmp_path / 'slow').glob('*/vis_data/config.py'):
            config.write_text(
                f"{config.read_text()}\ndefault_hooks['checkpoint'].update(save_best='a/mMR', rule='less')\n"
            )
        with pytest.raises(DistillationError, match='keeps the best checkpoint by a/mMR, of which less is better'):
            finished_trainings([tmp_path / 'slow'])

    def test_the_arm_of_the_first_folder_comes_first_whatever_its_seeds(self, compared, tmp_path):
        """It is what the others are compared with."""
        for name, seed in (('slow', 7), ('fast', 3)):
            shutil.copytree(compared / 'out' / name / 'seed0', tmp_path / name)
            path = tmp_path / name / 'epoch_1.pth'
            checkpoint = torch.load(path, weights_only=False)
            checkpoint['meta']['seed'] = seed
            torch.save(checkpoint, path)
        assert [each.title for each in finished_trainings([tmp_path / 'slow', tmp_path / 'fast'])] == ['slow', 'fast']
        assert [each.title for each in finished_trainings([tmp_path / 'fast', tmp_path / 'slow'])] == ['fast', 'slow']

    def test_an_extended_training_that_was_interrupted_did_not_end(self, compared, tmp_path):
        """The session that goes on longer says how long the training is."""
        shutil.copytree(compared / 'out' / 'slow' / 'seed0', tmp_path / 'slow')
        (tmp_path / 'slow' / 'training.json').unlink()
        (first,) = (tmp_path / 'slow').glob('*/vis_data')
        later = tmp_path / 'slow' / '99990101_000000' / 'vis_data'
        shutil.copytree(first, later)
        text = (first / 'config.py').read_text().replace('max_epochs=1', 'max_epochs=2')
        (later / 'config.py').write_text(text.replace('resume = False', 'resume = True'))
        with pytest.raises(DistillationError, match=r'did not end \(50 % is done\): resume it$'):
            finished_trainings([tmp_path / 'slow'])
        stopping = "\ncustom_hooks = [dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP')]\n"
        (later / 'config.py').write_text((later / 'config.py').read_text() + stopping)
        with pytest.raises(DistillationError, match=r'resume it, without its EarlyStoppingHook$'):
            finished_trainings([tmp_path / 'slow'])

    def test_the_settings_are_the_last_ones_and_the_start_is_the_first(self, tmp_path):
        """mmengine writes the checkpoint that a session resumes into its `load_from`."""
        for name, text in (
            ('1', "lr = 0.1\nload_from = 'coco.pth'\nresume = False\n"),
            ('2', "lr = 0.2\nload_from = 'epoch_1.pth'\nresume = True\n"),
            ('3', "lr = 0.3\nload_from = 'epoch_2.pth'\nresume = False\n"),  # a test
        ):
            (tmp_path / name / 'vis_data').mkdir(parents=True)
            (tmp_path / name / 'vis_data' / 'config.py').write_text(text)
            if name != '3':
                (tmp_path / name / 'vis_data' / 'scalars.json').write_text(f'{{"loss": 1.0, "step": {name}}}\n')
        assert recipe_of(tmp_path).read().to_dict() == dict(lr=0.2, load_from='coco.pth', resume=False)
        assert recipe_of(tmp_path / '1') is None
