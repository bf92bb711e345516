"""The data tools as their users run them."""

import json

import pytest
from helpers.tiny import call_tool
from test_datasets.layouts import draw_coco, draw_ilsvrc, draw_kitti, draw_voc

FOLDER = 'tools/dataset_converters'


def test_kitti_is_converted(tmp_path, capsys):
    root = draw_kitti(tmp_path / 'kitti', train=3, val=2)
    call_tool(f'{FOLDER}/kitti.py', root)
    assert f'{root}/annotations/train.json: 3 pictures, 36 boxes' in capsys.readouterr().out
    assert len(json.loads((root / 'annotations' / 'val.json').read_text())['images']) == 2


def test_a_broken_kitti_is_one_error(tmp_path):
    root = draw_kitti(tmp_path / 'kitti', train=3, val=2)
    (root / 'training' / 'image_2' / '000001.png').unlink()
    (root / 'training' / 'label_2' / '000004.txt').write_text('Car 0 0')
    found = r'(?s)^\nerror: 2 problems:.*000001\.png.*000004\.txt, line 1: 3 columns'
    with pytest.raises(SystemExit, match=found):
        call_tool(f'{FOLDER}/kitti.py', root)
    assert not (root / 'annotations').exists()
    call_tool(f'{FOLDER}/kitti.py', root, '--leave-out-broken')
    assert len((root / 'annotations' / 'left_out.txt').read_text().splitlines()) == 2


def test_ilsvrc_is_converted_with_its_options(tmp_path, capsys):
    root = draw_ilsvrc(tmp_path / 'ILSVRC', halves=False)
    with pytest.raises(SystemExit, match='--halve-val'):
        call_tool(f'{FOLDER}/ilsvrc_det.py', root)
    call_tool(f'{FOLDER}/ilsvrc_det.py', root, '--halve-val', '--train-per-class', 1)
    assert 'val2.json: 8 pictures, 200 boxes' in capsys.readouterr().out
    half = root / 'half.txt'
    half.write_text('ILSVRC2012_val_00000003 3\n')
    other = root / 'other.txt'
    other.write_text('ILSVRC2012_val_00000004 4\n')
    call_tool(f'{FOLDER}/ilsvrc_det.py', root, '--val1', half, '--val2', other, '--leave-out-broken')
    assert 'val1.json: 1 pictures, 25 boxes' in capsys.readouterr().out


@pytest.mark.parametrize(('name', 'draw'), [('voc', draw_voc), ('coco', draw_coco)])
def test_voc_and_coco_are_checked_and_left_alone(tmp_path, capsys, name, draw):
    root = draw(tmp_path / 'set')
    before = sorted(root.rglob('*'))
    call_tool(f'{FOLDER}/check.py', name, root)
    assert '4 pictures' in capsys.readouterr().out
    victim = sorted(root.rglob('*.jpg'))[0]
    victim.write_bytes(b'')
    with pytest.raises(SystemExit, match=rf'{victim} cannot be read \(it is empty\)'):
        call_tool(f'{FOLDER}/check.py', name, root)
    assert sorted(root.rglob('*')) == before
