"""tools/check.py from outside: what it prints, its exit code, and that it leaves nothing behind."""

import re
import tempfile
from functools import partial
from pathlib import Path

import pytest
from helpers.distil import HINT, METHOD, distilled_cfg
from helpers.tiny import call_tool, load_tool


@pytest.fixture
def call():
    return partial(call_tool, 'tools/check.py')


@pytest.fixture
def config(student_cfg, teacher_cfg, teacher_checkpoint, tmp_path):
    """Writes the config of a distillation by a teacher of random weights."""
    student_cfg.param_scheduler[0].end = 2  # the others of these few iterations are at full rate

    def write(teacher=teacher_cfg, checkpoint=teacher_checkpoint, **distillers):
        distilled_cfg(student_cfg, teacher.to_dict(), checkpoint, **(distillers or METHOD)).dump(tmp_path / 'pair.py')
        return tmp_path / 'pair.py'

    return write


def test_a_user_reads_a_verdict_a_line_and_the_cure_below(call, config, tmp_path, monkeypatch, capsys):
    here, scratch = tmp_path / 'here', tmp_path / 'scratch'
    here.mkdir(), scratch.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, 'tempdir', str(scratch))
    with pytest.raises(SystemExit) as end:
        call(config(), '--steps', 1)
    assert end.value.code == 1
    pair, _, lines = capsys.readouterr().out.partition('FAILED')
    facts = pair.splitlines()
    assert facts[0].startswith('        student: TwoStageDetector of ResNet-18 of base width 8, FPN; ')
    assert facts[1].startswith('        teacher: FasterRCNN of ResNet-18 of base width 16, FPN; ')
    assert '        distillers.hint: maps of neck, strides 4, 8, 16, 32, 64, channels 16 to 32 by ConvAdapter' in facts
    assert len(facts) < 20
    lines = f'FAILED{lines}'.splitlines()
    assert lines[0].startswith('FAILED  teacher: AP ')
    assert lines[0].endswith(' on 4 validation pictures')
    assert lines[1].startswith('        it does not know these pictures: is it trained')
    assert re.fullmatch(
        r"ok      a step: [\d.]+ s, of which the distillation takes [\d.]+ s \(\d+ % beyond the student's own [\d.]+ "
        r's\); \d+ MiB at most',
        lines[-1],
    )
    subjects = [line[8:].split(':')[0] for line in lines if line.startswith('ok      ')]
    assert subjects == [
        'adapters',
        'student',
        *2 * ['param_scheduler'],
        'distillers.hint.loss_feat',
        *(f'distillers.{head}.loss_{part}' for head in ('roi', 'rpn') for part in ('cls', 'bbox')),
        "the student's own losses",
        'a step',
    ]
    assert len(lines) == 2 + len(subjects)
    assert not list(here.iterdir())
    assert not [path for path in scratch.iterdir() if 'check' in path.name]  # torch keeps a folder of its own there


def test_an_untrained_teacher_and_a_frozen_neck_are_said(call, config, capsys):
    frozen = 'optim_wrapper.paramwise_cfg.custom_keys.neck.lr_mult=0.0'
    with pytest.raises(SystemExit) as end:
        call(config(checkpoint=None, hint=HINT), '--steps', 1, '--cfg-options', frozen)
    said = capsys.readouterr().out
    assert end.value.code == 1
    assert 'FAILED  teacher: checkpoint=None: it is untrained and teaches noise\n        name its checkpoint\n' in said
    assert 'FAILED  student: trained of it: backbone 100 %, neck 0 %, ' in said
    assert said.count('FAILED') == 2


@pytest.mark.parametrize(('gpus', 'iterations', 'passes'), [(1, 8, True), (4, 2, False)])
def test_a_schedule_is_judged_by_the_iterations_of_each_gpu(call, config, capsys, gpus, iterations, passes):
    with pytest.raises(SystemExit):
        call(config(hint=HINT), '--steps', 1, '--gpus', gpus)
    said = capsys.readouterr().out
    verdict = 'ok      ' if passes else 'FAILED  '
    assert f'{verdict}param_scheduler: LinearLR ends at 2, of {iterations} iterations' in said


def test_a_student_that_is_judged_on_what_it_is_trained_on_is_said(call, config, capsys):
    same = ('train_dataloader.dataset.ann_file=val.json', 'train_dataloader.dataset.data_prefix.img=val/')
    with pytest.raises(SystemExit):
        call(config(hint=HINT), '--steps', 1, '--cfg-options', *same)
    said = capsys.readouterr().out
    assert 'FAILED  the validation set: 4 of its 4 pictures are in the training set too, such as ' in said
    assert 'val/000.png\n        validate on pictures that are not trained on' in said


def test_what_the_build_refuses_is_said_as_in_a_training(call, config, teacher_cfg, student_cfg, tmp_path):
    teacher_cfg.model.rpn_head.anchor_generator.scales = [8]
    with pytest.raises(
        SystemExit, match=r'error: distillers\.rpn: RPNDistiller: the anchors of level 0 differ .* those of 4 more'
    ) as end:
        call(config(teacher_cfg, None))
    assert isinstance(end.value.code, str)  # which Python prints, and returns 1
    student_cfg.dump(tmp_path / 'plain.py')
    with pytest.raises(
        SystemExit, match='the model is a FasterRCNN, which has no teacher: name the config of a distil'
    ):
        call(tmp_path / 'plain.py')
    with pytest.raises(SystemExit, match=r'^2$'):
        call(config(), '--steps', 0)


@pytest.mark.slow
def test_files_of_a_teacher_are_found_beside_the_config_as_in_a_training(
    call, config, teacher_cfg, teacher_checkpoint, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'configs').mkdir(), (tmp_path / 'start').mkdir()
    path = config(hint=HINT).rename(tmp_path / 'configs' / 'pair.py')
    teacher_cfg.dump(tmp_path / 'configs' / 'of_the_teacher.py')
    teacher_checkpoint.rename(tmp_path / 'configs' / 'teacher.pth')
    monkeypatch.chdir(tmp_path / 'start')
    path.write_text(
        path.read_text() + "\nmodel['teacher'] = dict(config='of_the_teacher.py', checkpoint='teacher.pth')\n"
    )
    with pytest.raises(SystemExit):
        call(path, '--steps', 1)
    assert '; weights of teacher.pth' in capsys.readouterr().out


def test_a_long_list_of_what_is_wrong_with_the_data_stays():
    tool = load_tool('tools/check.py')
    with tool.scratch_folder() as kept:
        (kept / 'data_problems.txt').write_text('1. ...')
    with tool.scratch_folder() as gone:
        (gone / 'log').write_text('')
    assert (kept / 'data_problems.txt').exists()
    assert not gone.exists()
    assert kept.parent == gone.parent == Path(tempfile.gettempdir())
    (kept / 'data_problems.txt').unlink()
    kept.rmdir()
