"""From what a person asks for to the configs that they would write."""

from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DistillationError
from ..runtime import cli
from .detectors import Teacher, read_student, read_teacher
from .distilled_config import distilled_text
from .learning_rate import rate_notes
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
    notes += bases.notes + said + rate_notes(bases.cfg, request.student, scales_lr, ranks)
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
