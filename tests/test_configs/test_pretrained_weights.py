"""Our configs name pretrained weights by their addresses, so that no training asks for torchvision."""

from __future__ import annotations

from pathlib import Path

from config_sweep import CONFIGS, fragments, load


def test_no_file_of_ours_says_torchvision() -> None:
    files = [path for path in CONFIGS.rglob('*') if path.suffix in ('.py', '.md', '.yml')]
    assert [path for path in files if 'torchvision://' in path.read_text()] == []


def test_no_model_of_ours_inherits_it_from_mmdet() -> None:
    """Plain mmdet trains an exported student without torchvision too."""
    models = [Path('_base_', kind, f'{name}.py') for kind in ('students', 'classifiers') for name in fragments(kind)]
    assert [path for path in models if 'torchvision://' in str(load(path).model)] == []
