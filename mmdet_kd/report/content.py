"""From what is known of a comparison to what its report says: the verdict first, then tables and pictures."""

import difflib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..comparison import Row, comparison_cells, form_of, gain_cell, paired, reach, spread
from ..visualization import draw_curves
from .document import Code, Document, Gallery, Part, Picture, Section, Table, Text
from .findings import Findings, Scores
from .verdict import main_score_of, still_rising, verdict

#: Of the arms, in their order; the first one is what the others are compared with.
_COLOURS = ('tab:blue', 'tab:orange', 'tab:green', 'tab:red', 'tab:purple', 'tab:brown', 'tab:pink', 'tab:olive')
_MOST_OF_A_DIFF = 400  # lines
#: How lines of a config begin that change nothing of what is trained.
_CONVENIENCE = ('work_dir = ', 'resume = ', 'experiment_name = ')


def document_of(findings: Findings) -> Document:
    """What a report says of a comparison."""
    first, *others = findings.rows
    sections: dict[str, Iterable[Part]] = {
        'Scores': _scores(findings),
        _sizes_title(findings.sizes): _detail(findings, findings.sizes),
        'By class': _detail(findings, findings.classes, findings.classes_note),
        'The data': _data(findings),
        'Training curves': _curves(findings),
        'Detections side by side': _detections(findings),
        'The models': _models(findings),
        'What a step cost': _costs(findings),
        'What differs in the configs': _configs(findings),
        'Versions': _versions(findings),
        'Commands': [Code('\n'.join(findings.commands), 'commands')] if findings.commands else [],
        'What is not in this report': [Text(sentence) for sentence in findings.missing],
    }
    return Document(
        f'{", ".join(others)} compared with {first}' if others else first,
        warning_of(findings),
        verdict(findings.rows),
        findings.about,
        [Section(title, found) for title, parts in sections.items() if (found := list(parts))],
    )


def warning_of(findings: Findings) -> str:
    """What makes the arms unlike, in one line; nothing if they are alike."""
    return f'The arms are not alike: {" ".join(findings.unlike)}' if findings.unlike else ''


def _scores(findings: Findings) -> Iterable[Part]:
    cells = comparison_cells({**findings.rows, **findings.beside})
    empty = [index for index, head in enumerate(cells[0]) if head.startswith('gain in ') or head == 'seeds']
    for row in cells[1 + len(findings.rows) :]:  # they are not compared
        for index in empty:
            row[index] = ''
    yield Table(cells)
    several = any(len(row['seeds']) > 1 for row in findings.rows.values())
    if several:
        yield Text('± is the standard deviation over the seeds. Gains are taken seed by seed.', 'note')
    yield from (Text(note, 'note') for note in findings.notes)


def _sizes_title(sizes: Scores) -> str:
    names = {name for by_seed in sizes.values() for run in by_seed.values() for name in run}
    return 'By size' if names <= {'small', 'medium', 'large'} else 'By difficulty'


def _detail(findings: Findings, scores: Scores, note: str = '') -> Iterable[Part]:
    """A line a size or a class: what each arm has, and what it gains over the first one."""
    names = list(dict.fromkeys(name for by_seed in scores.values() for run in by_seed.values() for name in run))
    if not names:
        return []
    first, *others = [title for title in findings.rows if title in scores]
    score = main_score_of(findings.rows[first])
    form = form_of(score)
    head = ['', first, *(each for title in others for each in (title, f'gain of {title}'))]
    cells = [head]
    for name in names:
        row = [name, _over_seeds(scores[first], name, form)]
        for title in others:
            pairs = [(run, scores[first].get(seed, {})) for seed, run in scores[title].items()]
            pairs = [(run[name], alone[name]) for run, alone in pairs if name in run and name in alone]
            row += [_over_seeds(scores[title], name, form), gain_cell(pairs, form)]
        cells.append(row)
    return [Table(cells), *([Text(note, 'note')] if note else [])]


def _over_seeds(by_seed: Mapping[str, Mapping[str, float]], name: str, form: str) -> str:
    values = [run[name] for run in by_seed.values() if name in run]
    return spread(values, form) if values else ''


def _data(findings: Findings) -> Iterable[Part]:
    """How many pictures and objects there are, a column a split."""
    splits = list(findings.data.values())
    if not splits:
        return
    sizes = dict.fromkeys(name for split in splits for name in split.sizes)
    classes = dict.fromkeys(name for split in splits for name in split.classes)
    yield Table(
        [
            ['', *findings.data],
            ['pictures', *(str(len(split.pictures)) for split in splits)],
            ['objects', *(str(sum(split.classes.values())) for split in splits)],
            *([f'{name} objects', *(str(split.sizes.get(name, 0)) for split in splits)] for name in sizes),
            *([name, *(str(split.classes.get(name, 0)) for split in splits)] for name in classes),
        ]
    )
    yield Text(
        'As the annotation files say, without crowds. Small objects have an area below 32 x 32 pixels, large ones of '
        '96 x 96 or more.',
        'note',
    )


