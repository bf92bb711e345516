"""A resumed run is the same run: what has changed since is named and refused, or accepted and applied."""

import copy
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from helpers.distil import build, save_teacher
from helpers.tiny import call_tool, log_of
from helpers.training import assert_same_weights, distilled_run, train
from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_kd.errors import DistillationError
from mmdet_kd.hooks import RunRecordHook
from mmdet_kd.runtime import check_resumable, read_checkpoint
from mmdet_kd.runtime.resumed_state import replay
from mmdet_kd.runtime.run_record import KEY, find_record

OUTSIDER = {'type': 'SetEpochInfoHook'}  # of mmdet; nothing says that it only watches
EMA = {'type': 'EMAHook', 'momentum': 0.1}
CHANGES = {
    'lr': ({'optim_wrapper.optimizer.lr': 0.001}, r'optim_wrapper\.optimizer\.lr 0\.01 -> 0\.001'),
    'clipping': ({'optim_wrapper.clip_grad.max_norm': 1}, r'optim_wrapper\.clip_grad\.max_norm 35 -> 1'),
    'accumulation': (
        {'optim_wrapper.accumulative_counts': 2},
        r'optim_wrapper\.accumulative_counts \(not there\) -> 2',
    ),
    'a schedule': ({'param_scheduler.1.gamma': 0.5}, r'param_scheduler\.1\.gamma 0\.1 -> 0\.5'),
    'number of schedules': ({'param_scheduler': []}, r'param_scheduler \[LinearLR, MultiStepLR\] -> \[\]'),
    'mu': ({'model.distillers.roi.mu': 0.3}, r'model\.distillers\.roi\.mu \(not there\) -> 0\.3'),
    'loss weight': ({'model.distillers.hint.loss.loss_weight': 2.0}, r'model\.distillers\.hint\.loss\.loss_weight'),
    'a distiller': ({'model.distillers.hint': None}, r'model\.distillers\.hint FeatureDistiller -> \(not there\)'),
    'the student': (
        {'model.rpn_head.loss_cls.loss_weight': 2.0},
        r'model\.rpn_head\.loss_cls\.loss_weight 1\.0 -> 2\.0',
    ),
    'precision': ({'model.teacher.precision': 'float16'}, r"model\.teacher\.precision \(not there\) -> 'float16'"),
    'another teacher': (
        {'model.teacher.checkpoint': 'other.pth'},
        r'teacher checkpoint other\.pth has other weights than teach',
    ),
    'pipeline': (
        {'train_dataloader.dataset.pipeline.4.prob': 0.9},
        r'train_dataloader\.dataset\.pipeline\.4\.prob 0\.5',
    ),
    'sampler': ({'train_dataloader.sampler.shuffle': False}, r'train_dataloader\.sampler\.shuffle True -> False'),
    'batch size': ({'train_dataloader.batch_size': 4}, r'pictures in an iteration 2 -> 4'),
    'annotations': ({'train_dataloader.dataset.ann_file': 'val.json'}, r'val\.json has other contents'),
    'a hook': ({'custom_hooks': [OUTSIDER]}, r'custom_hooks \[\] -> \[SetEpochInfoHook\]'),
    'average': ({'custom_hooks': [EMA]}, r'custom_hooks \[\] -> \[EMAHook\]'),
}
NEVER = {
    'another optimizer': (
        {'optim_wrapper.optimizer.type': 'AdamW'},
        r"type 'SGD' -> 'AdamW': the saved state is of another",
    ),
    'seed': ({'randomness.seed': 7}, r'randomness\.seed 0 -> 7: a resumed run takes the seed of its checkpoint'),
    'loop': (
        {'train_cfg.type': 'IterBasedTrainLoop'},
        r'train_cfg\.type .*: the saved position is of another training',
    ),
}
SAME = {
    'nothing': {},
    'work dir': {'work_dir': 'elsewhere'},
    'logs': {'default_hooks.logger.interval': 50, 'visualizer.vis_backends': [], 'log_level': 'DEBUG'},
    'workers': {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True},
    'checkpoints': {'default_hooks.checkpoint.max_keep_ckpts': 1, 'default_hooks.checkpoint.interval': 2},
    'validation': {'train_cfg.val_interval': 2, 'val_dataloader.batch_size': 2},
    'longer': {'train_cfg.max_epochs': 5},
    'longer, a schedule that stops later': {'train_cfg.max_epochs': 5, 'param_scheduler.1.end': 5},
    'seed left open': {'randomness.seed': None},
    'a hook that watches': {'custom_hooks': [{'type': 'MemoryProfilerHook'}], 'default_hooks.timer': None},
    'pretrained weights': {'model.backbone.init_cfg': {'type': 'Pretrained', 'checkpoint': 'gone.pth'}},
}


