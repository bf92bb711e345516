"""From finished trainings to what is known of their comparison; nothing is trained, and no file is changed."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger

from ..comparison import Row, Training, preferred_score, rows_of
from ..errors import DistillationError
from ..runtime.checkpoints import read_checkpoint
from ..runtime.data_files import leaf_configs
from ..runtime.results import table_scores
from ..runtime.run_record import distilled_parts
from .alike import require_one_score, unlike_rows, unlike_trainings
from .detectors import Detector, detector_of, size_of, teachers_of
from .findings import Cost, Findings, Model, Split
from .judging import LEAST_OVERLAP, most_different, side_by_side
from .looking import LEAST_SCORE, Looked, look, look_once, machine, speeds_of
from .splits import seen_before, split_of
from .verdict import main_score_of
from .work_dirs import Kept, classes_of, read_work_dir

_PICTURES = 4  # that are shown
_SPLITS = {'training': 'train', 'validation': 'val'}


def findings_of(
    trainings: Sequence[Training],
    beside: Sequence[Training] = (),
    commands: Sequence[str] = (),
    looks: bool = True,
    keep: Path | None = None,
) -> Findings:
    """What is known of a comparison.

    Args:
        trainings: all of them finished; the arm of the first one is what the others are compared with.
        beside: finished trainings that are shown and not compared, such as the teacher's.
        commands: that made it, one a line.
        looks: whether to build the detectors and to show them pictures.
        keep: file that keeps what they found there, and how fast, until one of them is another.

    Raises:
        DistillationError: the arms are judged by different scores.
    """
    trainings = [_with_seed(training) for training in trainings]
    rows, others = rows_of(trainings, with_fingerprint=False), rows_of(beside, with_fingerprint=False)
    require_one_score({**rows, **others})
    kept = {training: read_work_dir(training) for training in trainings}
    firsts = {training.title: training for training in reversed(trainings)}
    firsts = {title: firsts[title] for title in rows}
    splits = {words: split_of(trainings[0].recipe.read(), split) for words, split in _SPLITS.items()}
    configs = {title: training.recipe.read() for title, training in firsts.items()}
    findings = Findings(
        rows,
        beside=others,
        unlike=[*unlike_rows(rows), *unlike_trainings(trainings, kept)],
        about=_about(trainings, kept),
        notes=_seen_before(configs, splits['validation'], rows),
        data={words: split for words, split in splits.items() if split is not None},
        sizes=_by_seed(trainings, {each: kept[each].sizes for each in trainings}),
        classes=_by_seed(trainings, {each: kept[each].classes for each in trainings}),
        losses={title: [kept[each].losses for each in trainings if each.title == title] for title in rows},
        costs=_costs(trainings, kept),
        models={title: Model(row['parameters']) for title, row in rows.items()},
        configs={title: kept[training].config for title, training in firsts.items() if kept[training].config},
        versions={
            title: kept[training].record['versions'] for title, training in firsts.items() if kept[training].record
        },
        commands=commands,
        place='step' if trainings[0].recipe.read().train_cfg.get('max_iters') else 'epoch',
    )
    return _with_detectors(findings, firsts, keep) if looks else findings


def _with_seed(training: Training) -> Training:
    """The training with the seed that it had, where only its config says that."""
    if training.seed is not None:
        return training
    seed = (read_checkpoint(training.checkpoint, map_location='meta').get('meta') or {}).get('seed')
    return replace(training, seed=seed if isinstance(seed, int) else None)


def _by_seed(trainings: Sequence[Training], found: Mapping[Training, Mapping[str, float]]) -> dict[str, Any]:
    """Title -> seed -> what was found; nothing of an arm that has none."""
    scores: dict[str, dict[str, Mapping[str, float]]] = {}
    for training in trainings:
        if found[training]:
            scores.setdefault(training.title, {})[str(training.seed)] = found[training]
    return scores if trainings[0].title in scores else {}


def _costs(trainings: Sequence[Training], kept: Mapping[Training, Kept]) -> dict[str, Cost]:
    """What a step of each arm cost: the mean over its seeds, and the largest memory."""
    found: dict[str, list[Cost]] = {}
    for training in trainings:
        cost = kept[training].cost
        if cost is not None:
            found.setdefault(training.title, []).append(cost)
    costs = {}
    for title, each in found.items():
        memory = [cost.memory for cost in each if cost.memory is not None]
        costs[title] = Cost(sum(cost.seconds for cost in each) / len(each), max(memory, default=None))
    return costs


def _about(trainings: Sequence[Training], kept: Mapping[Training, Kept]) -> list[str]:
    """Who learned from whom, and on what."""
    said, seen = [], set()
    for training in trainings:
        if training.title not in seen:
            seen.add(training.title)
            said.append(_described(training.title, training.recipe.read(), kept[training]))
    cfg = trainings[0].recipe.read()
    sets = [data_of(cfg, split) for split in ('train', 'val')]
    seeds = sorted({training.seed for training in trainings if training.seed is not None})
    listed = f'{"seed" if len(seeds) == 1 else "seeds"} {", ".join(map(str, seeds))}'
    return [*said, f'Trained on {sets[0]}, judged on {sets[1]}; {listed}.']


def _described(title: str, cfg: Config, kept: Kept) -> str:
    kind = cfg.model.get('detector') or cfg.model.type
    steps = kept.meta.get('iter')
    length = f', {steps} steps' if isinstance(steps, int) else ''
    for part in distilled_parts(cfg.model):
        teachers = part.get('teachers') or {'': part.get('teacher')}
        named = ' and '.join(_name(teacher.get('config')) for teacher in teachers.values() if teacher)
        learns = ', '.join(f'{name} ({each.type})' for name, each in part['distillers'].items() if each)
        return f'{title}: taught by {named} through {learns}{length}.'
    return f'{title}: {kind} on its own{length}.'


def _name(config: Any) -> str:
    if isinstance(config, str):
        return config.rpartition('/')[2].removesuffix('.py')
    return str(((config or {}).get('model') or {}).get('type', 'a teacher'))


def data_of(cfg: Config, split: str) -> str:
    """The files of a split ('train', 'val', 'test'), in words."""
    leaves = leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {})
    return ' and '.join(dict.fromkeys(_set_name(each) for each in leaves)) or 'no data'


def _set_name(dataset: Mapping[str, Any]) -> str:
    return str(Path(dataset.get('data_root') or '', dataset.get('ann_file') or str(dataset.get('type'))))


def _with_detectors(findings: Findings, trainings: Mapping[str, Training], keep: Path | None) -> Findings:
    """Add what the detectors themselves show, as far as their files are there.

    Args:
        findings: what the work dirs say.
        trainings: title -> the training of its first seed.
        keep: see :func:`findings_of`.
    """
    with silence():
        detectors, missing = _detectors_of(trainings)
        models = {title: size_of(detector) for title, detector in detectors.items()}
        findings = replace(findings, models={**findings.models, **models}, missing=missing)
        try:
            looked = None
            if detectors:
                looked = look(detectors) if keep is None else look_once(detectors, keep)
        except (DistillationError, OSError, KeyError) as error:
            return replace(findings, missing=[*missing, f'Detections and their speed are left out: {error}'])
    if looked is None or not looked.truths:
        return findings
    which = ' First seed.' if any(len(row['seeds']) > 1 for row in findings.rows.values()) else ''
    findings = _with_tests(_with_pictures(findings, detectors, looked, which), trainings, looked, which)
    teachers = {title: each.cfg for title, each in detectors.items() if each.teaches is not None}
    shown = {title: cfg for title, cfg in teachers.items() if title in findings.beside}
    notes = _seen_before(shown, findings.data.get('validation'), findings.rows)
    return replace(findings, notes=[*findings.notes, *notes])


def _seen_before(configs: Mapping[str, Config], judged: Split | None, rows: Mapping[str, Row]) -> list[str]:
    """Which models, by title, were trained on pictures on which they are judged, a sentence each."""
    score = main_score_of(next(iter(rows.values())))
    return [sentence for title, cfg in configs.items() for sentence in seen_before(title, cfg, judged, score)]


@contextmanager
def silence() -> Iterator[None]:
    """Keep what pycocotools prints, and what teachers and metrics log, out of the terminal of a command."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _detectors_of(trainings: Mapping[str, Training]) -> tuple[dict[str, Detector], list[str]]:
    """The students and their teachers, by title; and why others are left out. Without a student there is nobody."""
    detectors: dict[str, Detector] = {}
    missing: list[str] = []
    for title, training in trainings.items():
        try:
            detectors[title] = detector_of(training)
        except (DistillationError, OSError) as error:
            missing.append(f'Detections of {title} are left out: {error}')
    for training in trainings.values() if detectors else ():
        found, why_not = teachers_of(training, [each.teaches for each in detectors.values() if each.teaches])
        missing += why_not
        for name, teacher in found.items():
            detectors[f'{name} of {training.title}' if name in detectors else name] = teacher
    return detectors, missing


