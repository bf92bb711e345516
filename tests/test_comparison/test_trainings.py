"""What a training is known by, what its work dir holds, and what is left alone."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import mmengine.config.config
import pytest
import torch
from helpers.distil import distilled_cfg, save_teacher
from helpers.tiny import REPO, tiny_student_cfg, tiny_teacher_cfg, write_tiny_coco
from mmengine.config import Config
from yapf.yapflib.yapf_api import FormatCode

from mmdet_kd.comparison import Recipe, Training, clear, train
from mmdet_kd.comparison.recipe import annotations_of
from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime.results import read_json


@pytest.fixture
def taught(tiny_set, tmp_path):
    """`taught.py`, with a teacher beside it and a start from other weights."""
    student, teacher = (make(tiny_set, tmp_path / 'run') for make in (tiny_student_cfg, tiny_teacher_cfg))
    save_teacher(teacher, tmp_path / 'teacher.pth')
    save_teacher(student, tmp_path / 'start.pth')
    cfg = distilled_cfg(student, teacher.to_dict(), 'teacher.pth')
    cfg.load_from = str(tmp_path / 'start.pth')
    cfg.dump(tmp_path / 'taught.py')
    return tmp_path / 'taught.py'


def test_a_training_without_a_score_says_why(taught, tmp_path):
    """mmdet gives no AP where a detector finds nothing at all."""
    (tmp_path / 'run').mkdir()
    training = Training('distilled', Recipe(str(taught)), tmp_path / 'run', 0)
    with pytest.raises(DistillationError) as caught:
        training.reached()
    (problem,) = caught.value.problems
    assert problem.startswith(
        f'{tmp_path}/run holds no score, though distilled, seed 0 ended: there was no validation, or'
    )
    assert 'Train longer or lower score_thr' in problem


def test_a_score_that_is_no_number_says_why(taught, tmp_path):
    """KITTI's metric gives nan where no object is of a level."""
    folder = tmp_path / 'run' / '1' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"kitti/mAP_moderate": NaN, "kitti/mAP_easy": 3.0, "step": 1}\n')
    training = Training('distilled', Recipe(str(taught)), tmp_path / 'run', 0)
    with pytest.raises(DistillationError, match=r'distilled, seed 0 says that kitti/mAP_moderate is nan: no object'):
        training.reached()


class TestTheFingerprint:
    def test_is_that_of_the_text_and_of_the_bits_of_the_weights(self, taught):
        """As it has been since benchmarks/results were written; computed here without the package."""
        cfg = Config.fromfile(taught)
        cfg.merge_from_dict({'optim_wrapper.optimizer.lr': 0.5})
        digest = hashlib.sha256(cfg.pretty_text.replace(str(REPO), '').encode())
        for name in ('teacher.pth', 'start.pth'):
            weights = torch.load(taught.parent / name, weights_only=True)['state_dict']
            for key in sorted(weights):
                digest.update(key.encode())
                digest.update(weights[key].numpy().tobytes())
        recipe = Recipe(str(taught), (('optim_wrapper.optimizer.lr', 0.5),))
        assert recipe.fingerprint == digest.hexdigest()[:16]

    def test_of_a_committed_result_is_still_the_same(self, monkeypatch):
        """Hours of training hang on it. If this config was changed on purpose, its results are of another one."""
        monkeypatch.setattr(mmengine.config.config, 'FormatCode', FormatCode)
        monkeypatch.chdir(REPO)
        row = read_json('benchmarks/results/bccd-two-stage.json')['alone']
        assert Recipe(row['config']).fingerprint == row['fingerprint']

    def test_changes_with_all_that_the_result_depends_on(self, training, tmp_path):
        file, config = tmp_path / 'annotations.json', training.recipe.config
        file.write_text('{}')
        recipes = [
            Recipe(config),
            Recipe(config, options=(('optim_wrapper.optimizer.lr', 0.5),)),
            Recipe(config, flags=('--amp',)),
            Recipe(config, ranks=2),
            Recipe(config, files=(file,)),
        ]
        prints = [recipe.fingerprint for recipe in recipes]
        file.write_text('{"a": 1}')
        prints.append(Recipe(config, files=(file,)).fingerprint)
        assert len(set(prints)) == len(prints)


