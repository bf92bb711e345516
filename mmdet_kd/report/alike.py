"""Whether trainings can be compared: what they should have in common and do not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ..comparison import Row, Training, notes_on
from ..errors import raise_if_any
from ..export import plain_student_config
from ..runtime.run_changes import differences
from ..runtime.run_record import without_init
from .verdict import main_score_of
from .work_dirs import Kept

_MOST_SHOWN = 3


def require_one_score(rows: Mapping[str, Row]) -> None:
    """Refuse arms that are not judged by one score.

    Raises:
        DistillationError: they are judged by several.
    """
    first, *others = rows
    scores = {title: list(next(iter(row['seeds'].values()))['scores']) for title, row in rows.items()}
    raise_if_any(
        [
            f'{first} is judged by {", ".join(scores[first])}, {title} by {", ".join(scores[title])}: they cannot be '
            'compared. Train them with the same val_evaluator'
            for title in others
            if scores[title] != scores[first] or main_score_of(rows[title]) != main_score_of(rows[first])
        ]
    )


def unlike_rows(rows: Mapping[str, Row]) -> list[str]:
    """What the numbers of arms alone tell: other seeds, and other numbers of steps."""
    first, *others = rows
    said = []
    for title in others:
        seeds, own = (sorted(rows[each]['seeds'], key=lambda seed: (len(seed), seed)) for each in (first, title))
        if seeds != own:
            said.append(f'{first} has {_seeds(seeds)}, {title} has {_seeds(own)}.')
        steps, taken = (sorted({run['steps'] for run in rows[each]['seeds'].values()}) for each in (first, title))
        if steps != taken:
            said.append(f'{first} took {_listed(steps)} steps, {title} {_listed(taken)}.')
        if rows[title].get('inherits') and not rows[first].get('inherits'):
            said.append(f"{title} starts with its teacher's neck and heads.")
    return said


def unlike_trainings(trainings: Sequence[Training], kept: Mapping[Training, Kept]) -> list[str]:
    """What configs and records tell of arms, and of the trainings of one arm: other data, settings, students, weights.

    Args:
        trainings: all of them finished, the first arm first.
        kept: what the work dir of each has.
    """
    said = []
    for (name, first), (title, other) in _should_be_alike(trainings):
        notes = notes_on({name: first.recipe, title: other.recipe})
        said += [note.removeprefix('Not alike: ') for note in notes if 'starts with its teacher' not in note]
        said += [f'{title} differs from {name}: {words}.' for words in _data(kept[first], kept[other])]
        said += [f'{title} {words}.' for words in _start(name, first.recipe.read(), other.recipe.read())]
    for training in trainings:
        seed = kept[training].meta.get('seed')
        if training.seed is not None and seed is not None and seed != training.seed:
            said.append(f'{training} was trained with seed {seed}.')
    return list(dict.fromkeys(said))


def _should_be_alike(trainings: Sequence[Training]) -> Iterator[tuple[tuple[str, Training], tuple[str, Training]]]:
    """Pairs of trainings with how they are called: the first ones of two arms; of an arm, those with other configs."""
    firsts: dict[str, Training] = {}
    for training in trainings:
        own = firsts.setdefault(training.title, training)
        if training is own and own is not trainings[0]:
            yield (trainings[0].title, trainings[0]), (own.title, own)
        elif training.recipe != own.recipe:
            yield (str(own), own), (str(training), training)


def _data(first: Kept, other: Kept) -> Iterator[str]:
    """Other contents of the files that were trained on, and other batches; where both runs were recorded."""
    if first.record is None or other.record is None:
        return
    for key in ('train_dataloader', 'pictures in an iteration'):
        old, new = (each.record['settings'].get(key) for each in (first, other))
        yield from (words for path, words in differences(key, old, new) if path == key or path.endswith('ann_file'))


def _start(first: str, reference: Config, cfg: Config) -> Iterator[str]:
    """Another student, or other weights that it starts from; of the plain students, so without their teachers."""
    models = [plain_student_config(each).model.to_dict() for each in (reference, cfg)]
    for model in models:
        del model['type']  # FasterRCNN is a TwoStageDetector with parts of the same names
    layers = [words for _, words in differences('', *map(without_init, models))]
    weights = [words for _, words in differences('', *models)]
    loaded = [words for _, words in differences('load_from', reference.get('load_from'), cfg.get('load_from'))]
    if layers:
        yield f'is another detector than {first} ({_some(layers)})'
    elif weights or loaded:
        yield f'starts from other weights than {first} ({_some([*weights, *loaded])})'


def _some(said: Sequence[Any]) -> str:
    more = f', and {len(said) - _MOST_SHOWN} more' if len(said) > _MOST_SHOWN else ''
    return ', '.join(said[:_MOST_SHOWN]) + more


def _seeds(seeds: Sequence[str]) -> str:
    return f'seed {seeds[0]}' if len(seeds) == 1 else f'seeds {_listed(seeds)}'


def _listed(numbers: Sequence[object]) -> str:
    return ', '.join(map(str, numbers))