class Run(NamedTuple):
    """A finished training: its config, the folder of its files, and its first checkpoint without the weights."""

    cfg: Config
    folder: Path
    first: dict


@pytest.fixture(scope='module')
def run(tmp_path_factory, tiny_set):
    """A distillation of two epochs, trained by the tool on a set of its own."""
    folder = tmp_path_factory.mktemp('run')
    shutil.copytree(tiny_set, folder / 'set')
    cfg = distilled_run(folder, folder / 'set', **{'train_cfg.val_interval': 2})
    call_tool('tools/train.py', folder / 'distilled.py')
    other = Config.fromfile(folder / 'teacher.py', format_python_code=False)
    other.model.rpn_head.init_cfg = {'type': 'Normal', 'layer': 'Conv2d', 'std': 0.1}
    save_teacher(other, folder / 'other.pth')
    return Run(cfg, folder, check_resumable(folder / 'run' / 'epoch_1.pth'))


def settings_of(run, changes):
    """The config with some settings changed."""
    cfg = copy.deepcopy(run.cfg)
    for name, value in changes.items():
        cfg.merge_from_dict({name: str(run.folder / value) if value == 'other.pth' else value}, allow_list_keys=True)
    return cfg


def compare(run, changes, accept=False, ranks=1):
    RunRecordHook(settings_of(run, changes), ranks, accept).compare(run.first, 'epoch_1.pth')


@pytest.mark.parametrize('change', CHANGES)
def test_what_a_run_rests_on_is_compared(run, change):
    changes, said = CHANGES[change]
    with pytest.raises(DistillationError, match=rf'(?s)epoch_1\.pth is of a run .*{said}.*--resume-changed$'):
        compare(run, changes)
    compare(run, changes, accept=True)


@pytest.mark.parametrize('change', NEVER)
def test_what_cannot_be_applied_is_refused_even_where_changes_are_accepted(run, change):
    changes, said = NEVER[change]
    with pytest.raises(DistillationError, match=rf'(?s){said}.* without --resume, with load_from='):
        compare(run, changes, accept=True)


@pytest.mark.parametrize('change', SAME)
def test_what_is_convenient_is_not_compared(run, change):
    compare(run, SAME[change])


def test_all_changes_are_named_at_once(run):
    changes = {key: value for name in ('lr', 'mu', 'pipeline') for key, value in CHANGES[name][0].items()}
    with pytest.raises(DistillationError, match=r'(?s)mu \(not.*prob 0\.5.*lr 0\.01'):
        compare(run, changes)


def test_ranks_times_pictures_are_compared(run):
    with pytest.raises(DistillationError, match='pictures in an iteration 2 -> 4'):
        compare(run, {}, ranks=2)
    compare(run, {'train_dataloader.batch_size': 1}, ranks=2)


def test_a_longer_training_is_named_where_a_schedule_depends_on_it(run):
    cosine = {'param_scheduler': [{'type': 'CosineAnnealingLR', 'by_epoch': True}]}
    saved = {'meta': {'epoch': 1, 'iter': 4, KEY: RunRecordHook(settings_of(run, cosine)).record}}
    RunRecordHook(settings_of(run, cosine)).compare(saved, 'c.pth')
    with pytest.raises(DistillationError, match=r'param_scheduler\.0\.end 2 -> 5'):
        RunRecordHook(settings_of(run, {**cosine, 'train_cfg.max_epochs': 5})).compare(saved, 'c.pth')


def test_a_longer_training_is_named_where_a_distiller_counts_from_its_end(run):
    """Or it would end, begin again and end once more."""
    stops = {'model.distillers.hint.num_last_epochs': 0}
    saved = {'meta': {'epoch': 1, 'iter': 4, KEY: RunRecordHook(settings_of(run, stops)).record}}
    RunRecordHook(settings_of(run, stops)).compare(saved, 's.pth')
    longer = settings_of(run, {**stops, 'train_cfg.max_epochs': 5})
    with pytest.raises(DistillationError, match=r'hint\.num_last_epochs=0 epochs of 2 -> 5\n.*--resume-changed$'):
        RunRecordHook(longer).compare(saved, 's.pth')
    RunRecordHook(longer, accept_changes=True).compare(saved, 's.pth')


