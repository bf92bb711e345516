"""What the work dirs of finished trainings say: who was trained, how it went, and what it rests on."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from ..comparison import Recipe, Training, direction_problems
from ..errors import DistillationError, raise_if_any
from ..runtime.checkpoints import read_checkpoint
from ..runtime.results import last_validation, training_records
from ..runtime.run_record import find_record
from ..runtime.sessions import sessions_of
from .findings import Cost

_SEED = re.compile(r'seed\d+')
#: Sizes of COCO's objects, and levels of KITTI's: end of a name in the log -> in words.
_SIZES = {'s': 'small', 'm': 'medium', 'l': 'large'}
_LEVELS = ('easy', 'moderate', 'hard')
#: A line of the table that mmdet's VOCMetric writes into the log: class, objects, detections, recall, AP.
_VOC_LINE = re.compile(
    r'^\| (?P<name>.+?) +\| (?P<objects>\d+) +\| \d+ +\| [\d.]+ +\| (?P<ap>[\d.]+) +\|$', re.MULTILINE
)


def finished_trainings(folders: Sequence[str | Path]) -> list[Training]:
    """The finished trainings that lie in folders.

    Args:
        folders: each of an arm, which bears its name: a work dir, or work dirs `seed0`, `seed1`, ... in it. The first
            one is what the others are compared with.

    Returns:
        Those of the first folder first; of a folder, seed by seed.

    Raises:
        DistillationError: two folders have one name; in one lies no training, one that did not end, or one that
            validated nothing; or an arm has two trainings of one seed.
    """
    paths = [Path(folder).absolute() for folder in folders]
    titles = [path.name for path in paths]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    problems = [f'two folders are called {title}, and the report calls them so: rename one' for title in twice]
    found = []
    for title, path, named in zip(titles, paths, folders, strict=True):
        for place in [each for each in sorted(path.glob('seed*')) if _SEED.fullmatch(each.name)] or [path]:
            try:
                found.append(_training(title, place))
            except DistillationError as error:
                problems += [f'{named}: {problem}' for problem in error.problems]
    by_seed: dict[tuple[str, int | None], Training] = {}
    for training in found:
        other = by_seed.setdefault((training.title, training.seed), training)
        if other is not training and training.title not in twice:
            problems.append(
                f'{other.work_dir} and {training.work_dir} were both trained with seed {training.seed}, and an arm has '
                'one number a seed: leave one of them out, or train it with another seed'
            )
    raise_if_any(problems)
    order = {title: index for index, title in enumerate(titles)}
    return sorted(found, key=lambda training: (order[training.title], training.seed))


def _training(title: str, work_dir: Path) -> Training:
    recipe = recipe_of(work_dir)
    if recipe is None or not last_validation(work_dir):
        raise DistillationError([f'{work_dir} is no work dir of a training that validated. Name one, or a config'])
    training, cfg = Training(title, recipe, work_dir), recipe.read()
    raise_if_any(direction_problems(recipe.config, cfg))
    share = training.share
    if share < 1 and training.state != 'finished':
        stops = any('EarlyStopping' in str(hook.get('type')) for hook in cfg.get('custom_hooks') or [])
        cure = 'resume it, without its EarlyStoppingHook' if stops else 'resume it'
        raise DistillationError([f'{work_dir} did not end ({100 * share:.0f} % is done): {cure}'])
    meta = read_checkpoint(training.checkpoint, map_location='meta').get('meta') or {}
    if not isinstance(meta.get('seed'), int):
        raise DistillationError([f'{training.checkpoint} does not say its seed: train it by tools/train.py'])
    return replace(training, seed=meta['seed'])


def recipe_of(work_dir: Path) -> Recipe | None:
    """What a work dir was trained by, as mmengine has kept it; None if it was not.

    A session that goes on may do so with other settings, such as a longer schedule, so those of the last one count.
    Its `load_from` is the checkpoint that it goes on from; the weights that all began with are those of the first one.
    """
    sessions = [session for session in sessions_of(work_dir) if session.config.is_file()]
    if not sessions:
        return None
    first, last = (Recipe(str(session.config)) for session in (sessions[0], sessions[-1]))
    if len(sessions) == 1:
        return last
    return replace(last, options=(('load_from', first.read().get('load_from')), ('resume', False)))


class Kept(NamedTuple):
    """What a work dir has beside the scores of the table.

    Args:
        sizes: score by size or difficulty.
        classes: score by class.
        losses: step -> the sum that was minimised.
        cost: of a step; None if it is not logged.
        meta: of the checkpoint.
        record: of the run; None if there is none.
        config: the text of the config.
    """

    sizes: dict[str, float]
    classes: dict[str, float]
    losses: dict[int, float]
    cost: Cost | None
    meta: Mapping[str, Any]
    record: dict[str, Any] | None
    config: str


def read_work_dir(training: Training) -> Kept:
    """What the work dir of a finished training has."""
    steps = training_records(training.work_dir)
    checkpoint = read_checkpoint(training.checkpoint, map_location='meta')
    logged = last_validation(training.work_dir)
    return Kept(
        sizes_of(logged),
        classes_of(logged) or classes_in_text(training.work_dir),
        {step: record['loss'] for step, record in steps.items() if math.isfinite(record['loss'])},
        cost_of(list(steps.values())),
        checkpoint.get('meta') or {},
        find_record(checkpoint),
        _config_text(training.work_dir),
    )


def _config_text(work_dir: Path) -> str:
    recipe = recipe_of(work_dir)
    if recipe is None:
        return ''
    return recipe.read().pretty_text if recipe.options else Path(recipe.config).read_text()


def sizes_of(logged: Mapping[str, float]) -> dict[str, float]:
    """Scores by size (COCO: of boxes, else of masks) or difficulty (KITTI), in points; those that have no object not.

    Args:
        logged: name in the log -> score.
    """
    for family in ('coco/bbox_mAP', 'coco/segm_mAP'):
        if family in logged:
            found = {words: logged.get(f'{family}_{end}', -1.0) for end, words in _SIZES.items()}
            return {words: 100 * score for words, score in found.items() if score >= 0}  # nan is not
    found = {level: logged.get(f'kitti/mAP_{level}', math.nan) for level in _LEVELS}
    return {level: score for level, score in found.items() if score >= 0}


def classes_of(logged: Mapping[str, float]) -> dict[str, float]:
    """Scores by class in points, where they are logged; those of a class that has no object not.

    COCO's metric logs them with ``classwise=True``. It gives those of boxes and those of masks one name, so where both
    are judged they are left out. Of KITTI's it is the moderate level that counts.

    Args:
        logged: name in the log -> score.
    """
    found: dict[str, float] = {}
    both = 'coco/bbox_mAP' in logged and 'coco/segm_mAP' in logged
    for key, score in logged.items():
        metric, _, name = key.partition('/')
        if metric == 'coco' and name.endswith('_precision') and not both:
            found[name.removesuffix('_precision')] = 100 * score
        elif metric == 'kitti' and name.endswith('_moderate') and name != 'mAP_moderate':
            found[name.removesuffix('_moderate')] = score
    return {name: score for name, score in found.items() if score >= 0}


def classes_in_text(work_dir: Path) -> dict[str, float]:
    """Scores by class in points that mmdet's VOCMetric writes into the log alone, of its last validation.

    Where it judges at several overlaps there is a table for each, and none of them belongs to the score: nothing then.
    """
    logs = [log for session in sessions_of(work_dir) for log in sorted(session.folder.glob('*.log'))]
    text = logs[-1].read_text(errors='replace') if logs else ''
    validations = text.split(' - Epoch(val) ')[:-1] or text.split(' - Iter(val) ')[:-1]
    *_, last = [part for part in validations if 'iou_thr:' in part] or ['']
    if last.count('iou_thr:') != 1:
        return {}
    lines = _VOC_LINE.finditer(last[last.index('iou_thr:') :])
    return {line['name']: 100 * float(line['ap']) for line in lines if int(line['objects']) > 0}


def cost_of(records: Sequence[Mapping[str, float]]) -> Cost | None:
    """What a step cost.

    Args:
        records: of a training, in their order. The first one has what warms up in it, and counts only if it is alone.
    """
    seconds = [record['time'] for record in records if 'time' in record]
    memory = [record['memory'] for record in records if 'memory' in record]
    if not seconds:
        return None
    return Cost(median(seconds[1:] or seconds), max(memory) if memory else None)
