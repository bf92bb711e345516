#!/usr/bin/env python
"""Write what the documents quote: the table of registered modules, and the tables of results.

Each lies between `<!-- begin:NAME -->` and `<!-- end:NAME -->`. With --check, nothing is written, and a document that
is out of date is an error.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks')]

from gain import table_cells  # noqa: E402
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS  # noqa: E402

import mmdet_kd  # noqa: E402, F401  (registers what is listed)
from mmdet_kd.runtime.results import read_json  # noqa: E402

DOCUMENTS = ['README.md', 'configs/chen2017/README.md']
DEMO = ROOT / 'work_dirs' / 'demo'
RESULTS = ROOT / 'benchmarks' / 'results'


def main() -> None:
    """Bring every document up to date, or check that it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='fail if a document is out of date; write nothing')
    parser.add_argument('--demo', action='store_true', help='take over the table of the last demo in work_dirs/demo')
    args = parser.parse_args()
    if args.demo:
        take_over_demo()
    blocks = {'registered': registered_table(), 'demo': demo_table(), **gain_tables()}
    stale = [name for name in DOCUMENTS if update(ROOT / name, blocks, write=not args.check)]
    if args.check and stale:
        sys.exit(f'out of date: {", ".join(stale)}. Run: make docs')


def take_over_demo() -> None:
    """Keep what the last demo left: its table, its numbers and its pictures."""
    for suffix in ('md', 'json'):
        shutil.copy(DEMO / f'table.{suffix}', RESULTS / f'demo.{suffix}')
    for picture in ('curves', 'detections'):
        shutil.copy(DEMO / f'{picture}.png', RESULTS / f'demo_{picture}.png')


def update(document: Path, blocks: dict[str, str], write: bool) -> bool:
    """Put the blocks into a document; returns whether it was out of date."""
    before = document.read_text()
    after = before
    for name, content in blocks.items():
        pattern = rf'(<!-- begin:{name} -->\n).*?(<!-- end:{name} -->)'
        after = re.sub(pattern, lambda m, c=content: f'{m[1]}{c}\n{m[2]}', after, flags=re.DOTALL)
    if write and after != before:
        document.write_text(after)
    return after != before


def registered_table() -> str:
    """What a config can name, in the order of the rooms."""
    rows = ['| `type` | room | what it does |', '|-|-|-|']
    rows += [f'| `{name}` | {room} | {summary} |' for room, name, summary in sorted(_registered())]
    return '\n'.join(rows)


def _registered() -> Iterator[tuple[str, str, str]]:
    for registry in (MODELS, HOOKS, DATASETS, METRICS):
        for name, module in registry.module_dict.items():
            package, _, rest = module.__module__.partition('.')
            if package == 'mmdet_kd':
                yield rest.partition('.')[0], name, _summary(module)


def _summary(module: type) -> str:
    """The first sentence of a docstring, without Sphinx's roles."""
    paragraph = (module.__doc__ or '').strip().split('\n\n')[0]
    sentence = re.split(r'(?<=\.) (?=[A-Z])', ' '.join(paragraph.split()))[0]
    return re.sub(r':\w+:`~?([\w.]+)`', lambda m: f'`{m[1].rpartition(".")[2]}`', sentence)


def demo_table() -> str:
    """The table of the demo, as it printed it."""
    return (RESULTS / 'demo.md').read_text().rstrip()


def gain_tables() -> dict[str, str]:
    """Name -> table, of each table of benchmarks/gain.py that has results."""
    tables = {}
    for definition in sorted((ROOT / 'benchmarks' / 'tables').glob('*.py')):
        results = read_json(RESULTS / f'{definition.stem}.json')
        if results:
            tables[definition.stem] = markdown(table_cells(results))
    return tables


def markdown(cells: list[list[str]]) -> str:
    """A Markdown table, its head first, its numbers to the right."""
    rows = [cells[0], ['---', *['---:'] * (len(cells[0]) - 1)], *cells[1:]]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


if __name__ == '__main__':
    main()
