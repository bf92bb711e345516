"""Configs in YAML and JSON are data: what would run code is not read, wherever a config is named."""

import json
import os

import pytest
from helpers.distil import distilled_cfg
from helpers.tiny import call_tool
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import cli

TAGS = {
    'call': '!!python/object/apply:os.mkdir ["{}"]',
    'new': '!!python/object/new:os.mkdir ["{}"]',
    'deep': 'a: [{{b: !!python/object/apply:os.mkdir ["{}"]}}]',
    'name': 'a: !!python/name:os.mkdir ""',
    'module': 'a: !!python/module:os ""',
    'own': 'a: !mine [1]',
}
PLACES = {
    'train': lambda config, out: ('train', config),
    'test': lambda config, out: ('test', config, 'none.pth'),
    'export': lambda config, out: ('export_student', config, 'none.pth', '--out', out),
    'tucker': lambda config, out: ('tucker_decompose', config, '--out', out),
    'ranks': lambda config, out: ('tucker_decompose', config.with_name('good.py'), '--out', out, '--ranks', config),
}
LAUGHS = 'a0: &a0 [x]\n' + ''.join(f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]\n' for i in range(1, 21))
NO_CONFIGS = {
    'page.yaml': '<!DOCTYPE html><html><body>404 \x1b[31mnot found</body></html>',
    'list.yaml': '- a: 3',
    'deep.yaml': 'a: ' + '[' * 10**5,
    'nested.yaml': 'a: ' + '- ' * 10**4,
    'repeated.yaml': LAUGHS,
    'itself.yaml': 'a: &a [*a]',
    'bytes.yaml': b'a: \xff\xfe',
    'empty.yaml': '',
    'page.json': '<html></html>',
    'list.json': '[1]',
    'deep.json': '{"a": ' + '[' * 10**5,
    'number.json': '{"a": ' + '9' * 10**5 + '}',
    'page.py': '<html></html>',
    'bytes.py': b'a = "\xff"',
    'zeros.py': b'\0' * 100,
    'page.txt': 'a = 1',
    'base.yaml': '_base_: list.yaml',
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('place', PLACES)
def test_a_tag_that_runs_code_is_refused(place, student_cfg, tmp_path):
    student_cfg.dump(tmp_path / 'good.py')
    for kind, text in TAGS.items():
        config, mark = tmp_path / f'{kind}.yaml', tmp_path / 'ran'
        config.write_text(text.format(mark))
        tool, *arguments = PLACES[place](config, tmp_path / 'out')
        with pytest.raises(SystemExit) as caught:
            call_tool(f'tools/{tool}.py', *arguments)
        assert str(caught.value.code).startswith(f"\nerror: the config '{config}' cannot be read (")
        assert 'a tag in the YAML may run code' in caught.value.code
        assert not mark.exists()
        assert not (tmp_path / 'out').exists()


def test_a_tag_in_a_base_and_in_a_teachers_config(student_cfg, tmp_path):
    (tmp_path / 'base.yml').write_text(TAGS['deep'].format(tmp_path / 'ran'))
    (tmp_path / 'config.yaml').write_text('_base_: base.yml')
    with pytest.raises(DistillationError, match=r"'config\.yaml' cannot be read .* may run code"):
        cli.read_config('config.yaml')
    distilled_cfg(student_cfg, str(tmp_path / 'base.yml'), None).dump(tmp_path / 'distilled.py')
    with pytest.raises(SystemExit, match=r'the teacher config .*base\.yml cannot be read .* may run code'):
        call_tool('tools/train.py', tmp_path / 'distilled.py')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', NO_CONFIGS)
def test_what_is_no_config(name, tmp_path):
    (tmp_path / 'list.yaml').write_text('- a: 3')
    content = NO_CONFIGS[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DistillationError, match=rf"^(the config )?'{name}' (cannot be read|is no config)") as caught:
        cli.read_config(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_config_that_is_no_file(tmp_path):
    os.mkfifo('pipe.py')
    (tmp_path / 'device.yaml').symlink_to('/dev/zero')
    with (tmp_path / 'huge.yaml').open('wb') as file:
        file.truncate(1 << 40)
    for name, said in (
        ('pipe.py', 'there is no config'),
        ('device.yaml', 'there is no config'),
        ('huge.yaml', '16 MiB'),
    ):
        with pytest.raises(DistillationError, match=said):
            cli.read_config(name)


def test_an_error_in_a_python_config_keeps_its_traceback(tmp_path):
    (tmp_path / 'config.py').write_text('a = 1 / 0')
    with pytest.raises(ZeroDivisionError):
        cli.read_config('config.py')


def test_yaml_and_json_without_tags_are_read_as_before(student_cfg, tmp_path):
    """With the tuples that `Config.dump` writes into YAML."""
    student_cfg.dump('a.yaml')
    assert '!!python/tuple' in (tmp_path / 'a.yaml').read_text()
    assert cli.read_config('a.yaml').to_dict() == student_cfg.to_dict()
    student_cfg.dump('a.json')
    assert cli.read_config('a.json').to_dict() == json.loads(json.dumps(student_cfg.to_dict()))
    (tmp_path / 'b.yml').write_text('_base_: a.yaml\ntrain_cfg:\n  max_epochs: 7\nlr: 1.0e-3\nname: "on"\nnone: null')
    cfg = Config.fromfile('b.yml')
    assert (cfg.train_cfg.max_epochs, cfg.lr, cfg.name, cfg.none) == (7, 0.001, 'on', None)
