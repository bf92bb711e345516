"""What rows of a table reached over several seeds: means, spreads, gains with their intervals; and the table itself."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from scipy import stats

from ..runtime.results import in_points

#: What a table knows of a row: ``seeds``, seed -> ``scores`` at the end (name -> score, the main one first), ``curve``
#: (epoch or step -> scores) and ``steps``; ``inherits``, if its student starts with a teacher's neck and heads; and
#: what else was measured.
Row = Mapping[str, Any]


def spread(values: Sequence[float], form: str = '.1f') -> str:
    """Mean, and standard deviation where there is one."""
    mean = f'{statistics.mean(values):{form}}'
    return mean if len(values) == 1 else f'{mean} ± {statistics.stdev(values):{form}}'


def interval(values: Sequence[float], form: str = '.1f') -> str:
    """Mean, and its 95 % confidence interval (Student's t) where there is one."""
    if not values:
        return ''
    mean = f'{statistics.mean(values):+{form}}'
    if len(values) == 1:
        return mean
    low, high = bounds(values)
    return f'{mean} ({low:+{form}} to {high:+{form}})'


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval (Student's t) of the mean of two values or more."""
    mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean - reach, mean + reach


def gain_cell(pairs: Sequence[tuple[float, float]], form: str = '.1f') -> str:
    """What is gained: :func:`interval` of the differences; empty where every score is shown as 0.

    Nobody has found anything there, so that no gain was measured.

    Args:
        pairs: a score, and that of what it is compared with, a pair a seed.
        form: of a score.
    """
    is_found = any(float(f'{score:{form}}') for pair in pairs for score in pair)
    return interval([own - alone for own, alone in pairs], form) if is_found else ''


def paired(found: Row, first: Row) -> list[tuple[Row, Row]]:
    """The runs of a row, each with that of the first row that had the same seed."""
    alone = first.get('seeds', {})
    return [(run, alone[seed]) for seed, run in found['seeds'].items() if seed in alone]


def reach(pairs: Sequence[tuple[Row, Row]], score: str = 'AP') -> float | None:
    """Steps until the first validation at which a run has the final score of the one it is compared with.

    The mean over the pairs; None if one of them never has it, or if the log does not say when its validations were.
    """
    reached = []
    for run, alone in pairs:
        places = [int(place) for place, scores in run['curve'].items() if scores[score] >= alone['scores'][score]]
        end = max(map(int, run['curve']))
        if not places or end == 0:  # of a training by iterations mmengine logs each validation as that of epoch 0
            return None
        reached.append(run['steps'] * min(places) / end)
    return statistics.mean(reached) if reached else None


def gains(found: Row, first: Row, score: str = 'AP') -> list[float]:
    """What a row gains over the first one, a number a seed."""
    return [run['scores'][score] - alone['scores'][score] for run, alone in paired(found, first)]


def name_of(title: str, found: Row) -> str:
    """How a table calls a row; one whose student starts with a teacher's neck and heads does not start alike."""
    return f'{title} (inherits)' if found.get('inherits') else title


def comparison_cells(rows: Mapping[str, Row]) -> list[list[str]]:
    """The cells of a comparison, its head first.

    Args:
        rows: title -> row; the first one is what the others are compared with. ``parameters`` is their number; the
            column is left out if a row does not say it.
    """
    first = next(iter(rows))
    heads = list(next(iter(rows[first]['seeds'].values()))['scores'])
    main, several = heads[0], any(len(found['seeds']) > 1 for found in rows.values())
    sized = all('parameters' in found for found in rows.values())
    besides = [*(['parameters'] if sized else []), *(['seeds'] if several else [])]
    cells = [['', *heads, f'gain in {main}', *besides]]
    for title, found in rows.items():
        runs = list(found['seeds'].values())
        scores = [spread([run['scores'][head] for run in runs], form_of(head)) for head in heads]
        pairs = [(run['scores'][main], alone['scores'][main]) for run, alone in paired(found, rows[first])]
        gain = '' if title == first else gain_cell(pairs, form_of(main))
        size = [f'{found["parameters"] / 1e6:.2f} M'] if sized else []
        cells.append([name_of(title, found), *scores, gain, *size, *([str(len(runs))] if several else [])])
    return cells


def form_of(head: str) -> str:
    """How a score is written: points with a decimal; of another scale, three digits that count."""
    return '.1f' if head.startswith(('AP', 'mask AP')) or in_points(head) else '.3g'


def markdown(cells: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table, its head first; so many columns are words, and after them numbers stand to the right."""
    rows = [cells[0], [*['---'] * words, *['---:'] * (len(cells[0]) - words)], *cells[1:]]
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def shown(cells: Sequence[Sequence[str]], title: str) -> Table:
    """The same for a terminal."""
    heads, *rows = cells
    table = Table(*map(escape, heads), title=escape(title))
    for column in table.columns[1:]:
        column.justify = 'right'
    for row in rows:
        table.add_row(*map(escape, row))
    return table
