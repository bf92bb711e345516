"""What docs/methods.md quotes of each method: what it compares, for which detectors, and what it gained and cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metafiles import all_metafiles
from mmengine.fileio import load
from step_table import measured

from mmdet_kd.comparison import gains, interval, markdown
from mmdet_kd.runtime.results import read_results

#: The tables of gains that have a row a method: what their column says -> their results; the first that has it counts.
GAINS = {
    'gain in AP, two-stage': ('bccd-two-stage', 'bccd-two-stage-dist'),
    'gain in AP, RetinaNet': ('bccd-retinanet',),
    'gain in AP, GFL': ('bccd-gfl',),
}
#: What a step of each method costs, on a two-stage pair and on one with dense heads; the first that has it counts.
COSTS = ('step_time_methods', 'step_time_methods-dense')


def methods() -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Each method of the metafiles, the collection that it belongs to, and its name with a link for docs/methods.md."""
    for metafile in all_metafiles():
        (collection,) = load(str(metafile))['Collections']
        for method in collection['Metadata'].get('Methods', []):  # plain detectors have none
            yield method, collection, f'[{method["Name"]}](../{collection["README"]})'


def methods_table(results: Path) -> str:
    """What is known of the gain and the cost of each method, by the files in a folder of results."""
    gains = [[read_results(results / f'{name}.json') for name in names] for names in GAINS.values()]
    costs = [read_results(results / f'{name}.json').get('rows', {}) for name in COSTS]
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
