#!/usr/bin/env python
"""Write what the documents quote: registered modules, methods, results, and the lists of configs.

In a page each lies between `<!-- begin:NAME -->` and `<!-- end:NAME -->`; in a metafile.yml, behind `Models:`. With
--check, nothing is written, and a document that is out of date is an error.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks'), str(ROOT / 'tools' / 'dev')]

from experiments import Experiments  # noqa: E402
from gain import recipe_of  # noqa: E402
from gain_table import difference_cells, goal_cells, table_cells  # noqa: E402
from leaderboard import detail_cells, leaderboard_cells, tried_cells  # noqa: E402
from metafiles import KEPT, all_metafiles, metafile_text, read_metafile  # noqa: E402
from method_tables import methods_gallery, methods_table  # noqa: E402
from mmengine.config import Config  # noqa: E402
from package_tables import heads_tables, reference, registered_table  # noqa: E402
from step_table import gpu_table, step_time_tables  # noqa: E402
from weights_table import TABLES, weights_cells  # noqa: E402

from mmdet_kd.comparison import markdown  # noqa: E402
from mmdet_kd.runtime.cli import command_line  # noqa: E402
from mmdet_kd.runtime.results import read_results  # noqa: E402

#: Where pages with tables may lie.
PAGES = ('README.md', 'docs/*.md', 'configs/README.md', 'configs/*/README.md', 'benchmarks/README.md')
DEMO = ROOT / 'work_dirs' / 'demo'
RESULTS = ROOT / 'benchmarks' / 'results'
REPORTS = ROOT / 'docs' / 'reports'
#: The tables of gains that the leaderboard has -> those in which their rows' values were chosen.
LEADERBOARDS = {
    'bccd-two-stage': 'bccd-two-stage-weights',
    'bccd-two-stage-dist': 'bccd-two-stage-weights',
    'bccd-two-stage-24e': 'bccd-two-stage-weights',
    'bccd-retinanet': 'bccd-retinanet-weights',
    'bccd-gfl': 'bccd-gfl-weights',
}
#: How a metafile calls what the name of a config says.
DATA_SETS = {
    'coco': 'COCO',
    'voc07': 'PASCAL VOC 2007',
    'voc0712': 'PASCAL VOC 2007 + 2012',
    'kitti': 'KITTI',
    'ilsvrc': 'ILSVRC-DET 2014',
}
#: A block of docs/detectors.md that tests/test_detectors/detector_sweep.py writes.
SWEEP = 'sweep'
EPOCHS = {'1x': 12, '2x': 24}


def main() -> None:
    """Bring every document up to date, or check that it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--check', action='store_true', help='fail if a document is out of date; write nothing')
    parser.add_argument('--demo', action='store_true', help='take over the table of the last demo in work_dirs/demo')
    args = parser.parse_args()
    if args.demo:
        take_over_demo()
    blocks = {
        'registered': registered_table(),
        'reference': reference(),
        'methods': methods_table(RESULTS),
        'gallery': methods_gallery(),
        'demo': demo_table(),
        **gain_tables(),
        **leaderboards(),
        **weights_tables(),
        'shrinking': shrinking_table(),
        'heads': heads_tables(),
        'reported': reported_tables(),
        **step_time_tables(RESULTS),
        'gpu_steps': gpu_table(RESULTS),
    }
    pages = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    texts = {path: quote(path.read_text(), blocks) for path in pages}
    texts |= {path: list_configs(path) for path in sorted((ROOT / 'configs').glob('*/metafile.yml'))}
    unknown = [f'{path.relative_to(ROOT)}: {name}' for path in pages for name in _marked(path) - {*blocks, SWEEP}]
    if unknown:
        sys.exit(f'nothing is written there, so it would stay as it is: {", ".join(sorted(unknown))}')
    changed = list(results_of_other_configs())
    if changed:
        sys.exit(f'these results are of configs as they were before: {", ".join(changed)}. Train these rows again')
    stale = [str(path.relative_to(ROOT)) for path, text in texts.items() if text != path.read_text()]
    if not args.check:
        for path, text in texts.items():
            path.write_text(text)
    if args.check and stale:
        sys.exit(f'out of date: {", ".join(stale)}. Run: make docs')


def take_over_demo() -> None:
    """Keep what the last demo left: its table, its numbers, its pictures and its report."""
    shutil.copy(DEMO / 'report.html', REPORTS / 'demo.html')
    for suffix in ('md', 'json'):
        shutil.copy(DEMO / f'table.{suffix}', RESULTS / f'demo.{suffix}')
    for picture in ('curves', 'detections'):
        shutil.copy(DEMO / f'{picture}.png', RESULTS / f'demo_{picture}.png')


