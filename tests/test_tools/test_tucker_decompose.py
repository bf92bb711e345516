"""A trained detector becomes a smaller one by one command, which trains, tests, learns from a teacher and leaves."""

import copy
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from helpers import tiny_student_cfg
from helpers.distil import METHOD, build, save_teacher
from helpers.tiny import CLASSES, REPO, call_tool, log_of
from helpers.training import assert_same_weights, distilled_run, train
from mmengine.config import Config

from mmdet_kd.compression import (
    ForwardPass,
    build_detector,
    initial_weights,
    measure_flops,
    ranks_of_model,
    read_student,
)
from mmdet_kd.export import export_student

TOOL = 'tools/tucker_decompose.py'
STUDENTS = REPO / 'configs' / '_base_' / 'students'


@pytest.fixture(scope='module')
def trained(tmp_path_factory, tiny_set):
    """A plain config, and weights for it."""
    folder = tmp_path_factory.mktemp('plain')
    cfg = tiny_student_cfg(tiny_set, folder / 'run')
    cfg.dump(folder / 'net.py')
    return folder / 'net.py', save_teacher(cfg, folder / 'net.pth', dataset_meta={'classes': CLASSES})


@pytest.fixture(scope='module')
def decomposed(trained, tmp_path_factory):
    """What the tool wrote, and what it printed."""
    out = tmp_path_factory.mktemp('out')
    with redirect_stdout(StringIO()) as printed:
        call_tool(TOOL, *trained, '--flops', '0.5', '--out', out)
    return out / 'net_tucker.py', out / 'net_tucker.pth', printed.getvalue()


def test_the_network_has_the_share_that_was_asked_for_and_the_table_says_how(trained, decomposed):
    config, weights, printed = decomposed
    plain, small = (
        build_detector(Config.fromfile(path), read_student(checkpoint)[0])
        for path, checkpoint in (trained, (config, weights))
    )
    share = measure_flops(ForwardPass(small, (64, 64))) / measure_flops(ForwardPass(plain, (64, 64)))
    assert share == pytest.approx(0.5, rel=0.02)
    assert f'compute {share:.2%} as measured' in printed
    assert re.search(r'backbone\.layer4\.1\.conv1 +│ +64 x 64 │ +\d+ x \d+ │ +36\.9 -> \d', printed)
    assert re.search(r'rpn_head\.rpn_cls .* skipped: by name', printed)


def test_it_trains_from_its_weights_and_tests(decomposed, tmp_path):
    config, weights, _ = decomposed
    run = tmp_path / 'run'
    call_tool('tools/train.py', config, '--work-dir', run, '--cfg-options', 'train_cfg.max_epochs=1')
    assert f'Load checkpoint from {weights}' in log_of(run)
    assert 'coco/bbox_mAP' in log_of(run)
    for word in ('unexpected key', 'missing keys', 'do not match'):
        assert word not in log_of(run)
    assert read_student(run / 'epoch_1.pth')[0].keys() == read_student(weights)[0].keys()
    call_tool('tools/test.py', config, run / 'epoch_1.pth', '--work-dir', tmp_path / 'test')
    assert 'coco/bbox_mAP' in log_of(tmp_path / 'test')


@pytest.mark.slow
def test_it_learns_from_a_teacher_resumes_exactly_and_is_exported(trained, decomposed, tmp_path):
    config, _, _ = decomposed
    (tmp_path / 'distilled.py').write_text(
        f'_base_ = {str(config)!r}\n'
        'model = dict(\n'
        "    type='KnowledgeDistillationTwoStageDetector',\n"
        f'    teacher=dict(config={str(trained[0])!r}, checkpoint={str(trained[1])!r}),\n'
        f'    distillers={METHOD!r},\n'
        '    num_classes=3)\n'
        "custom_hooks = [dict(type='TrainingClassesHook')]\n"
    )
    cfg = Config(Config.fromfile(tmp_path / 'distilled.py').to_dict(), format_python_code=False)
    cfg.work_dir = str(tmp_path / 'whole')
    losses = train(cfg)
    assert {name.partition('.')[0] for name in losses[0]} >= {'hint', 'rpn', 'roi'}
    resumed = copy.deepcopy(cfg)
    resumed.work_dir = str(tmp_path / 'resumed')
    train(resumed, resume=tmp_path / 'whole' / 'epoch_1.pth')
    assert_same_weights(tmp_path / 'whole' / 'epoch_2.pth', tmp_path / 'resumed' / 'epoch_2.pth')

    exported, weights = export_student(cfg, tmp_path / 'whole' / 'epoch_2.pth', tmp_path / 'student')
    assert Config.fromfile(exported).custom_imports['imports'] == ['mmdet_kd']
    assert ranks_of_model(Config.fromfile(exported).model) == ranks_of_model(Config.fromfile(config).model)
    build_detector(Config.fromfile(exported), read_student(weights)[0])


