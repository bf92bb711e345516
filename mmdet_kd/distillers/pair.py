"""The two sides of a distillation, as far as they are known before any weights are."""

from dataclasses import dataclass
from functools import cached_property

from mmengine.config import ConfigDict
from torch import nn

from ..heads import DenseView, EncoderView, RoIView, RPNView, find_view, head_of
from ..knowledge import MapShape, map_shapes, mask_sizes


@dataclass(frozen=True)
class Model:
    """The student or the teacher.

    Args:
        name: 'student' or 'teacher', for messages.
        detector: the detector, or a teacher that is a classifier; of a teacher, only its shapes (it may lie on the
            meta device).
        model_cfg: the config it was built from.
    """

    name: str
    detector: nn.Module
    model_cfg: ConfigDict

    @cached_property
    def maps(self) -> dict[str, tuple[MapShape, ...]]:
        """Channels and strides of each level of 'backbone' and 'neck'."""
        return map_shapes(self.detector)

    @property
    def shared_maps(self) -> tuple[MapShape, ...]:
        """Those that its heads read: of its neck, or of its backbone where it has no neck."""
        return self.maps.get('neck', self.maps['backbone'])

    @cached_property
    def score_maps(self) -> tuple[MapShape, ...]:
        """Channels and strides of each level of the class scores of its dense head."""
        view = self.dense
        return tuple(MapShape(c, stride[0]) for c, stride in zip(view.score_map_channels, view.strides, strict=True))

    @cached_property
    def memory_maps(self) -> tuple[MapShape, ...]:
        """Channels and strides of each level of the memory of its encoder."""
        return tuple(MapShape(self.encoder.channels, level.stride) for level in self.encoder.read(self.shared_maps))

    @cached_property
    def encoder(self) -> EncoderView:
        """What the encoder of a DETR says; nothing of another detector."""
        return find_view(self.detector, EncoderView)

    @cached_property
    def dense(self) -> DenseView:
        """What its dense head says; nothing where it has none."""
        return find_view(head_of(self.detector), DenseView)

    @cached_property
    def rpn(self) -> RPNView:
        """What its region proposal network says; nothing where it has none."""
        return find_view(getattr(self.detector, 'rpn_head', None), RPNView)

    @property
    def anchored(self) -> RPNView | DenseView:
        """What the head says that may have anchors: the RPN of a two-stage detector, the dense head of another."""
        return self.rpn if hasattr(self.detector, 'roi_head') else self.dense

    @cached_property
    def roi(self) -> RoIView:
        """What its RoI head says; nothing where it has none."""
        return find_view(getattr(self.detector, 'roi_head', None), RoIView)

    @cached_property
    def mask_sizes(self) -> list[tuple[int, int]]:
        """Height and width of the masks of each stage of its RoI head, in cells."""
        return mask_sizes(self.detector.roi_head)


@dataclass(frozen=True)
class ModelPair:
    """A student and its teacher. Distillers read from it what they need to know when they are built.

    Args:
        student: the one side.
        teacher: the other.
        student_scale: size of the student's pictures relative to the teacher's; None where both see the same.
        classes_by_name: the student's classes are looked for among the teacher's, which may have more.
    """

    student: Model
    teacher: Model
    student_scale: float | None = None
    classes_by_name: bool = False
