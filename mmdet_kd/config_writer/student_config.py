"""student.py: the student alone, on the data that it is to learn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..errors import DistillationError, raise_if_any
from ..export import with_num_classes
from ..unknown_names import some
from .detectors import Student
from .loaders import own_loading
from .own_set import OwnSet
from .sources import Source, base_reference, our_configs, read_source
from .text import Code, assignment

_SCHEDULE = 'mmdet::_base_/schedules/schedule_1x.py'
_RUNTIME = 'mmdet::_base_/default_runtime.py'
_BOXES, _MASKS = (f'mmdet::_base_/datasets/coco_{kind}.py' for kind in ('detection', 'instance'))
_HEAD = """\
# The student alone; distilled.py beside it is the same student, taught. tools/distill.py wrote this file once and uses
# it as it stands: change the schedule, the pipelines and the model as in any config of mmdet.
"""


class Bases(NamedTuple):
    """What a student is built on.

    Args:
        sources: the student's config, and what it does not have: data, schedule, runtime.
        cfg: all of them together.
        notes: what was added, a sentence each.
    """

    sources: list[Source]
    cfg: Config
    notes: list[str]


def gather_bases(student: Student, own: OwnSet | None, schedule: str | None) -> Bases:
    """Find what a student's config lacks of a training: a fragment is the model alone.

    Args:
        student: a whole config or a fragment.
        own: the data in the place of its own.
        schedule: config or fragment of the schedule of a fragment; None takes mmdet's of 12 epochs for two-stage ones.

    Raises:
        DistillationError: it has no data and none is given; no schedule is known for it, or it has one of its own; or
            it has a part of what it lacks the rest of.
    """
    cfg, added, notes = student.source.cfg, [], []
    name = student.source.name
    if 'train_dataloader' not in cfg:
        if own is None:
            raise DistillationError([f'STUDENT: {name} says nothing of its data: give --data ROOT, or a whole config'])
        if student.head.get('anchor_generator', {}).get('input_size'):
            raise DistillationError(
                [
                    f'STUDENT: {name} wants pictures of one size, and says nothing of its data: name a whole config, '
                    f'such as those in {our_configs() / "baselines"}'
                ]
            )
        added.append(_MASKS if (student.model.get('roi_head') or {}).get('mask_head') else _BOXES)
    if 'train_cfg' not in cfg:
        if schedule is None and not student.two_stage:
            raise DistillationError(
                [
                    f'STUDENT: {name} says nothing of its schedule: give --schedule, schedule_1x_retinanet (RetinaNet, '
                    'GFL, RepPoints) or schedule_2x_fcos, say, or a whole config'
                ]
            )
        added.append(schedule or _SCHEDULE)
        notes.append(f'the schedule is {added[-1]}; --schedule names another')
    elif schedule is not None:
        raise DistillationError([f'--schedule: {name} has a schedule of its own: leave it out, and change student.py'])
    if 'default_scope' not in cfg:
        added.append(_RUNTIME)
    others = [read_source(each, '--schedule' if each == schedule else 'STUDENT') for each in added]
    missing = [key for key in ('train_dataloader', 'train_cfg', 'default_scope') if key not in cfg]
    raise_if_any(
        [
            f'STUDENT: {name} has no {" and no ".join(missing)}, so {each.name} would be a base beside it, and both '
            f'have {some(shared)}, which mmengine does not join: write what it has not into it, or leave these out'
            for each in others
            if (shared := [key for key in each.cfg if key in cfg])
        ]
    )
    merged: dict[str, Any] = {}
    for each in others:
        merged |= each.cfg.to_dict()
    together = Config(merged | cfg.to_dict(), format_python_code=False)
    return Bases([student.source, *others], together, notes)


def student_text(bases: Bases, own: OwnSet | None, folder: Path) -> tuple[str, list[str]]:
    """The text of student.py, and what it changes in the student beside its data, a sentence each.

    Args:
        bases: of the student.
        own: the data in the place of its own; None leaves its own.
        folder: that the file will lie in.

    Raises:
        DistillationError: the student cannot be trained on these data.
    """
    references = [base_reference(source, folder) for source in bases.sources]
    base = assignment('_base_', references if len(references) > 1 else references[0])
    if own is None:
        return _HEAD + base, []
    loading = own_loading(bases.cfg, own)
    keys: dict[str, Any] = dict(data_root=_data_root(own.root), metainfo=dict(classes=own.classes))
    keys['num_classes'] = Code("len(metainfo['classes'])")
    heads = head_changes(bases.cfg.model.to_dict(), len(own.classes))
    texts = [assignment(key, value) for key, value in keys.items()]
    if heads:
        texts += ['\n', assignment('model', heads)]
    texts += ['\n', *(assignment(key, value) for key, value in loading.keys.items())]
    return _HEAD + base + '\n' + ''.join(texts), loading.notes


def head_changes(model: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What a child of a model says, so that its heads know another number of classes.

    Of the heads of a cascade, which are a list, and which a child can only replace, each is said to be the base's own
    with another number.

    Args:
        model: plain dicts.
        number: of classes, which the text calls `num_classes`.
    """
    return _changes(model, with_num_classes(dict(model), number), '_base_.model')


def _changes(before: Any, after: Any, place: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if value == old:
            continue
        if key == 'num_classes':
            said[key] = Code('num_classes')
        elif isinstance(value, Mapping):
            said[key] = _changes(old, value, f'{place}.{key}')
        else:
            said[key] = _list_changes(old, value, f'{place}.{key}')
    return said


def _list_changes(before: Sequence[dict], after: Sequence[dict], place: str) -> Any:
    changes = [
        _changes(old, new, f'{place}[{number}]') for number, (old, new) in enumerate(zip(before, after, strict=True))
    ]
    if all(change == dict(num_classes='num_classes') for change in changes):
        return Code(f'[dict(head, num_classes=num_classes) for head in {place}]')
    return list(after)


def _data_root(root: str) -> str:
    path = Path(root).expanduser().as_posix()
    return path if path.endswith('/') else f'{path}/'