def _with_pictures(findings: Findings, detectors: Mapping[str, Detector], looked: Looked, which: str) -> Findings:
    """Add speeds, and detections side by side."""
    speeds = speeds_of(looked)
    compared = [title for title, detector in detectors.items() if detector.teaches is None]
    chosen = f'those on which {" and ".join(compared)} differ most, whoever is right' if compared[1:] else 'the first'
    seen, size = len(looked.truths), looked.size
    share = f'all {size}' if seen == size else f'{seen} of the {size}'
    return replace(
        findings,
        models={title: replace(model, speed=speeds.get(title)) for title, model in findings.models.items()},
        conditions=(
            f'Pictures/s: from a loaded picture to its boxes, one at a time, {machine()}, beside whatever '
            'else this machine did. The models took turns.'
        ),
        pictures=side_by_side(looked, most_different(looked, compared, _PICTURES)),
        choice=(
            f'Of {share} validation pictures, {chosen}. Blue boxes are right (they overlap an object of their class by '
            f'{LEAST_OVERLAP:g} or more), orange ones are wrong, yellow ones are objects that are missed. Detections '
            f'count from a score of {LEAST_SCORE:g} on.{which}'
        ),
    )


def _with_tests(findings: Findings, trainings: Mapping[str, Training], looked: Looked, which: str) -> Findings:
    """Add what the logs do not have: the scores of teachers, and those by class where no arm has logged them."""
    classes = {
        title: {str(training.seed): classes_of(looked.logged[title])}
        for title, training in trainings.items()
        if title in looked.logged
    }
    if not findings.classes and len(classes) == len(trainings):
        findings = replace(findings, classes=classes, classes_note=f'Tested again for this report.{which}')
    preferred = preferred_score(next(iter(trainings.values())).recipe.read())
    teachers = {
        title: dict(
            seeds={'': dict(scores=table_scores(logged, preferred), curve={}, steps=0)},
            parameters=findings.models[title].parameters,
        )
        for title, logged in looked.logged.items()
        if title not in trainings and logged
    }
    return replace(findings, beside={**teachers, **findings.beside})