def test_averages_cannot_be_left_out(run):
    saved = {'meta': {'epoch': 1, 'iter': 4, KEY: RunRecordHook(settings_of(run, {'custom_hooks': [EMA]})).record}}
    with pytest.raises(DistillationError, match='averages, which only an EMAHook goes on from'):
        RunRecordHook(settings_of(run, {}), accept_changes=True).compare(saved, 'e.pth')


def test_the_training_ended_before_the_checkpoint(run):
    saved = {'meta': {'epoch': 9, 'iter': 36}}
    with pytest.raises(DistillationError, match=r'nothing to train: .*e\.pth is of epoch 9, .* max_epochs=2\. Raise'):
        RunRecordHook(settings_of(run, {})).compare(saved, 'e.pth')


class TestFiles:
    def test_a_moved_run_is_the_same(self, run, tmp_path):
        shutil.copytree(run.folder / 'set', tmp_path / 'moved')
        shutil.copy(run.folder / 'teacher.py', tmp_path / 'renamed.py')
        weights = torch.load(run.folder / 'teacher.pth', weights_only=True)
        torch.save({**weights, 'meta': {**weights['meta'], 'time': 'later'}}, tmp_path / 'saved again.pth')
        root = f'{tmp_path}/moved'
        moved = {
            'train_dataloader.dataset.data_root': None,
            'train_dataloader.dataset.ann_file': f'{root}/train.json',
            'train_dataloader.dataset.data_prefix.img': f'{root}/train',
            'model.teacher.config': str(tmp_path / 'renamed.py'),
            'model.teacher.checkpoint': str(tmp_path / 'saved again.pth'),
        }
        cfg = settings_of(run, moved)
        RunRecordHook(cfg).compare(run.first, 'epoch_1.pth')

    def test_a_file_that_was_written_over_is_another(self, run, tmp_path):
        """Under the same names; each is named alone."""
        shutil.copytree(run.folder / 'set', tmp_path / 'set')
        shutil.copy(run.folder / 'other.pth', tmp_path / 'teacher.pth')
        content = json.loads((tmp_path / 'set' / 'train.json').read_text())
        content['annotations'][0]['bbox'][0] += 1
        (tmp_path / 'set' / 'train.json').write_text(json.dumps(content))
        text = (run.folder / 'teacher.py').read_text()
        assert 'pos_iou_thr=0.7' in text
        (tmp_path / 'teacher.py').write_text(text.replace('pos_iou_thr=0.7', 'pos_iou_thr=0.6'))
        for changes, said in (
            ({'train_dataloader.dataset.data_root': f'{tmp_path}/set/'}, r'train\.json has other contents'),
            (
                {'model.teacher.checkpoint': f'{tmp_path}/teacher.pth'},
                r'the teacher checkpoint teacher\.pth has other w',
            ),
            ({'model.teacher.config': f'{tmp_path}/teacher.py'}, r'teacher\.config\.\S*pos_iou_thr 0\.7 -> 0\.6'),
        ):
            with pytest.raises(DistillationError, match=said) as caught:
                compare(run, changes)
            assert str(caught.value).count('\n  ') == 1

    def test_annotations_in_xml_are_files_of_their_own(self, tmp_path):
        """A list that stays the same, of files that do not."""
        for name in ('a', 'b'):
            write(tmp_path / 'Annotations' / f'{name}.xml', f'<annotation>{name}</annotation>')
        write(tmp_path / 'main.txt', 'a\nb\n')
        dataset = {'type': 'VOCDataset', 'data_root': str(tmp_path), 'ann_file': 'main.txt'}
        cfg = Config({'train_dataloader': {'dataset': {'type': 'RepeatDataset', 'dataset': dataset}}})
        saved = {'meta': {'epoch': 1, 'iter': 4, KEY: RunRecordHook(cfg).record}}
        RunRecordHook(cfg).compare(saved, 'v.pth')
        write(tmp_path / 'Annotations' / 'b.xml', '<annotation>c</annotation>')
        with pytest.raises(
            DistillationError, match=r'main\.txt has other contents \(train_dataloader\.dataset\.dataset\.'
        ):
            RunRecordHook(cfg).compare(saved, 'v.pth')


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def resume(run, tmp_path, *options, checkpoint=None):
    """Continue by the tool in a work dir of its own, and return the folder."""
    checkpoint = checkpoint or run.folder / 'run' / 'epoch_1.pth'
    call_tool(
        'tools/train.py', run.folder / 'distilled.py', '--work-dir', tmp_path / 'on', '--resume', checkpoint, *options
    )
    return tmp_path / 'on'


