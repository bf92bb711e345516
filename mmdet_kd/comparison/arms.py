"""The arms of a comparison: configs that are each trained with the same seeds, and what they reached."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console

from ..errors import raise_if_any
from ..export import plain_student_config
from ..files import written_whole
from ..runtime.data_files import metrics_of
from ..runtime.results import write_json
from ..runtime.run_changes import differences
from ..runtime.run_record import distilled_parts, watches
from ..teachers import find_teacher_files
from .progress import Watch
from .recipe import Recipe, annotations_of, direction_problems, preferred_score, teachers_in_files
from .stages import Lock
from .tables import Row, comparison_cells, markdown, shown
from .training import Training, refusal, train

#: What arms should have in common: parts of a config, without what changes only how fast they are.
_COMMON = ('train_cfg', 'train_dataloader', 'optim_wrapper', 'param_scheduler', 'val_dataloader', 'val_evaluator')
_SPEED = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'backend_args', '_scope_')
_MOST_SHOWN = 5
_PACKAGE = __name__.partition('.')[0] + '.'


def arms_of(configs: Sequence[str | Path], flags: Sequence[str] = (), ranks: int = 1) -> dict[str, Recipe]:
    """Title -> what is trained, for each config; its title is the name of its file.

    Args:
        configs: paths. The first one is what the others are compared with.
        flags: of tools/train.py, for all of them.
        ranks: processes that train together.

    Raises:
        DistillationError: two configs have one name; or one cannot be read, names files that are missing, or leaves no
            numbers that can be compared.
    """
    titles = [Path(config).stem for config in configs]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    raise_if_any([f'two configs are called {title}.py, and the table calls them so: rename one' for title in twice])
    arms = {
        title: Recipe(str(config), flags=tuple(flags), ranks=ranks)
        for title, config in zip(titles, configs, strict=True)
    }
    problems = []
    for title, recipe in arms.items():
        cfg = recipe.read()
        problems += score_problems(recipe.config, cfg)
        find_teacher_files(cfg)
        problems += [f'there is no {file}, for {recipe.config}' for file in recipe.weights if not file.is_file()]
        arms[title] = replace(recipe, files=annotations_of(cfg), teachers=teachers_in_files(cfg))
    raise_if_any(problems)
    raise_if_any(_judged_otherwise(arms))
    return arms


def score_problems(name: str, cfg: Config) -> list[str]:
    """Why a training leaves no numbers that can be compared."""
    problems = direction_problems(name, cfg)
    if cfg.get('resume'):
        problems.append(
            f'{name} says resume=True, and trainings that are compared begin at their beginning: set resume=False, and '
            'load_from=None if that is a checkpoint to go on from'
        )
    if not all(cfg.get(key) for key in ('val_cfg', 'val_dataloader', 'val_evaluator')):
        problems.append(f'{name} validates nothing. Set val_cfg, val_dataloader and val_evaluator')
    if not any(
        each.get('type') == 'LocalVisBackend' for each in (cfg.get('visualizer') or {}).get('vis_backends') or ()
    ):
        problems.append(
            f"{name} keeps no numbers on the disk. Add dict(type='LocalVisBackend') to visualizer.vis_backends"
        )
    return problems


def _judged_otherwise(arms: Mapping[str, Recipe]) -> list[str]:
    """The arms that another metric judges than the first one, or another score of it that is named."""
    (first, ours), *others = ((title, recipe.read()) for title, recipe in arms.items())
    problems = []
    for title, theirs in others:
        pairs = [(_metrics(ours), _metrics(theirs))]
        preferred = preferred_score(ours), preferred_score(theirs)
        pairs += [preferred] if all(score not in (None, 'auto') for score in preferred) else []
        problems += [
            f'{first} is judged by {own}, {title} by {other}: give both the same val_evaluator, and the same save_best '
            'in default_hooks.checkpoint'
            for own, other in pairs
            if own != other
        ]
    return problems


def _metrics(cfg: Config) -> str:
    kinds = [metric.get('type') for metric in metrics_of(cfg.val_evaluator)]
    names = [kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind)) for kind in kinds]
    return ' and '.join(name.rpartition('.')[2] for name in names)


def trainings_of(
    arms: Mapping[str, Recipe], seeds: Sequence[int], out: str | Path, earlier: str | Path | None = None
) -> list[Training]:
    """The trainings of all arms and seeds, seed by seed, each in `out/TITLE/seedN`.

    Args:
        arms: title -> what is trained.
        seeds: of weights, order and augmentation; the same for all arms.
        out: folder of the comparison.
        earlier: folder of another comparison. What it has of these trainings, with the same config, is taken from
            there.

    Raises:
        DistillationError: a folder holds something else, which is left as it is; or nothing can be taken from
            ``earlier``.
    """
    trainings, problems, taken = [], [], 0
    for seed in seeds:
        for title, recipe in arms.items():
            place = Path(title, f'seed{seed}')
            training = Training(title, recipe, Path(out) / place, seed)
            before = None if earlier is None else replace(training, work_dir=Path(earlier) / place)
            if before is not None and before.state in ('begun', 'finished'):  # of another config, it is trained here
                training, taken = before, taken + 1
                if training.state == 'begun':
                    problems.append(f'{training.work_dir} did not end: go on there with the command that began it')
            if training.state == 'another':
                problems.append(refusal(training))
            trainings.append(training)
    if earlier is not None and not taken:
        wanted = ', '.join(f'{title}/seed{seed}' for title in arms for seed in seeds)
        problems.append(f'{earlier} has none of {wanted}. Name the folder that was --out of an earlier comparison')
    raise_if_any(problems)
    return trainings


def train_all(trainings: Sequence[Training], tools: Path, console: Console, lock: Lock) -> None:
    """Train what is not trained yet, and say what each has reached.

    Args:
        trainings: in their order.
        tools: see :meth:`Training.command`.
        console: to print to.
        lock: of the folder of the comparison.

    Raises:
        DistillationError: a training failed.
    """
    watch = Watch(console, [training for training in trainings if training.state != 'finished'])
    for training in trainings:
        known = training.state == 'finished'
        train(training, tools, watch.follow, lock)
        (name, score), *_ = training.reached()['scores'].items()
        how = f'trained before, in {training.work_dir}' if known else f'trained, in {training.work_dir}'
        console.print(f'{training}: {name} {score:.4g} ({how})', markup=False)


def rows_of(trainings: Sequence[Training], with_fingerprint: bool = True) -> dict[str, dict[str, Any]]:
    """What finished trainings have reached: title -> what a table knows of an arm (see :data:`Row`).

    Args:
        trainings: all of them finished.
        with_fingerprint: whether to say by what a recipe is known, for which the weights of its teachers are read.
    """
    rows: dict[str, dict[str, Any]] = {}
    for training in trainings:
        recipe = training.recipe
        if training.title not in rows:
            inherits = dict(inherits=True) if recipe.inherits else {}
            size = number_of_parameters(recipe.read())
            known_by = dict(fingerprint=recipe.fingerprint) if with_fingerprint else {}
            rows[training.title] = dict(config=recipe.config, **known_by, **inherits, parameters=size, seeds={})
        reached = dict(work_dir=str(training.work_dir), **training.reached())
        rows[training.title]['seeds'][str(training.seed)] = reached
    return rows


def number_of_parameters(cfg: Config) -> int:
    """How many numbers the detector of a config learns; of a distillation, its student alone."""
    plain = plain_student_config(cfg)
    init_default_scope(plain.get('default_scope', 'mmdet'))
    with torch.device('meta'):
        return sum(parameter.numel() for parameter in MODELS.build(plain.model).parameters())


def write_comparison(rows: Mapping[str, Row], out: Path, notes: Sequence[str], console: Console) -> None:
    """Print the table, and leave it in a folder as `table.md` and its numbers as `table.json`.

    Args:
        rows: see :func:`rows_of`.
        out: the folder.
        notes: what a reader must know beside it, a sentence each.
        console: to print to.
    """
    cells = comparison_cells(rows)
    console.print(shown(cells, f'Compared with {next(iter(rows))}'))
    for note in notes:
        console.print(note, markup=False)
    with written_whole(out / 'table.md') as draft:
        draft.write_text(''.join(f'{part}\n' for part in (markdown(cells), *(f'\n{note}' for note in notes))))
    write_json(out / 'table.json', rows)


def notes_on(arms: Mapping[str, Recipe]) -> list[str]:
    """What arms do not have in common with the first one but should, a sentence each.

    The hooks of this package belong to what is distilled. Where a student sees smaller pictures than its teacher
    (``student_scale``), it is trained by a pipeline of its own, which is left out.
    """
    notes = []
    first, *others = arms
    ours = arms[first].read()
    for title in others:
        theirs = arms[title].read()
        scaled = any(part.get('student_scale') for cfg in (ours, theirs) for part in distilled_parts(cfg.model))
        if arms[title].inherits and not arms[first].inherits:
            notes.append(f"Not alike: {title} starts with its teacher's neck and heads. Its gain is that of both.")
        said = [words for _, words in differences('', _common(ours, scaled), _common(theirs, scaled))]
        more = f', and {len(said) - _MOST_SHOWN} more' if len(said) > _MOST_SHOWN else ''
        if said:
            notes.append(f'Not alike: {title} differs from {first} in {", ".join(said[:_MOST_SHOWN])}{more}.')
    return notes


def _common(cfg: Config, scaled: bool) -> dict[str, Any]:
    content = cfg.to_dict()
    common = {key: _without(_SPEED, content.get(key)) for key in _COMMON}
    scaling = content.get('auto_scale_lr') or {}
    common['auto_scale_lr'] = scaling.get('base_batch_size') if scaling.get('enable') else None
    if scaled:
        common['train_dataloader'] = _without(('pipeline',), common['train_dataloader'])
    hooks = [hook for hook in content.get('custom_hooks') or [] if not watches(hook) and not _is_ours(hook)]
    return {**common, 'custom_hooks': _without(_SPEED, hooks)}


def _is_ours(hook: Mapping[str, Any]) -> bool:
    kind = HOOKS.get(hook['type']) if isinstance(hook['type'], str) else hook['type']
    return getattr(kind, '__module__', '').startswith(_PACKAGE)


def _without(keys: Sequence[str], part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without(keys, value) for key, value in part.items() if key not in keys}
    return [_without(keys, each) for each in part] if isinstance(part, (list, tuple)) else part
