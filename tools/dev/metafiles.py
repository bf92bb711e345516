"""A metafile.yml: its head, which a person writes, and the list of configs behind `Models:`, which commands write."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
#: What a model has beside what its config's name and place say. The first two are written by hand:
#: `Needs`, the files that its training reads and another command makes; `Reported`, a number of a paper.
#: reproduce.py writes `Results` and `Measured`: our number, and who measured it when.
KEPT = ('Needs', 'Reported', 'Results', 'Measured', 'Weights')


def read_metafile(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The text before `Models:`, and the models."""
    text = path.read_text()
    return text.partition('Models:\n')[0], yaml.safe_load(text)['Models'] or []


def metafile_text(head: str, models: Iterable[Mapping[str, Any]]) -> str:
    """The text of a metafile."""
    entries = (yaml.safe_dump([dict(model)], sort_keys=False, allow_unicode=True, width=1000) for model in models)
    return f'{head}Models:\n' + '\n'.join(textwrap.indent(entry, '  ') for entry in entries)


def all_metafiles() -> list[Path]:
    """Those that model-index.yml names."""
    return [ROOT / file for file in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']]