def rates(work_dir):
    """The learning rate of each step that the last run in a work dir logged."""
    lines = max(work_dir.glob('2*/vis_data/scalars.json')).read_text().splitlines()
    return {step['step']: step['lr'] for step in map(json.loads, lines) if 'loss' in step}


def test_a_lower_learning_rate_takes_effect(run, tmp_path):
    """From the first step on, with the schedules where they would be, and with the momentum of before."""
    lower = ['--cfg-options', 'optim_wrapper.optimizer.lr=0.002']
    with pytest.raises(SystemExit, match=r'(?s)error: the checkpoint .*optim_wrapper\.optimizer\.lr 0\.01 -> 0\.002'):
        resume(run, tmp_path, *lower)
    assert not (tmp_path / 'on').exists()
    on = resume(run, tmp_path, '--resume-changed', *lower)
    before, after = rates(run.folder / 'run'), rates(on)
    assert after == pytest.approx({step: rate / 5 for step, rate in before.items() if step > 4}, rel=1e-6)
    assert len(after) == 4
    log = log_of(on)
    assert 'Resumed with changes:\n  optim_wrapper.optimizer.lr 0.01 -> 0.002\n' in log
    assert 'the learning rate is 0.00018' in log
    saved = read_checkpoint(on / 'epoch_2.pth')
    assert find_record(saved)['settings']['optim_wrapper']['optimizer']['lr'] == 0.002
    assert saved['optimizer']['param_groups'][0]['initial_lr'] == 0.002


COSINE = {'type': 'CosineAnnealingLR', 'T_max': 2, 'begin': 0, 'end': 2, 'convert_to_iter_based': True}
LOOPS = {
    'epochs': ({}, 'epoch_1.pth', 'epoch_2.pth'),
    'epochs, a schedule by iterations': ({'param_scheduler': [COSINE]}, 'epoch_1.pth', 'epoch_2.pth'),
    'iterations': (
        {
            'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': 6, 'val_interval': 6},
            'default_hooks.checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 3},
            'log_processor.by_epoch': False,
            'train_dataloader.sampler.type': 'InfiniteSampler',
        },
        'iter_3.pth',
        'iter_6.pth',
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('loop', LOOPS)
def test_a_run_that_follows_the_config_is_exact(run, tmp_path, loop):
    """Where nothing is known of the run, the config is followed if changes are accepted; it is the same one here."""
    changes, middle, last = LOOPS[loop]
    cfg = settings_of(run, {**changes, 'work_dir': str(tmp_path)})
    if 'max_iters' in cfg.train_cfg:
        del cfg.train_cfg['max_epochs']
    train(cfg, hooks=[RunRecordHook(cfg)])
    whole = (tmp_path / last).rename(tmp_path / 'whole.pth')
    content = read_checkpoint(tmp_path / middle)
    del content['meta'][KEY]
    torch.save(content, tmp_path / 'bare.pth')
    train(cfg, resume=tmp_path / 'bare.pth', hooks=[RunRecordHook(cfg, accept_changes=True)])
    assert 'has no record of its run' in log_of(tmp_path)
    assert 'the learning rate is' in log_of(tmp_path)
    assert_same_weights(tmp_path / last, whole)
    assert read_checkpoint(tmp_path / last)['param_schedulers'] == read_checkpoint(whole)['param_schedulers']


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda c: [c['state_dict'].popitem() for _ in range(7)], r'its state_dict lacks: .* and 2 more'),
        (
            lambda c: c['state_dict'].update(odd=torch.zeros(2)),
            r'its state_dict has, and the model has not: odd\. Name',
        ),
        (
            lambda c: c['state_dict'].update({'neck.fpn_convs.0.conv.bias': torch.zeros(3)}),
            r'its state_dict has otherwise: neck\.fpn_convs\.0\.conv\.bias \(3,\), in the model \(16,\)',
        ),
        (lambda c: c.update(ema_state_dict={'steps': torch.tensor(1)}), r'its ema_state_dict lacks: '),
    ],
)
def test_weights_that_are_not_the_models_are_named(run, tmp_path, detector, change, said):
    content = dict(run.first, state_dict=dict(run.first['state_dict']))
    hook = RunRecordHook(run.cfg)
    hook.check_weights(detector, content, 'c.pth')
    change(content)
    with pytest.raises(DistillationError, match=rf'no training can go on from the checkpoint c\.pth: {said}'):
        hook.check_weights(detector, content, 'c.pth')


