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
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import isfunction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'benchmarks'), str(ROOT / 'tools' / 'dev')]

from experiments import Experiments  # noqa: E402
from gain import recipe_of  # noqa: E402
from gain_table import difference_cells, goal_cells, table_cells  # noqa: E402
from leaderboard import detail_cells, leaderboard_cells, tried_cells  # noqa: E402
from metafiles import KEPT, all_metafiles, metafile_text, read_metafile  # noqa: E402
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.fileio import load  # noqa: E402
from weights_table import TABLES, weights_cells  # noqa: E402

import mmdet_kd  # noqa: E402, F401  (registers what is listed)
from mmdet_kd.comparison import gains, interval, markdown  # noqa: E402
from mmdet_kd.heads import BoxHeadView, DenseView, MaskView, RoIView, RPNView, known_heads  # noqa: E402
from mmdet_kd.losses import functional  # noqa: E402
from mmdet_kd.runtime.cli import command_line  # noqa: E402
from mmdet_kd.runtime.results import read_results  # noqa: E402

#: Where pages with tables may lie.
PAGES = ('README.md', 'docs/*.md', 'configs/README.md', 'configs/*/README.md', 'benchmarks/README.md')
DEMO = ROOT / 'work_dirs' / 'demo'
RESULTS = ROOT / 'benchmarks' / 'results'
REPORTS = ROOT / 'docs' / 'reports'
#: The tables of gains that have a row a method: what their column says -> their results; the first that has it counts.
GAINS = {
    'gain in AP, two-stage': ('bccd-two-stage', 'bccd-two-stage-dist'),
    'gain in AP, RetinaNet': ('bccd-retinanet',),
    'gain in AP, GFL': ('bccd-gfl',),
}
#: What a step of each method costs, on a two-stage pair and on one with dense heads; the first that has it counts.
COSTS = ('step_time_methods', 'step_time_methods-dense')
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
SORTS_OF_HEADS = {
    DenseView: 'Dense heads',
    RPNView: 'Region proposal networks',
    RoIView: 'RoI heads',
    BoxHeadView: 'Box heads of RoI heads',
    MaskView: 'Mask heads',
}


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
        'methods': methods_table(),
        'gallery': methods_gallery(),
        'demo': demo_table(),
        **gain_tables(),
        **leaderboards(),
        **weights_tables(),
        'shrinking': shrinking_table(),
        'heads': heads_tables(),
        'reported': reported_tables(),
        **step_time_tables(),
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


def methods() -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Each method of the metafiles, the collection that it belongs to, and its name with a link for docs/methods.md."""
    for metafile in all_metafiles():
        (collection,) = load(str(metafile))['Collections']
        for method in collection['Metadata'].get('Methods', []):  # plain detectors have none
            yield method, collection, f'[{method["Name"]}](../{collection["README"]})'


def methods_table() -> str:
    """What is known of the gain and the cost of each method."""
    gains = [[read_results(RESULTS / f'{name}.json') for name in names] for names in GAINS.values()]
    costs = [read_results(RESULTS / f'{name}.json').get('rows', {}) for name in COSTS]
    cells = [['method', *GAINS, 'cost, passes of the teacher', 'memory, MiB']]
    for method, _, name in methods():
        cells.append([name, *(gain_of(method, tables) for tables in gains), *costs_of(method, costs)])
    return markdown(cells)


def methods_gallery() -> str:
    """What each method compares, for which detectors, its fragments and its paper."""
    entries = []
    for method, collection, name in methods():
        fragments = ', '.join(f'`{fragment}`' for fragment in method['Fragments'])
        entries.append(
            f'**{name}** ({paper_of(method, collection)})\n\n'
            f'* What it compares: {method["Distils"]}\n'
            f'* Detectors: {method["Families"]}\n'
            f'* Fragments: {fragments}'
        )
    return '\n\n'.join(entries)


def paper_of(method: Mapping[str, Any], collection: Mapping[str, Any]) -> str:
    """Who wrote a method, with a link to the paper where there is one."""
    paper = collection.get('Paper')
    return method['Authors'] if paper is None else f'[{method["Authors"]}]({paper["URL"]})'


def gain_of(method: Mapping[str, Any], tables: Sequence[Mapping[str, Mapping[str, Any]]]) -> str:
    """The gain of a method over the student alone in the first table that has it, its interval and its seeds.

    Empty if there is no such row, or nothing of the student alone.
    """
    for rows in tables:
        found = _first(rows, [method['Row'], *method['Fragments']])
        if found is not None:
            of_seeds = gains(found, rows.get('alone', {}))
            seeds = f', {len(of_seeds)} seed{"s" if len(of_seeds) > 1 else ""}' if of_seeds else ''
            return interval(of_seeds) + seeds + (' (inherits)' if found.get('inherits') else '')
    return ''


def costs_of(method: Mapping[str, Any], pairs: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The tax of a method, with its interval, and the memory beyond the student's, on the first pair that has them.

    Empty if not measured.
    """
    by_method = [{row.partition('_')[0]: found for row, found in rows.items()} for rows in pairs]
    of_pairs = (_first(rows, [method['Row'], *method['Fragments']]) for rows in by_method)
    found = next((found for found in of_pairs if found is not None), None)
    names = ('tax, teacher as it comes', 'beyond it, MiB')
    return ['', ''] if found is None else [measured(name, found[name]) for name in names]