def results_of_other_configs() -> Iterator[str]:
    """The rows, with which the others of a table are compared, whose configs have changed since they were trained.

    They are students alone. What reads a teacher's weights cannot be told without them.
    """
    for name, results, table in gain_results():
        row, definition = next(iter(table.rows.items()))
        recipe = recipe_of(definition)
        if row in results and not recipe.weights and results[row]['fingerprint'] != recipe.fingerprint:
            yield f'{row} of {name}'


def gain_results() -> Iterator[tuple[str, dict[str, Any], Config]]:
    """The name, the results and the definition of each table of benchmarks/gain.py that has results."""
    for definition in sorted((ROOT / 'benchmarks' / 'tables').glob('*.py')):
        results = read_results(RESULTS / f'{definition.stem}.json')
        if results:
            yield definition.stem, results, Config.fromfile(definition)


def _marked(page: Path) -> set[str]:
    """The blocks that a page has places for."""
    return set(re.findall('<!-- begin:(.+?) -->', page.read_text()))


def quote(text: str, blocks: dict[str, str]) -> str:
    """A document with the blocks in their places."""
    for name, content in blocks.items():
        pattern = rf'(<!-- begin:{name} -->\n).*?(<!-- end:{name} -->)'
        text = re.sub(pattern, lambda m, c=content: f'{m[1]}{c}\n{m[2]}', text, flags=re.DOTALL)
    return text


def list_configs(metafile: Path) -> str:
    """A metafile with every config of its folder behind `Models:`, and what it has of each beside that."""
    head, before = read_metafile(metafile)
    had = {model['Name']: model for model in before}
    models = []
    for config in sorted(metafile.parent.glob('*.py')):
        *_, schedule, dataset = config.stem.split('_')
        if schedule.endswith('k'):
            length = {'Iterations': int(schedule.removesuffix('k')) * 1000}
        else:
            length = {'Epochs': EPOCHS.get(schedule) or int(schedule.removesuffix('e'))}
        model = {
            'Name': config.stem,
            'In Collection': re.search('- Name: (.+)', head)[1],
            'Config': str(config.relative_to(ROOT)),
            'Metadata': {'Training Data': DATA_SETS[dataset.split('-')[0]], **length},
        }
        models.append(model | {key: value for key, value in had.get(config.stem, {}).items() if key in KEPT})
    return metafile_text(head, models)


def reported_tables() -> str:
    """Of each paper a table: its numbers, and ours where tools/dev/reproduce.sh has measured them."""
    heads = ['config', 'data', 'metric', "the paper's", 'tolerance', 'ours']
    tables: dict[str, list[list[str]]] = {}
    for step in Experiments(all_metafiles()).steps():
        if step.reported is not None:
            ours = '' if step.ours is None else f'{step.ours:.1f}'
            row = [f'`{step}`', step.model['Metadata']['Training Data'], step.reported['Metric']]
            row += [f'{step.reported[name]:.1f}' for name in ('Value', 'Tolerance')]
            tables.setdefault(step.reported['By'], [heads]).append([*row, ours])
    return '\n\n'.join(f'**The numbers of {by}**\n\n{markdown(cells, words=3)}' for by, cells in tables.items())


def demo_table() -> str:
    """The table of the demo, as it printed it."""
    return (RESULTS / 'demo.md').read_text().rstrip()


def gain_tables() -> dict[str, str]:
    """Name -> table, of each table of benchmarks/gain.py that has results, and of what its definition asks besides."""
    tables = {}
    for name, results, table in gain_results():
        tables[name] = markdown(table_cells(results, table))
        if 'differences' in table:
            tables[f'{name}-differences'] = markdown(difference_cells(results, table))
        if 'goals' in table:
            tables[f'{name}-goals'] = markdown(goal_cells(results, table))
    return tables


def leaderboards() -> dict[str, str]:
    """The three tables of each student of the leaderboard that has results."""
    tables = {}
    for name, results, table in gain_results():
        if name in LEADERBOARDS:
            tried = read_results(RESULTS / f'{LEADERBOARDS[name]}.json')
            tables[f'{name}-leaderboard'] = markdown(leaderboard_cells(results, table))
            tables[f'{name}-detail'] = markdown(detail_cells(results, table))
            tables[f'{name}-tried'] = markdown(tried_cells(table, tried), words=2)
    return tables


def weights_tables() -> dict[str, str]:
    """What the methods gain by how hard they pull."""
    tables = {}
    for name, sets in TABLES.items():
        results = {
            each: tuple(read_results(RESULTS / f'{kind}{table}.json') for kind in ('', 'gradient_shares_'))
            for each, table in sets.items()
        }
        tables[name] = markdown(weights_cells(results), words=2)
    return tables


def shrinking_table() -> str:
    """What benchmarks/shrinking.py found."""
    results = read_results(RESULTS / 'shrinking.json')
    heads = ['', *next(iter(results.values()), {})]
    return markdown(
        [heads, *([name, *(f'{value:.1f}' for value in found.values())] for name, found in results.items())]
    )


if __name__ == '__main__':
    with command_line():
        main()
