"""tools/train.py from outside: its options, and one clear error for bad input."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers import run_tool, tiny_student_cfg
from helpers.distil import ROI, distilled_cfg
from helpers.tiny import call_tool, load_tool
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from mmdet_kd.hooks import ExactResumeHook, TrainingClassesHook

HOOKS = (ExactResumeHook, TrainingClassesHook)


@pytest.fixture
def config(tiny_set, tmp_path):
    """A plain config, and the path where it is."""
    path = tmp_path / 'plain.py'
    tiny_student_cfg(tiny_set, tmp_path / 'run', **{'train_cfg.max_epochs': 1}).dump(path)
    return path


@pytest.fixture
def call():
    return partial(call_tool, 'tools/train.py')


def test_its_help_does_not_make_mim_pass_a_number_of_gpus(call, capsys):
    with pytest.raises(SystemExit, match=r'^0$'):
        call('-h')
    text = capsys.readouterr().out
    assert '--gpus' not in text
    for option in (
        '--work-dir',
        '--resume',
        '--resume-changed',
        '--amp',
        '--auto-scale-lr',
        '--cfg-options',
        '--launcher',
    ):
        assert option in text


def test_a_plain_config_trains_from_any_folder_and_stays_plain(config, tmp_path):
    arguments = [config, '--cfg-options', 'optim_wrapper.optimizer.lr=0.02', '--auto-scale-lr', '--local-rank', 0]
    run_tool(['tools/train.py', *arguments, '--work-dir', tmp_path / 'elsewhere'], cwd=tmp_path)
    assert (tmp_path / 'elsewhere' / 'epoch_1.pth').exists()
    assert not (tmp_path / 'run').exists()
    dumped = Config.fromfile(tmp_path / 'elsewhere' / 'plain.py')
    assert dumped.optim_wrapper.optimizer.lr == 0.02
    assert dumped.auto_scale_lr.enable
    assert 'mmdet_kd' not in (tmp_path / 'elsewhere' / 'plain.py').read_text()
    assert 'ExactResumeHook' not in (tmp_path / 'elsewhere' / 'plain.py').read_text()


def test_the_exact_resume_hook_is_there_unless_refused(config):
    train_py = load_tool('tools/train.py')
    cfg = Config.fromfile(config)
    assert train_py.want_exact_resume(cfg)
    cfg.default_hooks.exact_resume = None
    assert not train_py.want_exact_resume(cfg)
    assert 'exact_resume' not in cfg.default_hooks


@pytest.mark.parametrize('logger', [{}, {'logger': {'type': 'LoggerHook', 'interval': 1}}])
def test_validations_of_a_training_by_iterations_are_logged_by_their_step(config, tmp_path, logger):
    """By default mmengine logs each of them as that of epoch 0."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(
        dict(
            train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2, val_interval=1),
            work_dir=str(tmp_path / 'steps'),
        )
    )
    cfg.default_hooks = logger
    cfg.dump(config)
    call_tool('tools/train.py', config)
    (scalars,) = (tmp_path / 'steps').glob('*/vis_data/scalars.json')
    records = map(json.loads, scalars.read_text().splitlines())
    assert [record['step'] for record in records if 'loss' not in record] == [1, 2]


def test_where_a_training_begins(config):
    """Of a config that goes on from a checkpoint, such as mmengine writes for a resumed session, not at its start."""
    train_py, cfg = load_tool('tools/train.py'), Config.fromfile(config)
    cfg.work_dir = 'nothing_here'
    train_py.resume(cfg, 'auto')
    assert not cfg.resume
    cfg.load_from = 'elsewhere/epoch_5.pth'
    train_py.resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'elsewhere/epoch_5.pth')
    cfg.resume = True
    train_py.resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, 'elsewhere/epoch_5.pth')


@pytest.mark.parametrize('plain', [True, False])
def test_hooks_that_a_config_lacks_are_added_once(config, tmp_path, plain):
    train_py, cfg = load_tool('tools/train.py'), Config.fromfile(config)
    if not plain:
        cfg.default_hooks.update({kind.__name__: dict(type=kind.__name__) for kind in HOOKS})
    runner = Runner.from_cfg(cfg)
    train_py.add_hooks(runner, HOOKS)
    kinds = [type(hook) for hook in runner.hooks]
    assert [kinds.count(kind) for kind in HOOKS] == [1, 1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['no.py'], r"there is no config 'no\.py' \(looked at .*/no\.py\)"),
        (['CONFIG', '--resume', 'no.pth'], r"there is no checkpoint 'no\.pth'"),
        (['CONFIG', '--resume', 'half.pth'], r'half\.pth .* is truncated or corrupt'),
        (
            ['CONFIG', '--cfg-options', 'train_dataloader.dataset.ann_file=no.json'],
            r'there is no annotation file .*no\.json',
        ),
        (['CONFIG', '--cfg-options', 'load_from=no.pth'], r"there is no checkpoint 'no\.pth'"),
        (
            [
                'CONFIG',
                '--cfg-options',
                'model.backbone.init_cfg.type=Pretrained',
                'model.backbone.init_cfg.checkpoint=no',
            ],
            r"model\.backbone\.init_cfg\.checkpoint='no': there is no such file",
        ),
        (['CONFIG', '--auto-scale-lr', '--cfg-options', 'auto_scale_lr=None'], 'needs auto_scale_lr=dict'),
        (
            ['CONFIG', '--auto-scale-lr', '--cfg-options', 'optim_wrapper.accumulative_counts=4'],
            'gradients of 4 batches are accumulated: leave it out, and set lr',
        ),
        pytest.param(
            ['CONFIG', '--amp'],
            '--amp needs a GPU',
            marks=pytest.mark.skipif(get_device() != 'cpu', reason='there is one'),
        ),
    ],
)
def test_bad_input_is_one_error_before_anything_is_written(call, config, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': {'w': torch.zeros(1000)}}, 'whole.pth')
    (tmp_path / 'half.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:1000])
    with pytest.raises(SystemExit, match=message) as caught:
        call(*(config if argument == 'CONFIG' else argument for argument in arguments))
    assert str(caught.value).startswith('\nerror: ')
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_a_set_without_annotations_is_refused_before_training(call, config, tmp_path):
    cfg = Config.fromfile(config)
    content = json.loads(Path(cfg.train_dataloader.dataset.data_root, 'train.json').read_text())
    (tmp_path / 'empty.json').write_text(json.dumps({**content, 'annotations': []}))
    with pytest.raises(SystemExit, match=r'empty\.json holds 8 images and 0 annotations'):
        call(config, '--cfg-options', f'train_dataloader.dataset.ann_file={tmp_path}/empty.json')
    assert not list((tmp_path / 'run').glob('*.pth'))


@pytest.mark.slow
def test_an_error_reaches_the_shell_without_a_traceback():
    done = run_tool(['tools/train.py', 'no.py'], check=False)
    assert done.returncode == 1
    assert "\nerror: there is no config 'no.py'" in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.slow
def test_a_distillation_without_our_hooks_and_with_nothing_to_resume(
    call, config, teacher_cfg, teacher_checkpoint, tmp_path
):
    """It trains from the beginning, and is told the classes that it compares with the teacher's."""
    cfg = distilled_cfg(Config.fromfile(config), teacher_cfg.to_dict(), teacher_checkpoint, roi=ROI)
    del cfg.default_hooks['training_classes']
    cfg.dump(tmp_path / 'distilled.py')
    call(tmp_path / 'distilled.py', '--resume')
    assert (tmp_path / 'run' / 'epoch_1.pth').exists()
    (log,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    assert 'roi.loss_cls' in log.read_text()