def _first(rows: Mapping[str, Any], names: list[str]) -> Any:
    """The row of the first of the names that there is; None if there is none."""
    return next((rows[name] for name in names if name in rows), None)


def registered_table() -> str:
    """What a config can name, in the order of the rooms."""
    rows = ['| `type` | room | what it does |', '|-|-|-|']
    rows += [f'| `{name}` | {room} | {_summary(module)} |' for room, name, module in _registered()]
    return '\n'.join(rows)


def reference() -> str:
    """For Sphinx, what :func:`registered_table` lists, by its room; and the functions of the losses."""
    rooms: dict[str, list[str]] = {}
    for room, _, module in _registered():
        rooms.setdefault(room, []).append(_directive(f'mmdet_kd.{room}', module))
    members = [getattr(functional, name) for name in sorted(functional.__all__)]
    rooms['losses.functional'] = [_directive(functional.__name__, each) for each in members if isfunction(each)]
    return '\n\n'.join(
        f'### {room}\n\n```{{eval-rst}}\n' + '\n\n'.join(lines) + '\n```' for room, lines in rooms.items()
    )


def _directive(room: str, module: Callable) -> str:
    return f'.. {"autofunction" if isfunction(module) else "autoclass"}:: {room}.{module.__name__}'


def _registered() -> list[tuple[str, str, Callable]]:
    """The room, the name and the class of all that this package registers, in the order of the rooms and names."""
    found = []
    for registry in (MODELS, HOOKS, DATASETS, METRICS):
        for name, module in registry.module_dict.items():
            package, _, rest = module.__module__.partition('.')
            if package == 'mmdet_kd':
                found.append((rest.partition('.')[0], name, module))
    return sorted(found, key=lambda entry: entry[:2])


def _summary(module: Callable) -> str:
    """The first sentence of a docstring, without Sphinx's roles."""
    paragraph = (module.__doc__ or '').strip().split('\n\n')[0]
    sentence = re.split(r'(?<=\.) (?=[A-Z])', ' '.join(paragraph.split()))[0]
    return re.sub(r':\w+:`~?([\w.]+)`', lambda m: f'`{m[1].rpartition(".")[2]}`', sentence).replace('``', '`')


def heads_tables() -> str:
    """Of each sort of heads a table, head x question; and the reasons for each no."""
    sections = []
    for sort, title in SORTS_OF_HEADS.items():
        views = {head.__name__: view for head, view in known_heads().items() if issubclass(view, sort)}
        reasons: dict[str, int] = {}
        rows = [['', *sort.questions]]
        for name, view in sorted(views.items()):
            cannot = [view.cannot.get(question) for question in sort.questions]
            rows.append([f'`{name}`', *(f'no ({_number(reasons, why)})' if why else 'yes' for why in cannot)])
        listed = [f'{number}. {reason}' for reason, number in reasons.items()]
        sections += [f'## {title}', markdown(rows), '\n'.join(listed)]
    return '\n\n'.join(sections)


def _number(reasons: dict[str, int], reason: str) -> int:
    return reasons.setdefault(reason, len(reasons) + 1)


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


def step_time_tables() -> dict[str, str]:
    """What benchmarks/step_time.py measured: each config, how the last one grows, and compiled teachers."""
    found, compiled = (read_results(RESULTS / f'{name}.json') for name in ('step_time', 'step_time_compiled'))
    taxes = {
        row: {name: value for name, value in costs.items() if name.startswith('tax')}
        for row, costs in compiled.get('rows', {}).items()
    }
    return {
        'step_time': measured_table(found.get('rows', {})),
        'step_time_growth': measured_table(found.get('growth', {})),
        'step_time_compiled': measured_table(taxes),
    }


def measured_table(rows: dict[str, dict]) -> str:
    """Medians of seconds, taxes with their confidence intervals, and the rest as it is."""
    names = list(next(iter(rows.values()), {}))
    cells = [[row.partition('_')[0], *(measured(name, result[name]) for name in names)] for row, result in rows.items()]
    return markdown([['', *names], *cells])


def measured(name: str, value: dict[str, float] | float) -> str:
    """A cell of such a table."""
    if not isinstance(value, dict):
        return f'{value:g}'
    if not name.startswith('tax'):
        return f'{value["value"]:.2g}' if value['value'] < 0.1 else f'{value["value"]:.2f}'
    return f'{value["value"]:.2f} ({value["low"]:.2f} to {value["high"]:.2f})'


if __name__ == '__main__':
    with command_line():
        main()