def test_an_adapter_that_was_trained_is_not_dropped(run):
    """The change may be accepted; the optimizer's state would be of other parameters all the same."""
    cfg = settings_of(run, {'model.distillers.hint': None})
    hook = RunRecordHook(cfg, accept_changes=True)
    hook.compare(run.first, 'c.pth')
    with pytest.raises(DistillationError, match=r'has, and the model has not: distillers\.hint.* with load_from='):
        hook.check_weights(build(cfg, init=False), run.first, 'c.pth')


@pytest.fixture(scope='module')
def detector(run):
    return build(run.cfg, init=False)


@pytest.fixture(scope='module')
def runner(run):
    """A runner that has built what it would resume."""
    cfg = copy.deepcopy(run.cfg)
    cfg.update(resume=True, load_from='c.pth', experiment_name='fit', work_dir=str(run.folder / 'fit'))
    runner = Runner.from_cfg(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    assert runner.train_loop.iter == 0  # it is built when it is asked for
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    return runner


def test_schedules_are_stepped_to_the_bit(run, runner):
    """As mmengine has stepped them in the training."""
    for group in runner.optim_wrapper.optimizer.param_groups:
        group['lr'] = group['initial_lr']
    schedules = runner.build_param_scheduler(run.cfg.param_scheduler)
    replay(schedules, 1, 4)
    assert [schedule.state_dict() for schedule in schedules] == run.first['param_schedulers']
    assert runner.optim_wrapper.get_lr()['lr'] == [run.first['optimizer']['param_groups'][0]['lr']]


def cut(state):
    state.pop(next(iter(state)))


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda c: cut(c['optimizer']['state']), r'its optimizer has the states of \d+ parameters, and \d+ were saved'),
        (lambda c: c['optimizer']['param_groups'][0]['params'].pop(), r'has \d+ parameters in 1 groups, and that of'),
        (lambda c: c['optimizer'].update(param_groups=3), r'its optimizer has no groups of parameters'),
        (lambda c: c['optimizer'].update(state={0: 'text'}), r'its optimizer has no groups of parameters'),
        (
            lambda c: c['optimizer']['state'][0].update(momentum_buffer=torch.zeros(2)),
            r'1 states of its optimizer are not those of the parameters',
        ),
        (
            lambda c: c['optimizer']['param_groups'][0].update(betas=(0.9, 0.999)),
            r'its optimizer is of another kind than SGD',
        ),
        (lambda c: c['param_schedulers'].pop(), r'it has the state of 1 schedules, and the config has 2'),
        (lambda c: c.pop('optimizer'), r"it lacks the state of the optimizer \('optimizer'\)"),
    ],
)
def test_a_state_that_does_not_fit_is_one_message(run, runner, change, said):
    hook = RunRecordHook(run.cfg)
    hook.after_load_checkpoint(runner, copy.deepcopy(run.first))
    content = copy.deepcopy(run.first)
    change(content)
    with pytest.raises(DistillationError, match=rf'no training can go on from the checkpoint c\.pth: .*{said}'):
        hook.after_load_checkpoint(runner, content)


def test_weights_to_start_from_need_not_fit(run, runner):
    """`load_from` without resume takes what it finds."""
    runner.cfg.resume = False
    try:
        RunRecordHook(run.cfg).after_load_checkpoint(runner, {'state_dict': {}})
    finally:
        runner.cfg.resume = True


@pytest.mark.parametrize(
    'forged', [[1], {'format': 2}, {'settings': 3}, {'run': None}, {'settings': {'model': torch.zeros(2)}}]
)
def test_what_is_no_record_is_none(run, forged):
    record = RunRecordHook(run.cfg).record
    assert find_record({'meta': {KEY: record}}) is record
    assert find_record({'meta': {KEY: {**record, **forged} if isinstance(forged, dict) else forged}}) is None


