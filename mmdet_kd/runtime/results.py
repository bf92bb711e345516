"""What trainings leave behind, as numbers."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DistillationError
from ..files import written_whole
from .checkpoints import latest_checkpoint, read_checkpoint
from .sessions import sessions_of

#: How tables call COCO's metrics, and how mmdet's log does.
AP_KEYS = {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50', 'AP75': 'coco/bbox_mAP_75'}
#: The score by which detectors are compared, where a validation has it and the config does not say another.
_MAIN = (AP_KEYS['AP'], 'pascal_voc/mAP', 'kitti/mAP_moderate', 'crops/top1')
#: Metrics of mmdet whose scores are between 0 and 1.
_FRACTIONS = ('pascal_voc/', 'openimages/', 'lvis/', 'cityscapes/')
_TIMES = ('time', 'data_time', 'step')


def points(score: float) -> float:
    """A score between 0 and 1 as the tables have it, without the tail of binary fractions."""
    return round(100 * score, 2)


def in_points(key: str) -> bool:
    """Whether a score of this name in the log is between 0 and 1, and in points in a table."""
    return key.startswith(_FRACTIONS) or key.partition('/')[2].startswith(('bbox_mAP', 'segm_mAP'))


def main_score(logged: Mapping[str, float], preferred: str | None = None) -> str:
    """The score by which detectors are compared.

    Args:
        logged: name in the log -> score, in the order in which the metric gives them; at least one.
        preferred: the name that ``save_best`` of the config says. Taken if it was logged.

    Returns:
        A name in ``logged``: the preferred one; else COCO's, VOC's or KITTI's own; else the first.
    """
    return next((key for key in (preferred, *_MAIN) if key in logged), None) or next(iter(logged))


def table_scores(logged: Mapping[str, float], preferred: str | None = None) -> dict[str, float]:
    """The scores of a validation that a table has, the main one first.

    Args:
        logged: name in the log -> score; at least one.
        preferred: see :func:`main_score`.

    Returns:
        AP, AP50 and AP75 in points where the main score is one of COCO's three; any other one under its own name, in
        points if it is known to be between 0 and 1.
    """
    main = main_score(logged, preferred)
    family = re.sub(r'(_mAP)_(50|75)$', r'\1', main)  # of COCO's own: of AP50, AP
    main = family if family in logged else main
    whole = {'': main, '50': f'{main}_50', '75': f'{main}_75'}
    if main.endswith('_mAP') and all(key in logged for key in whole.values()):
        kind = 'mask AP' if 'segm_' in main else 'AP'
        return {f'{kind}{threshold}': points(logged[key]) for threshold, key in whole.items()}
    return {main: points(logged[main]) if in_points(main) else logged[main]}


def validation_curve(work_dir: str | Path, preferred: str | None = None) -> dict[int, dict[str, float]]:
    """Epoch, or step of a training by iterations, -> :func:`table_scores`, over all the sessions of a training."""
    return {step: table_scores(logged, preferred) for step, logged in _validations(work_dir).items()}


def last_validation(work_dir: str | Path) -> dict[str, float]:
    """All scores of the last validation: name in the log -> score, as it was logged. Nothing if there was none."""
    validations = _validations(work_dir)
    return validations[max(validations)] if validations else {}


def unscored_validation(work_dir: str | Path) -> int | None:
    """Epoch or step of the last validation where it said no score, as where the detector finds nothing; else None."""
    validations = {record['step']: _scores_in(record) for record in _records(work_dir) if 'iter' not in record}
    last = max(validations, default=None)
    return None if last is None or validations[last] else last


def training_records(work_dir: str | Path) -> dict[int, dict[str, float]]:
    """Step -> what was logged of it (`loss`, `time` in seconds, `memory` in MiB on a GPU, ...), over all sessions."""
    return dict(sorted((record['step'], record) for record in _records(work_dir) if 'loss' in record))


def _validations(work_dir: str | Path) -> dict[int, dict[str, float]]:
    """Epoch or step -> the scores that were logged, over all the sessions of a training."""
    found = {record['step']: _scores_in(record) for record in _records(work_dir) if 'iter' not in record}
    return {step: logged for step, logged in sorted(found.items()) if logged}


def _scores_in(record: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in record.items() if key not in _TIMES}


def trained_steps(work_dir: str | Path) -> int:
    """How many steps a training has taken, over all the sessions in which it ran.

    Its checkpoint says it. The log, which is asked where there is none, lacks the last steps of an epoch whose number
    of steps is no multiple of the logging interval.
    """
    checkpoint = latest_checkpoint(work_dir)
    if checkpoint is not None:
        return read_checkpoint(checkpoint, map_location='meta')['meta']['iter']
    return max(record['step'] for record in _records(work_dir) if 'loss' in record)


def _records(work_dir: str | Path) -> Iterator[dict[str, Any]]:
    """What was logged of the training that was begun last, in its order."""
    for session in sessions_of(work_dir):
        yield from session.records


def read_json(path: str | Path) -> dict:
    """The content of a file; nothing if it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}


def read_results(path: str | Path) -> dict:
    """The numbers that a file keeps; none if there is no such file yet.

    Raises:
        DistillationError: it is broken. What takes it for empty would write over its numbers.
    """
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DistillationError([f'{path} is no JSON ({error}): mend it, or move it away']) from error


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with written_whole(path) as draft:
        draft.write_text(json.dumps(content, indent=2) + '\n')


def found_once(path: str | Path, digest: str, find: Callable[[], Any]) -> Any:
    """What a file keeps under a digest; of another digest it is found anew, and kept in the place of the old.

    Args:
        path: of the file.
        digest: of all that the answer depends on.
        find: finds what JSON can hold.
    """
    known = read_json(path)
    if known.get('digest') != digest:
        known = dict(digest=digest, found=find())
        write_json(path, known)
    return known['found']
