"""A distilled student leaves the project: the same bits, without the project."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from helpers.architectures import faster
from helpers.detr import detr
from helpers.tiny import call_tool, log_of
from helpers.training import distilled_run, train
from mmdet.evaluation import DumpDetResults
from mmengine.runner import Runner

STOCK_TEST = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'test.py'
# An environment in which this package is not installed.
WITHOUT_US = 'import sys, runpy; sys.modules["mmdet_kd"] = None; sys.argv = sys.argv[1:]; ' + (
    'runpy.run_path(sys.argv[0], run_name="__main__")'
)


@pytest.fixture(scope='module', params=[faster, pytest.param(detr, marks=pytest.mark.slow)])
def trained(request, tmp_path_factory, tiny_set):
    """A distillation's config, and its checkpoint after an epoch."""
    folder = tmp_path_factory.mktemp('distilled')
    cfg = distilled_run(folder, tiny_set, family=request.param, **{'train_cfg.max_epochs': 1})
    train(cfg)
    return folder / 'distilled.py', folder / 'run' / 'epoch_1.pth', cfg


def predictions(path):
    with open(path, 'rb') as file:
        images = pickle.load(file)
    return {image['img_id']: {name: np.asarray(v) for name, v in image['pred_instances'].items()} for image in images}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert sum(len(image['scores']) for image in one.values()) > 10
    for image_id, instances in one.items():
        assert instances.keys() == other[image_id].keys()
        for name, values in instances.items():
            assert values.tobytes() == other[image_id][name].tobytes()


def test_stock_mmdet_tests_the_exported_student_without_us_and_predicts_the_same_bits(trained, tmp_path, capsys):
    config, checkpoint, cfg = trained
    out = tmp_path / 'out'
    call_tool('tools/export_student.py', config, checkpoint, '--out', out)
    assert f'mim test mmdet {out}/student.py --checkpoint {out}/student.pth' in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ['student.pth', 'student.py']
    assert 'mmdet_kd' not in (out / 'student.py').read_text()
    assert 'teacher' not in (out / 'student.py').read_text()

    arguments = [STOCK_TEST, out / 'student.py', out / 'student.pth', '--out', tmp_path / 'stock.pkl']
    subprocess.run(
        [sys.executable, '-c', WITHOUT_US, *map(str, arguments), '--work-dir', str(tmp_path / 'stock')],
        check=True,
        env={'OMP_NUM_THREADS': '1', 'PATH': ''},
        cwd=tmp_path,
    )
    call_tool('tools/test.py', config, checkpoint, '--out', tmp_path / 'ours.pkl', '--work-dir', tmp_path / 'ours')

    # And the distilled detector itself, teacher and all.
    cfg.load_from, cfg.work_dir = str(checkpoint), str(tmp_path / 'distilled')
    runner = Runner.from_cfg(cfg)
    runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=str(tmp_path / 'distilled.pkl')))
    runner.test()

    stock = predictions(tmp_path / 'stock.pkl')
    assert_same_bits(stock, predictions(tmp_path / 'ours.pkl'))
    assert_same_bits(stock, predictions(tmp_path / 'distilled.pkl'))


def test_test_py_needs_no_teacher_and_is_not_alarmed_by_adapters(trained, tmp_path):
    config, checkpoint, _ = trained
    text = config.read_text()
    alone = tmp_path / 'alone.py'
    alone.write_text(text.replace(str(config.parent / 'teacher'), '/nowhere/teacher'))
    assert alone.read_text() != text
    assert any(key.startswith('distillers.') for key in torch.load(checkpoint, weights_only=True)['state_dict'])
    call_tool('tools/test.py', alone, checkpoint, '--work-dir', tmp_path / 'run')
    assert 'coco/bbox_mAP' in log_of(tmp_path / 'run')
    for word in ('unexpected key', 'missing keys', 'do not match'):
        assert word not in log_of(tmp_path / 'run')


@pytest.mark.parametrize('what', ['config', 'checkpoint', 'corrupt', 'other'])
def test_bad_input_is_one_error_and_leaves_nothing(trained, tmp_path, what):
    config, checkpoint, _ = trained
    if what == 'config':
        config, message = tmp_path / 'no.py', f"there is no config '{tmp_path}/no.py'"
    elif what == 'checkpoint':
        checkpoint, message = tmp_path / 'no.pth', f"there is no checkpoint '{tmp_path}/no.pth'"
    elif what == 'corrupt':
        half = tmp_path / 'half.pth'
        half.write_bytes(checkpoint.read_bytes()[:5000])
        checkpoint, message = half, 'half.pth (5000 bytes) is truncated or corrupt: copy or download it again'
    else:
        checkpoint, message = config.parent / 'teacher.pth', 'are not those of the student in the config'
    with pytest.raises(SystemExit, match=re.escape(message)):
        call_tool('tools/export_student.py', config, checkpoint, '--out', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
