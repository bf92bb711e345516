"""What is said of trainings as they go: their logs read, seconds that are left, and the lines that are shown."""

import json
from contextlib import redirect_stdout
from datetime import timedelta
from io import StringIO

import pytest
from helpers.tiny import call_tool, tiny_student_cfg, write_tiny_coco
from rich.console import Console

from mmdet_kd.comparison import Recipe, Training, Watch
from mmdet_kd.comparison.progress import Pace, Step, in_words, left_of_all, read_scores, read_step

LOOPS = {
    'epochs': dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1),
    'iterations': dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2),
}


@pytest.fixture(scope='module', params=LOOPS)
def trained(request, tmp_path_factory):
    """A training of four steps with two validations, and what it said. That by iterations has VOC's metric."""
    folder = tmp_path_factory.mktemp(request.param)
    data = write_tiny_coco(folder / 'set', num_train=4, num_val=1)
    cfg = tiny_student_cfg(data, folder / 'unused')
    cfg.train_cfg, by_epoch = LOOPS[request.param], request.param == 'epochs'
    cfg.log_processor.by_epoch = cfg.default_hooks.checkpoint.by_epoch = by_epoch
    if not by_epoch:
        cfg.train_dataloader.sampler.type = 'InfiniteSampler'
        cfg.param_scheduler = cfg.param_scheduler[:1]
        cfg.val_evaluator = dict(type='VOCMetric', metric='mAP')
    cfg.dump(folder / 'mine.py')
    training = Training('mine', Recipe(str(folder / 'mine.py')), folder / 'run', seed=0)
    with redirect_stdout(StringIO()) as said:
        call_tool('tools/train.py', *training.command(folder)[2:], f'experiment_name={request.param}')
    training.note(finished=True)
    return training, said.getvalue().splitlines(keepends=True)


MAIN = {'epochs': ('AP', 'coco/bbox_mAP'), 'iterations': ('pascal_voc/mAP', 'pascal_voc/mAP')}
TIMES = ('time', 'data_time', 'step')


def main_of(training):
    """How a table and the log call the main score."""
    return MAIN[training.work_dir.parent.name.rstrip('0')]


def records(training):
    """What mmengine's backend has kept: steps, and validations by their place."""
    (file,) = training.work_dir.glob('*/vis_data/scalars.json')
    kept = list(map(json.loads, file.read_text().splitlines()))
    return [each for each in kept if 'loss' in each], {each['step']: each for each in kept if 'loss' not in each}


def test_lines_say_what_the_backend_has_kept(trained):
    training, lines = trained
    length = training.recipe.read().train_cfg
    steps, validations = records(training)
    read = [step for line in lines if (step := read_step(line, length))]
    assert [step.share for step in read] == [0.25, 0.5, 0.75, 1.0]
    assert [step.loss for step in read] == [round(each['loss'], 4) for each in steps]
    places = ['epoch 1 of 2'] * 2 + ['epoch 2 of 2'] * 2
    assert [step.place for step in read] == (
        places if length.get('max_epochs') else [f'step {n} of 4' for n in range(1, 5)]
    )
    assert all(step.left is not None and step.left < 600 for step in read)
    scores = [found for line in lines if (found := read_scores(line))]
    kept = [{key: each[key] for key in each if key not in TIMES} for each in validations.values()]
    assert [list(each) for each in scores] == [list(each) for each in kept]
    assert [list(each.values()) for each in scores] == [pytest.approx(list(each.values()), abs=1e-4) for each in kept]
    assert main_of(training)[1] in scores[0]


def test_what_is_reached_has_the_places_of_the_loop(trained):
    training, _ = trained
    reached = training.reached()
    places = [1, 2] if training.recipe.read().train_cfg.get('max_epochs') else [2, 4]
    assert list(reached['curve']) == places
    assert reached['steps'] == 4
    _, validations = records(training)
    head, key = main_of(training)
    expected = {place: round(100 * each[key], 2) for place, each in validations.items()}
    assert {place: scores[head] for place, scores in reached['curve'].items()} == expected
    assert next(iter(reached['scores'])) == head
    assert reached['scores'] == reached['curve'][places[-1]]