def test_the_annotations_of_voc_are_a_file_a_picture(tmp_path):
    (tmp_path / 'VOC2007' / 'ImageSets' / 'Main').mkdir(parents=True)
    (tmp_path / 'VOC2007' / 'ImageSets' / 'Main' / 'train.txt').write_text('one\ntwo\n')
    voc = dict(
        type='VOCDataset',
        data_root=f'{tmp_path}/',
        ann_file='VOC2007/ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
    )
    cfg = Config(dict(train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=voc))))
    found = [path.relative_to(tmp_path / 'VOC2007') for path in annotations_of(cfg)]
    assert found == [Path('ImageSets/Main/train.txt'), Path('Annotations/one.xml'), Path('Annotations/two.xml')]


@pytest.fixture
def training(tmp_path):
    data = write_tiny_coco(tmp_path / 'set', num_train=1, num_val=1)
    tiny_student_cfg(data, 'unused').dump(tmp_path / 'plain.py')
    return Training('plain', Recipe(str(tmp_path / 'plain.py')), tmp_path / 'runs' / 'plain' / 'seed1', seed=1)


class TestWhatAWorkDirHolds:
    def test_nothing_a_begun_training_and_a_finished_one(self, training):
        assert training.state == 'new'
        training.work_dir.mkdir(parents=True)
        assert training.state == 'new'
        training.note(finished=False)
        assert training.state == 'begun'
        training.note(finished=True)
        assert training.state == 'finished'

    def test_something_else(self, training):
        training.note(finished=False)
        (training.work_dir / 'console.log').write_text('error: --amp needs a GPU')
        config = Path(training.recipe.config)
        config.write_text(config.read_text().replace('lr=0.01', 'lr=0.02'))
        others = [replace(training, recipe=Recipe(str(config))), replace(training, seed=2)]
        assert [other.state for other in others] == ['new', 'new']  # whose start failed can be mended
        steps = training.work_dir / '20261126_120000' / 'vis_data' / 'scalars.json'
        steps.parent.mkdir(parents=True)
        steps.write_text('{}')
        assert [other.state for other in others] == ['another', 'another']
        assert training.state == 'begun'  # what it is was read before

    def test_is_left_alone_unless_it_is_cleared(self, training):
        training.work_dir.mkdir(parents=True)
        mine = training.work_dir / 'epoch_1.pth'
        mine.write_text('a training of hours')
        with pytest.raises(DistillationError, match='holds what no comparison has left there: move it away, or choose'):
            train(training, REPO / 'tools', follow=None)
        assert mine.read_text() == 'a training of hours'
        training.note(finished=True)
        clear(training)
        assert mine.exists()  # its own
        other = replace(training, recipe=replace(training.recipe, flags=('--amp',)))
        with pytest.raises(
            DistillationError, match='was trained with another config, other weights, other annotations'
        ):
            train(other, REPO / 'tools', follow=None)
        assert mine.exists()
        clear(other)
        assert not training.work_dir.exists()


class TestTheCommand:
    def test_of_one_process(self, training):
        recipe = replace(training.recipe, options=(('a.b', 'c'),), flags=('--amp',))
        assert replace(training, recipe=recipe).command(Path('/tools')) == [
            *(sys.executable, '/tools/train.py', recipe.config, '--work-dir', str(training.work_dir), '--resume'),
            *('--amp', '--cfg-options', 'a.b=c', 'randomness.seed=1'),
        ]
        assert replace(training, seed=None).command(Path('/tools'))[-1] == '--resume'

    def test_of_several(self, training):
        command = replace(training, recipe=replace(training.recipe, ranks=2)).command(Path('/tools'))
        assert command[:4] == ['bash', '/tools/dist_train.sh', training.recipe.config, '2']
