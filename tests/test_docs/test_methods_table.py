"""Methods in docs/methods.md: a row and an entry each, numbers from the results, nothing where there are none."""

import json
import re

import pytest
from helpers.tiny import REPO, load_tool
from mmengine.fileio import load


@pytest.fixture
def write_docs(monkeypatch, tmp_path):
    """The command, with results of its own."""
    module = load_tool('tools/dev/write_docs.py')
    monkeypatch.setattr(module, 'RESULTS', tmp_path)
    return module


def seeds(*aps):
    return {str(seed): dict(scores=dict(AP=ap)) for seed, ap in enumerate(aps)}


def cells_of(table):
    """Name of a method -> its cells by the head of their column."""
    head, _, *rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in table.splitlines()]
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


COST = 'cost, passes of the teacher'
NUMBERS = {*(f'gain in AP, {student}' for student in ('two-stage', 'RetinaNet', 'GFL')), COST, 'memory, MiB'}


def test_every_method_of_a_folder_has_a_row_and_an_entry(write_docs, tmp_path):
    rows = cells_of(write_docs.methods_table(tmp_path))
    folders = {line.removeprefix('configs/').split('/')[0] for line in load(str(REPO / 'model-index.yml'))['Import']}
    folders.remove('baselines')  # plain detectors
    assert {name.partition('](../configs/')[2].split('/')[0] for name in rows} == folders
    assert len(rows) > len(folders)  # a part of a method may have a row of its own
    assert all({cells[name] for name in NUMBERS} == {''} for cells in rows.values())
    entries = write_docs.methods_gallery().split('\n\n')
    assert [head.partition('** (')[0].removeprefix('**') for head in entries[::2]] == list(rows)
    for entry in entries[1::2]:
        assert re.fullmatch(r'\* What it compares: .+\n\* Detectors: .+\n\* Fragments: (`[\w-]+`(, )?)+', entry)


def test_gains_and_costs_are_those_of_the_method(write_docs, tmp_path):
    two_stage = {
        'alone': dict(seeds=seeds(46.0, 48.0, 47.0)),
        'pkd': dict(seeds=seeds(52.0, 53.0, 54.0)),
        'fgd': dict(seeds=seeds(50.0), inherits=True),
        'hint': dict(seeds=seeds(47.0)),
    }
    (tmp_path / 'bccd-two-stage.json').write_text(json.dumps(two_stage))
    later = {
        'alone': dict(seeds=seeds(44.0)),
        'dist': dict(seeds=seeds(45.5)),
        'pkd': dict(seeds=seeds(44.0)),
    }
    (tmp_path / 'bccd-two-stage-dist.json').write_text(json.dumps(later))
    retinanet = {'alone': dict(seeds=seeds(40.0)), 'mgd-two-stage': dict(seeds=seeds(38.5))}  # called by its fragment
    (tmp_path / 'bccd-retinanet.json').write_text(json.dumps(retinanet))
    tax = dict(value=1.04, low=0.9, high=1.2)
    costs = {
        'tax, teacher as it comes': tax,
        'tax, teacher bf16': {},
        'beyond it, MiB': 160.5,
        'of weights and a pass': 1,
    }
    rows = {
        'pkd_faster-rcnn-r50-fpn-from-r101-fpn_2x_coco': costs,
        'pkd-other_x-from-y_1x_coco': {},
        'gid-two-stage': costs,
    }
    (tmp_path / 'step_time_methods.json').write_text(json.dumps(dict(rows=rows)))

    dense = {**costs, 'beyond it, MiB': 90.0}
    (tmp_path / 'step_time_methods-dense.json').write_text(json.dumps(dict(rows={'ld': dense, 'gid': dense})))

    table = cells_of(write_docs.methods_table(tmp_path))
    assert table['[LD](../configs/ld/README.md)']['memory, MiB'] == '90'
    assert table['[GID](../configs/gid/README.md)']['memory, MiB'] == '160.5'  # of the pair of most methods
    pkd, fgd, mgd, chen = (
        table[f'[{name}](../configs/{folder}/README.md)']
        for name, folder in (('PKD', 'pkd'), ('FGD', 'fgd'), ('MGD', 'mgd'), ('Chen et al.', 'chen2017'))
    )
    # 6, 5 and 7: the mean 6, and t(0.975, 2) = 4.30 times its standard error, 1 / sqrt(3)
    assert pkd['gain in AP, two-stage'] == '+6.0 (+3.5 to +8.5), 3 seeds'
    assert pkd['gain in AP, RetinaNet'] == ''
    # over the first row of its own table, which has another teacher
    assert table['[DIST](../configs/dist/README.md)']['gain in AP, two-stage'] == '+1.5, 1 seed'
    assert (pkd[COST], pkd['memory, MiB']) == ('1.04 (0.90 to 1.20)', '160.5')
    assert fgd['gain in AP, two-stage'] == '+4.0, 1 seed (inherits)'
    assert (fgd[COST], fgd['memory, MiB']) == ('', '')
    assert mgd['gain in AP, RetinaNet'] == '-1.5, 1 seed'
    assert chen['gain in AP, two-stage'] == ''
    assert table['[its adapted hint alone](../configs/chen2017/README.md)']['gain in AP, two-stage'] == '+1.0, 1 seed'


def test_a_place_for_which_nothing_is_written_is_named(write_docs, monkeypatch, tmp_path):
    """It would stay as it is: a misspelt name, or results that are gone."""
    page = tmp_path / 'page.md'
    page.write_text('<!-- begin:bccd-glf -->\nold\n<!-- end:bccd-glf -->\n<!-- begin:sweep -->\n<!-- end:sweep -->\n')
    monkeypatch.setattr(write_docs, 'RESULTS', REPO / 'benchmarks' / 'results')
    monkeypatch.setattr(write_docs, 'ROOT', tmp_path)
    monkeypatch.setattr(write_docs, 'PAGES', ('page.md',))
    monkeypatch.setattr(write_docs, 'leaderboards', dict)
    monkeypatch.setattr('sys.argv', ['write_docs.py', '--check'])
    with pytest.raises(SystemExit, match=r'stay as it is: page\.md: bccd-glf$'):
        write_docs.main()


def test_results_of_a_config_as_it_was_before_are_named(write_docs, tmp_path):
    rows = {row: dict(fingerprint='of before', seeds={}) for row in ('alone', 'pkd')}
    (tmp_path / 'bccd-gfl.json').write_text(json.dumps(rows))
    assert list(write_docs.results_of_other_configs()) == ['alone of bccd-gfl']