def test_how_much_is_done_stands_in_the_last_checkpoint(trained):
    training, _ = trained
    assert training.share == 1.0
    if training.recipe.read().train_cfg.get('max_epochs'):
        last = training.work_dir / 'epoch_2.pth'
        last.rename(last.with_suffix('.away'))
        assert training.share == 0.5
        last.with_suffix('.away').rename(last)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_watch_shows_a_line_a_validation_where_there_is_no_terminal(trained):
    training, lines = trained
    after = Training('other', training.recipe, training.work_dir.parent / 'other', seed=0)
    clock, file = Clock(), StringIO()
    watch = Watch(Console(file=file, width=200), [training, after], clock)
    length = training.recipe.read().train_cfg

    def said():
        for line in lines:
            clock.now += 10 if read_step(line, length) else 0
            yield line

    watch.follow(training, said())
    first, last = file.getvalue().splitlines()
    _, validations = records(training)
    by_epoch = length.get('max_epochs')
    head, key = main_of(training)
    scores = [f'{head} {100 * float(f"{each[key]:.4f}"):.4g}' for each in validations.values()]
    losses = [float(line.partition('loss ')[2].partition(',')[0]) for line in (first, last)]
    place = 'epoch 1 of 2' if by_epoch else 'step 2 of 4'
    # 10 seconds for a quarter since the first step; the other one, unknown yet, is taken for as slow.
    rest = '0:00:20 left; all 2 trainings: at least 0:01:00'
    assert first == f'  mine, seed 0: {place}, loss {losses[0]:.2f}, {scores[0]}, {rest}'
    place = 'epoch 2 of 2' if by_epoch else 'step 4 of 4'
    rest = '0:00:00 left; all 2 trainings: at least 0:00:40'
    assert last == f'  mine, seed 0: {place}, loss {losses[1]:.2f}, {scores[1]}, {rest}'


@pytest.mark.parametrize('seconds', [59, 3600 + 61, 86400 + 5, 10 * 86400])
def test_what_mmengine_says_is_left_is_read_of_any_length(seconds):
    line = f'Epoch(train)  [1][ 5/20]  lr: 1.0e-02  eta: {timedelta(seconds=seconds)}  time: 1.0  loss: nan'
    step = read_step(line, dict(max_epochs=2))
    assert (step.share, step.left) == (5 / 40, seconds)
    assert step.loss != step.loss


def test_other_lines_say_nothing():
    for line in (
        'Epoch(val) [1][ 50/100]    eta: 0:00:10  time: 0.2  data_time: 0.1',
        'Epoch(val) [1][50/50]    eta: 0:00:10  time: 0.2  data_time: 0.1  memory: 100',
        'Saving checkpoint at 1 epochs',
        ' Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.139',
    ):
        assert read_step(line, dict(max_epochs=2)) is None
        assert read_scores(line) == {}


def test_scores_of_any_metric_are_read():
    line = 'Epoch(val) [3][8/8]    kitti/Car_easy: nan  kitti/mAP_moderate: 71.2500  mine: -1.0000  time: 1.3'
    read = read_scores(line)
    assert read.pop('kitti/Car_easy') != 0
    assert read == {'kitti/mAP_moderate': 71.25, 'mine': -1.0}
    assert read_scores('Iter(test) [8/8]    pascal_voc/mAP: 0.7000  pascal_voc/AP50: 0.7000  time: 1') == {
        'pascal_voc/mAP': 0.7,
        'pascal_voc/AP50': 0.7,
    }


class TestWhatIsLeft:
    def test_of_one_goes_by_the_clock_from_the_first_step_on(self):
        """A resumed training is halfway when it is first seen; its validations count."""
        clock = Clock()
        pace = Pace(clock)
        assert pace.left(Step('', 0.5, None, 7.0)) == 7.0
        clock.now += 30
        assert pace.left(Step('', 0.6, None, 7.0)) == pytest.approx(120)  # 30 s for a tenth
        clock.now += 90
        assert pace.left(Step('', 0.7, None, 7.0)) == pytest.approx(180)  # 120 s for two tenths
        assert pace.left(Step('', None, None, None)) is None

    def test_of_all_is_that_of_each_at_its_own_pace(self):
        paces = {'alone': 100.0, 'distilled': 150.0}
        waiting = [('distilled', 1.0), ('alone', 1.0), ('distilled', 0.5)]
        assert left_of_all(30.0, paces, waiting) == (30 + 150 + 100 + 75, True)

    def test_of_all_is_at_least_so_much_while_a_pace_is_not_known(self):
        assert left_of_all(30.0, {'alone': 100.0}, [('distilled', 1.0), ('alone', 1.0)]) == (230, False)

    def test_in_words(self):
        assert in_words(3723.4) == '1:02:03'
