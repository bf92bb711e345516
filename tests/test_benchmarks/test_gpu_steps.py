"""What a step costs on a GPU, run where there is none; and how the documents quote it."""

import json

import pytest
from helpers.distil import distilled_cfg
from helpers.tiny import REPO, call_tool, load_tool

from mmdet_kd.comparison import markdown


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch):
    """The modules of benchmarks/ import each other by their names."""
    monkeypatch.syspath_prepend(str(REPO / 'benchmarks'))


@pytest.mark.slow
def test_a_method_that_fails_leaves_the_others(student_cfg, teacher_cfg, tmp_path, capsys):
    distilled_cfg(student_cfg, teacher_cfg.to_dict(), None).dump(tmp_path / 'pair.py')
    hint = "dict(type='FeatureDistiller', levels=({},), adapter=dict(type='ConvAdapter'), loss=dict(type='HintLoss'))"
    for name, level in dict(first=0, broken=9, last=1).items():
        (tmp_path / f'{name}.py').write_text(f'distillers = dict(hint={hint.format(level)})')
    asked = [tmp_path / f'{name}.py' for name in ('first', 'broken', 'last')]
    options = ['--pair', tmp_path / 'pair.py', '--images', 1, '--size', 64, 96, '--rois', 8, '--repeats', 2]
    with pytest.raises(SystemExit) as end:
        call_tool('benchmarks/gpu_steps.py', *asked, *options, '--results', tmp_path)
    assert end.value.code == 1
    assert 'has no level 9' in capsys.readouterr().err
    content = json.loads((tmp_path / 'no-gpu.json').read_text())
    assert list(content['rows']) == ['first', 'last']
    costs = {'student, single, s', 'plain teacher, s', 'distilled, single, s', 'tax, single'}
    memory = {f'{name}, single' for name in ('peak of the student, MiB', 'beyond it, MiB', 'of weights and a pass')}
    assert all(row.keys() == costs | memory for row in content['rows'].values())
    compiled, stream = content['of_first']['compiled'], content['of_first']['stream']
    assert {'tax, teacher as it comes', 'tax, teacher compiled'} <= compiled.keys()
    assert stream.keys() == {'one after the other, s', 'on two streams, s'}


def test_a_card_has_a_table(tmp_path):
    def number(value):
        return dict(value=value, low=value - 0.5, high=value + 0.5)

    row = {
        **{'student, single, s': number(0.12), 'plain teacher, s': number(0.02), 'distilled, single, s': number(0.15)},
        **{'tax, single': number(1.5), 'tax, float16': number(1.2)},
        **{'beyond it, MiB, single': 1250.5, 'beyond it, MiB, float16': 1400.0},
        **{'student keeps the GPU busy, s': 0.05, 'distilled keeps the GPU busy, s': 0.075},
        **{'waits of the host, student': 200, 'waits of the host, distilled': 204},
    }
    settings = dict(device='A Card', torch='2.11', images=4, size=[800, 1333], rois=512, repeats=7)
    (tmp_path / 'gpu_a-card.json').write_text(json.dumps(dict(settings=settings, rows=dict(chen=row), of_first={})))
    tables = load_tool('benchmarks/step_table.py')
    heading, table = tables.gpu_table(tmp_path).split('\n\n')
    assert heading == 'A Card, torch 2.11, 4 pictures of 800x1333, 512 RoIs each, 7 turns:'
    cells = ['chen', '0.12', '0.02', '0.15', '1.50 (1.00 to 2.00)', '1.20 (0.70 to 1.70)', '', '1.25']
    assert table == markdown([tables.GPU_COLUMNS, [*cells, '1250.5', '1400', '4']])