@pytest.mark.parametrize(
    'settings',
    [
        {'model': {'teachers': [1], 'distillers': 1}, 'custom_hooks': 5, 'param_scheduler': 5},
        {'model': {'teacher': {'checkpoint': {'digest': 5, 'archive': []}}, 'distillers': 1}},
        {'optim_wrapper': '\x1b[31m' + 'a' * 10**6, '\x1b[2J': [[]] * 1000},
        {f'setting {number}': number for number in range(1000)},
    ],
)
def test_a_forged_record_is_of_another_run(run, settings):
    """What is said of it is short, and can be printed."""
    record = {**RunRecordHook(run.cfg).record, 'settings': settings}
    with pytest.raises(DistillationError, match='is of a run that rests on something else') as caught:
        RunRecordHook(run.cfg).compare({'meta': {'epoch': 1, 'iter': 4, KEY: record}}, 'f.pth')
    assert all(line.isprintable() and len(line) < 700 for line in str(caught.value).splitlines())
    assert len(str(caught.value)) < 10_000


def test_forged_numbers_of_a_run_are_not_used(run, runner):
    content = copy.deepcopy(run.first)
    content['meta'][KEY]['run'] = {
        'max_epochs': 'a',
        'max_iters': [],
        'ranks': '\x1b[31m',
        'epoch_length': {},
        'states': 'a',
    }
    RunRecordHook(run.cfg, accept_changes=True).after_load_checkpoint(runner, content)


@pytest.mark.slow
def test_an_exchanged_teacher_is_found_where_its_archive_tells_nothing(run, tmp_path):
    """torch's older format has no checksums to look at, so the weights are compared when they are loaded."""
    cfg = distilled_run(tmp_path, run.folder / 'set', **{'train_cfg.max_epochs': 1})
    old = {'_use_new_zipfile_serialization': False}
    torch.save(torch.load(tmp_path / 'teacher.pth', weights_only=True), tmp_path / 'teacher.pth', **old)
    train(cfg, hooks=[RunRecordHook(cfg)])
    saved = tmp_path / 'run' / 'epoch_1.pth'
    cfg.train_cfg.max_epochs = 2
    train(cfg, resume=saved, hooks=[RunRecordHook(cfg)])
    torch.save(torch.load(run.folder / 'other.pth', weights_only=True), tmp_path / 'teacher.pth', **old)
    hook = RunRecordHook(cfg)
    hook.compare(check_resumable(saved), saved)
    with pytest.raises(DistillationError, match=r'the teacher checkpoint teacher\.pth has other weights'):
        train(cfg, resume=saved, hooks=[hook])


@pytest.mark.slow
def test_a_longer_training_takes_the_later_end_of_a_schedule(run, tmp_path):
    """mmengine would go on with the old one."""
    longer = {'train_cfg.max_epochs': 3, 'param_scheduler.1.end': 3, 'work_dir': str(tmp_path)}
    cfg = settings_of(run, longer)
    train(cfg, resume=run.folder / 'run' / 'epoch_2.pth', hooks=[RunRecordHook(cfg)])
    before, after = (read_checkpoint(path) for path in (run.folder / 'run' / 'epoch_2.pth', tmp_path / 'epoch_3.pth'))
    ends = [saved['param_schedulers'][1] for saved in (before, after)]
    assert [(end['end'], end['_global_step'], end['last_step']) for end in ends] == [(2, 2, 1), (3, 3, 2)]
    assert after['optimizer']['param_groups'][0]['lr'] == before['optimizer']['param_groups'][0]['lr']


@pytest.mark.slow
def test_an_average_resumes_to_the_bit(run, tmp_path):
    """And an average that is not whole is refused before mmengine swaps it in."""
    distilled_run(tmp_path, run.folder / 'set', custom_hooks=[EMA])
    call_tool('tools/train.py', tmp_path / 'distilled.py')
    (tmp_path / 'run' / 'epoch_2.pth').rename(tmp_path / 'whole.pth')
    first = tmp_path / 'run' / 'epoch_1.pth'
    call_tool('tools/train.py', tmp_path / 'distilled.py', '--resume', first)
    assert_same_weights(tmp_path / 'run' / 'epoch_2.pth', tmp_path / 'whole.pth')
    ends = [
        read_checkpoint(path)['ema_state_dict'] for path in (tmp_path / 'run' / 'epoch_2.pth', tmp_path / 'whole.pth')
    ]
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    content = read_checkpoint(first)
    content['state_dict'].pop('neck.fpn_convs.0.conv.bias')
    torch.save(content, tmp_path / 'less.pth')
    with pytest.raises(SystemExit, match=r'its state_dict lacks: neck\.fpn_convs\.0\.conv\.bias\. Name'):
        call_tool('tools/train.py', tmp_path / 'distilled.py', '--resume', tmp_path / 'less.pth')
