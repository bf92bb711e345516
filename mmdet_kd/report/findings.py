"""What is known of a comparison, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from ..comparison import Row

#: Title of an arm -> seed -> name -> score, in points where it is a share.
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Cost:
    """What the steps of an arm cost, as its logs say.

    Args:
        seconds: of a step, the median.
        memory: in MiB, the peak; None where the log does not say it, as on a CPU.
    """

    seconds: float
    memory: float | None = None


@dataclass(frozen=True)
class Model:
    """How large and how fast a detector is.

    Args:
        parameters: how many.
        flops: multiply-adds of a forward pass on one picture; None if they cannot be counted.
        shape: height and width of that picture.
        speed: pictures a second, one at a time; None if it was not measured.
    """

    parameters: int
    flops: int | None = None
    shape: tuple[int, int] | None = None
    speed: float | None = None


@dataclass(frozen=True)
class Split:
    """What the data sets of a split have.

    Args:
        pictures: their files.
        sizes: size -> number of objects.
        classes: class -> number of objects, in the order of the labels.
    """

    pictures: frozenset[str]
    sizes: Mapping[str, int]
    classes: Mapping[str, int]


@dataclass(frozen=True)
class Drawn:
    """A picture with the boxes of somebody.

    Args:
        who: the truth, a title or a teacher.
        webp: the picture.
        said: what is right and wrong about it.
    """

    who: str
    webp: bytes
    said: str = ''


@dataclass(frozen=True)
class Findings:
    """What is known of a comparison. What is not known is empty, and a report leaves it out.

    Args:
        rows: title -> what it reached; the first one is what the others are compared with.
        beside: title -> what it reached, of models that are shown beside them, such as the teacher.
        unlike: what the arms should have in common and do not, a sentence each.
        notes: what a reader must know of the scores, a sentence each.
        about: what was trained and judged on what, a sentence each.
        data: 'training' and 'validation' -> what that split has, where it is known.
        sizes: scores by size of the objects, or by difficulty.
        classes: scores by class.
        classes_note: what a reader must know of these.
        losses: title -> for each seed, step -> the sum that was minimised.
        costs: title -> what a step cost.
        models: title -> how large and fast it is; the teachers, too.
        conditions: where and how the speed was measured.
        pictures: name of a picture -> its copies, side by side.
        choice: how these pictures were chosen.
        configs: title -> the text of the config that was trained.
        versions: title -> package -> version that trained it.
        commands: that made this, one a line.
        missing: what could not be found out, and why, a sentence each.
        place: what the curves count: 'epoch' or 'step'.
    """

    rows: Mapping[str, Row]
    _: KW_ONLY
    beside: Mapping[str, Row] = field(default_factory=dict)
    unlike: Sequence[str] = ()
    notes: Sequence[str] = ()
    about: Sequence[str] = ()
    data: Mapping[str, Split] = field(default_factory=dict)
    sizes: Scores = field(default_factory=dict)
    classes: Scores = field(default_factory=dict)
    classes_note: str = ''
    losses: Mapping[str, Sequence[Mapping[int, float]]] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    conditions: str = ''
    pictures: Mapping[str, Sequence[Drawn]] = field(default_factory=dict)
    choice: str = ''
    configs: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    commands: Sequence[str] = ()
    missing: Sequence[str] = ()
    place: str = 'epoch'