def test_the_student_of_a_distillation_is_decomposed(tiny_set, tmp_path, capsys):
    cfg = distilled_run(tmp_path, tiny_set)
    detector = build(cfg)
    assert any(key.startswith('distillers.') for key in detector.state_dict())
    torch.save({'state_dict': detector.state_dict()}, tmp_path / 'epoch_1.pth')
    call_tool(TOOL, tmp_path / 'distilled.py', tmp_path / 'epoch_1.pth', '--out', tmp_path / 'out')
    assert 'load strictly' in capsys.readouterr().out
    written = Config.fromfile(tmp_path / 'out' / 'distilled_tucker.py')
    assert (written.model.type, 'teacher' in written.model) == ('TwoStageDetector', False)


@pytest.mark.slow
def test_the_ranks_of_one_network_serve_another_of_its_kind(trained, decomposed, tmp_path):
    fragment = tmp_path / 'ranks.py'
    call_tool(TOOL, trained[0], '--ranks', 'uniform', '--flops', '0.6', '--fragment', fragment)
    call_tool(TOOL, *trained, '--ranks', fragment, '--out', tmp_path / 'out')
    ranks = ranks_of_model(Config.fromfile(fragment).model)
    assert ranks_of_model(Config.fromfile(tmp_path / 'out' / 'net_tucker.py').model) == ranks
    assert ranks != ranks_of_model(Config.fromfile(decomposed[0]).model)


@pytest.mark.parametrize('name', ['net_tucker.py', 'net_tucker.pth'])
def test_what_was_written_before_and_edited_since_is_not_replaced(trained, tmp_path, name):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_text('mine')
    with pytest.raises(SystemExit, match=f'{name} is there already and is not replaced'):
        call_tool(TOOL, *trained, '--flops', '0.4', '--out', tmp_path / 'out', '--shape', 64, 96)
    assert [(path.name, path.read_text()) for path in (tmp_path / 'out').iterdir()] == [(name, 'mine')]


def test_a_dry_run_writes_nothing(trained, tmp_path, capsys):
    call_tool(TOOL, *trained, '--flops', '0.4', '--out', tmp_path / 'out', '--dry-run', '--shape', 64, 96)
    printed = capsys.readouterr().out
    assert re.search(r'layers decomposed: (39|40)\.\d+% of \d+\.\d+ GFLOPs on \(64, 96\)', printed)
    assert 'Wrote' not in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_frozen_layers_are_pointed_out(trained, capsys):
    call_tool(TOOL, *trained, '--flops', '0.4', '--dry-run', '--cfg-options', 'model.backbone.frozen_stages=1')
    printed = capsys.readouterr().out
    assert 'backbone.layer1.0.conv1 (frozen)' in printed
    assert 'no training will mend what they lose' in printed
    call_tool(TOOL, *trained, '--flops', '0.4', '--dry-run')
    assert 'frozen' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['no.py', '--dry-run'], "there is no config 'no.py'"),
        (['CONFIG', 'no.pth', '--dry-run'], "there is no checkpoint 'no.pth'"),
        (
            ['CONFIG', 'CHECKPOINT', '--flops', '0.001', '--out', 'OUT'],
            'a share of 0.001 of the FLOPs cannot be reached',
        ),
        (['CONFIG', 'CHECKPOINT', '--flops', '37.5', '--out', 'OUT'], 'a share of 37.5 of the FLOPs cannot be reached'),
        (['CONFIG', 'CHECKPOINT', '--ranks', 'CONFIG', '--out', 'OUT'], "without type='Decomposed'"),
        (['CONFIG', 'CHECKPOINT', '--ranks', 'no.py', '--out', 'OUT'], "there is no config 'no.py'"),
    ],
)
def test_bad_input_is_one_error_and_leaves_nothing(trained, tmp_path, arguments, message):
    names = {'CONFIG': trained[0], 'CHECKPOINT': trained[1], 'OUT': tmp_path / 'out'}
    with pytest.raises(SystemExit, match=re.escape(message)):
        call_tool(TOOL, *(names.get(argument, argument) for argument in arguments))
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'give --out DIR, --fragment FILE or --dry-run'),
        (['--dry-run', '--ranks', 'uniform'], '--ranks uniform needs --flops SHARE'),
        (['--dry-run', '--ranks', 'other.py', '--flops', '0.5'], 'leave --flops out'),
        (['--dry-run', '--skip', '('], "'(' is no regular expression"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match='2'):
        call_tool(TOOL, 'net.py', *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize('fragment', sorted(STUDENTS.glob('*-tucker*.py')), ids=lambda path: path.stem)
def test_the_fragments_have_the_share_in_their_name(fragment: Path):
    flops = []
    for path in (fragment, STUDENTS / f'{fragment.stem.partition("-tucker")[0]}.py'):
        cfg = Config.fromfile(path)
        detector = build_detector(cfg, initial_weights(cfg, pretrained=False))
        flops.append(measure_flops(ForwardPass(detector, (600, 1000))))
    assert 100 * flops[0] / flops[1] == pytest.approx(float(fragment.stem.partition('-tucker')[2]), rel=0.02)
    assert Config.fromfile(fragment).model.backbone.init_cfg is None