def _curves(findings: Findings) -> Iterable[Part]:
    rows = {**findings.rows, **findings.beside}
    score = main_score_of(findings.rows[next(iter(findings.rows))])
    validated = {
        title: [_numbers({place: scores[score] for place, scores in run['curve'].items()}) for run in _runs(row)]
        for title, row in rows.items()
    }
    if any(len(curve) > 1 for curves in validated.values() for curve in curves):
        words = f'{score} on the validation set, by {findings.place}'
        yield _drawn(validated, findings.place, f'{score} on the validation set', words)
        unfinished = still_rising(findings.rows, findings.place)
        if unfinished:
            yield Text(unfinished, 'note')
    if any(len(curve) > 1 for curves in findings.losses.values() for curve in curves):
        words = 'The loss that was minimised, by step; of a student that is taught, with the losses of its distillers'
        yield _drawn(findings.losses, 'step', 'loss', words, log=True)


def _runs(row: Row) -> Iterable[Mapping]:
    return [run for run in row['seeds'].values() if run.get('curve')]


def _numbers(curve: Mapping) -> dict[int, float]:
    return {int(place): value for place, value in curve.items()}


def _drawn(
    curves: Mapping[str, Sequence[Mapping[int, float]]], place: str, number: str, words: str, log: bool = False
) -> Picture:
    colours = {title: _COLOURS[index % len(_COLOURS)] for index, title in enumerate(curves)}
    file = io.BytesIO()
    draw_curves(curves, file, colours, place, number, log)
    return Picture(file.getvalue(), 'png', words, f'{words}.')


def _detections(findings: Findings) -> Iterable[Part]:
    if findings.pictures and findings.choice:
        yield Text(findings.choice, 'note')
    for name, copies in findings.pictures.items():
        yield Gallery(
            name,
            [
                Picture(
                    copy.webp,
                    'webp',
                    f'boxes of {copy.who} on {name}',
                    f'{copy.who}: {copy.said}' if copy.said else copy.who,
                )
                for copy in copies
            ],
        )


def _models(findings: Findings) -> Iterable[Part]:
    if not findings.models:
        return
    columns = {
        'parameters': lambda model: f'{model.parameters / 1e6:.2f} M',
        'multiply-adds': lambda model: '' if model.flops is None else f'{model.flops / 1e9:.3g} G',
        'of a picture of': lambda model: '' if model.flops is None else f'{model.shape[0]} x {model.shape[1]}',
        'pictures/s': lambda model: '' if model.speed is None else f'{model.speed:.3g}',
    }
    rows = [[title, *(show(model) for show in columns.values())] for title, model in findings.models.items()]
    filled = [0, *(place for place in range(1, 1 + len(columns)) if any(row[place] for row in rows))]
    cells = [['', *columns], *rows]
    yield Table([[row[place] for place in filled] for row in cells])
    if findings.conditions:
        yield Text(findings.conditions, 'note')


def _costs(findings: Findings) -> Iterable[Part]:
    if not findings.costs:
        return
    first = next(iter(findings.rows))
    score = main_score_of(findings.rows[first])
    alone = findings.costs.get(first)
    cells = [['', 'a step, s', f'beyond {first}', 'memory, MiB', f"steps to {first}'s {score}"]]
    for title, cost in findings.costs.items():
        beyond = '' if title == first or alone is None else f'{100 * (cost.seconds / alone.seconds - 1):+.0f} %'
        row = findings.rows.get(title)
        steps = None if row is None or title == first else reach(paired(row, findings.rows[first]), score)
        memory = '' if cost.memory is None else f'{cost.memory:.0f}'
        cells.append([title, f'{cost.seconds:.3g}', beyond, memory, '' if steps is None else f'{steps:.0f}'])
    filled = [place for place in range(len(cells[0])) if any(row[place] for row in cells[1:])]
    yield Table([[row[place] for place in filled] for row in cells])
    yield Text('The median of what was measured during the training, whatever else the machine did then.', 'note')


def _configs(findings: Findings) -> Iterable[Part]:
    if not findings.configs:
        return
    first, *others = findings.configs
    for title in others:
        lines = list(_diff(findings.configs[first], findings.configs[title], first, title))
        if not lines:
            yield Text(f'The configs of {first} and {title} are the same.')
            continue
        left = len(lines) - _MOST_OF_A_DIFF
        shown = [*lines[:_MOST_OF_A_DIFF], *([f'... {left} lines more'] if left > 0 else [])]
        yield Code('\n'.join(shown), 'diff', f'{first} (-) and {title} (+), {len(lines)} lines')


def _diff(old: str, new: str, old_title: str, new_title: str) -> Iterator[str]:
    """The unified diff of two configs, without where they were trained."""
    sides = [[line for line in text.splitlines() if not line.startswith(_CONVENIENCE)] for text in (old, new)]
    return difflib.unified_diff(*sides, old_title, new_title, lineterm='', n=2)


def _versions(findings: Findings) -> Iterable[Part]:
    packages = list(dict.fromkeys(name for each in findings.versions.values() for name in each))
    if not packages:
        return []
    columns = [[title, *(each.get(name, '') for name in packages)] for title, each in findings.versions.items()]
    if all(column[1:] == columns[0][1:] for column in columns):
        columns = [['all trainings', *columns[0][1:]]]
    cells = [list(row) for row in zip(['', *packages], *columns, strict=True)]
    return [Table(cells)]
