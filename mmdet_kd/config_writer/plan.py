"""From what a person asks for to the configs that they would write."""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..errors import DistillationError, raise_if_any
from ..runtime import cli
from .detectors import Teacher, read_student, read_teacher
from .distilled_config import distilled_text
from .levels import with_common_levels
from .methods import find_method
from .own_set import read_own_set
from .student_config import gather_bases, student_text

STUDENT, DISTILLED = 'student.py', 'distilled.py'


class Request(NamedTuple):
    """What a person asks for.

    Args:
        student: config of the student: a path, ``mmdet::...``, or a name of this package's.
        teacher: config of the teacher, likewise; None, with no method, where the student alone is asked for.
        checkpoint: of the teacher, a file or an address; None if a fragment says it.
        data: root of their own set; None leaves the student's.
        methods: names of methods or fragments, at least one with a teacher.
        schedule: config or fragment of the schedule, of a student that has none.
    """

    student: str
    teacher: str | None
    checkpoint: str | None
    data: str | None
    methods: list[str]
    schedule: str | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What the files follow from. Of a student alone nothing is said of a teacher, so that one may come later."""
        of_student = ('student', 'data', 'schedule')
        return {key: value for key, value in self._asdict().items() if self.teacher or key in of_student}


class Plan(NamedTuple):
    """What is to be written.

    Args:
        texts: name of a file -> its text.
        notes: what a person should know of it, a sentence or a few lines each.
    """

    texts: dict[str, str]
    notes: list[str]


def plan_configs(request: Request, folder: Path, scales_lr: bool = False, ranks: int = 1) -> Plan:
    """The texts of student.py and, if there is a teacher, of distilled.py.

    Args:
        request: what is asked for.
        folder: that they will lie in.
        scales_lr: whether the training will scale the learning rate to the batch size.
        ranks: processes that will train together, > 0.

    Raises:
        DistillationError: something is not there, or does not go together.
    """
    student = read_student(request.student)
    teacher, found = None, {}
    if request.teacher is not None:
        teacher = read_teacher(request.teacher, request.checkpoint)
        _check_checkpoint(teacher)
        found = {name: find_method(name, student, teacher) for name in dict.fromkeys(request.methods)}
        found = with_common_levels(found, student, teacher)
    notes = [f'method {name}: {method.path}' for name, method in found.items()]
    own = None if request.data is None else read_own_set(request.data)
    bases = gather_bases(student, own, request.schedule)
    text, said = student_text(bases, own, folder)
    if own is not None:
        notes += [own.said, f'train on {own.splits.train}, validate on {own.splits.val}, test on {own.splits.test}']
    notes += bases.notes + said + _rate_notes(bases.cfg, request.student, scales_lr, ranks)
    taught = {} if teacher is None else {DISTILLED: distilled_text(student, teacher, found, bases.cfg)}
    return Plan({STUDENT: text, **taught}, notes)


def _check_checkpoint(teacher: Teacher) -> None:
    """Look at the checkpoint if it is a file here; an address is looked at when it is downloaded."""
    name = teacher.cfg['checkpoint']
    if '://' in name:
        return
    if not Path(name).expanduser().is_file():
        raise DistillationError(
            [f'TEACHER.pth: there is no checkpoint {name!r} (looked at {Path(name).absolute()}). Correct the path']
        )
    cli.check_checkpoint(str(Path(name).expanduser()))


def _rate_notes(cfg: Config, name: str, scales_lr: bool, ranks: int) -> list[str]:
    """Whether the learning rate is for other batches than those of all processes together.

    Args:
        cfg: of the student.
        name: of its file, of which mmdet's say `8xb32`: 8 processes with batches of 32.
        scales_lr: whether the training will scale the rate.
        ranks: processes that will train together.

    Raises:
        DistillationError: the rate is to be scaled, and from which batches is not known.
    """
    scaling, wrapper = cfg.get('auto_scale_lr') or {}, cfg.get('optim_wrapper') or {}
    base, named = scaling.get('base_batch_size'), re.search(r'(\d+)xb(\d+)', name)
    if scales_lr and base is None:
        raise DistillationError(
            [
                '--auto-scale-lr: the student does not say for which batches its learning rate is: write '
                'auto_scale_lr=dict(base_batch_size=...) into its config, or leave the option out'
            ]
        )
    size, rate = (cfg.get('train_dataloader') or {}).get('batch_size'), (wrapper.get('optimizer') or {}).get('lr')
    if None in (base, size, rate):
        return []
    accumulated = wrapper.get('accumulative_counts') or 1
    factors = [*([ranks] if ranks > 1 else []), size, *([accumulated] if accumulated > 1 else [])]
    yours = f'{" x ".join(map(str, factors))} = {math.prod(factors)}' if len(factors) > 1 else f'{size}'
    meant = math.prod(map(int, named.groups())) if named else base
    if meant != base:  # as of RTMDet, whose base is that of the schedule that it inherits
        said = (
            f"the student's name says {named[0]}, so lr={rate} is for batches of {meant}, and its auto_scale_lr says "
            f'{base}: write auto_scale_lr=dict(base_batch_size={meant}) into its config'
        )
        raise_if_any([f'--auto-scale-lr: {said}'] if scales_lr else [])
        return (
            [] if math.prod(factors) == meant else [f'ATTENTION: yours have {yours}; {said}, and add --auto-scale-lr']
        )
    if scales_lr or scaling.get('enable') or base == math.prod(factors):
        return []
    cure = (
        'set lr for them, since --auto-scale-lr does not count accumulation'
        if accumulated > 1
        else 'add --auto-scale-lr'
    )
    return [f'ATTENTION: lr={rate} is for batches of {base}; yours have {yours}: {cure}']
