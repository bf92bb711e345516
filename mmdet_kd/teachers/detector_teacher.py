"""A frozen detector that teaches."""

from collections.abc import Collection, Sequence
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor, nn

from ..backbones import maps_of_a_picture
from ..class_names import find_classes
from ..errors import DistillationError, raise_if_any
from ..heads import depths_of
from ..knowledge import ClassMap, PartForm, TeacherKnowledge, canvas_problems, needed_padding, scored_classes
from .base import NOT_GIVEN, BaseTeacher
from .batch import Batch
from .config import ConfigSource
from .preprocessing import preprocess_alike, preprocess_images
from .speed import PRECISIONS, Speed
from .verification import describe, speed_up

_ALL_BRANCHES = (
    "the teacher's backbone gives a map a branch in a test too (test_branch_idx=-1), and one is compared: "
    'set test_branch_idx of backbone and roi_head to one of them, such as 1, in the config of the teacher'
)


@MODELS.register_module()
class DetectorTeacher(BaseTeacher):
    """A frozen detector; see :class:`BaseTeacher`.

    Args:
        config: the teacher's config: a path, a ``'mmdet::...'`` name, a dict or a Config.
        checkpoint: path or URL of its weights. None, written out, leaves it untrained.
        classes_by_name: find the student's classes among the teacher's by their names. The teacher may know more, in
            any order. Otherwise both must know the same, in the same order.
        inherit: start a training with this teacher's weights in the student's neck and heads, which must have the same
            names and shapes on both sides; see :mod:`mmdet_kd.detectors.inheritance`. ``load_from`` and ``resume`` come
            after.
        fold_batch_norm: fold batch norm into the convolutions before it, where that changes nothing beyond rounding.
        channels_last: keep weights and maps in that memory format, which changes nothing beyond rounding.
        precision: 'bfloat16' or 'float16' for backbone, neck and heads, also under AMP; RoIs are cut out in single
            precision. None: single precision, or that of the training under AMP.
        compile: run torch.compile over backbone, neck, and RPN or dense head.

    Raises:
        DistillationError: there is no such config or precision, ``checkpoint`` is not given, or ``inherit`` and
            ``classes_by_name`` are, since a head that is taken over knows the teacher's classes.
    """

    def __init__(
        self,
        config: ConfigSource,
        checkpoint: str | Path | None = NOT_GIVEN,
        classes_by_name: bool = False,
        inherit: bool = False,
        fold_batch_norm: bool = True,
        channels_last: bool = True,
        precision: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(config, checkpoint)
        if precision not in (None, *PRECISIONS):
            raise_if_any([f'teacher.precision is {precision!r}; it must be one of {", ".join(PRECISIONS)}, or None'])
        if inherit and classes_by_name:
            raise_if_any(
                [
                    'teacher.inherit and teacher.classes_by_name do not go together: a head that is taken over knows '
                    "the teacher's classes in its order. Leave one of the two out"
                ]
            )
        self.classes_by_name = classes_by_name
        self.inherit = inherit
        self.class_map: ClassMap | None = None
        self.speed = Speed(fold_batch_norm, channels_last, PRECISIONS.get(precision), compile)
        self.forms: dict[str, PartForm] = {}
        #: After how many convolutions of the towers of its dense head it may be given the student's maps.
        self.tower_depths: list[int] = []

    @property
    def detector(self) -> nn.Module | None:
        """The detector; None until its weights are loaded."""
        return self.model

    def build_shape(self) -> nn.Module:
        """See :class:`BaseTeacher`. A network that cannot take every picture gets the padding that it needs.

        The pictures that it could take have that padding already, so this changes nothing of what it says of them.
        """
        shape = super().build_shape()
        if maps_of_a_picture(shape.backbone, training=False) > 1:
            raise_if_any([_ALL_BRANCHES])
        need = needed_padding(shape)
        if need is not None:
            if not hasattr(shape.data_preprocessor, 'pad_size_divisor'):
                raise_if_any(canvas_problems('teacher', shape))
            for preprocessor in (shape.data_preprocessor, self.cfg.model.data_preprocessor):
                preprocessor.pad_size_divisor = need.divisor
            print_log(
                f'The teacher ({type(shape).__name__}) sees pictures padded to a multiple of {need.divisor} pixels, as '
                'its network needs.',
                logger='current',
            )
        return shape

    def optimise(self, model: nn.Module, asked: Collection[str]) -> nn.Module:
        """The detector as fast as was configured, where that changes nothing that is asked beyond rounding."""
        self.tower_depths = depths_of({kind.removeprefix('dense.') for kind in asked})
        self.forms, self.outcomes = speed_up(model, self.speed, asked)
        if self.outcomes:
            print_log(describe(model, self.outcomes), logger='current')
        return model

    def observe(self, batch: Batch) -> TeacherKnowledge:
        """What the teacher can be asked about a batch, which it sees in its own normalisation."""
        if batch.loaded is None:
            return self.knowledge_of(batch.images, None, batch.img_shapes, batch.copies)
        pictures, ratios = batch.loaded
        shapes = [tuple(picture.shape[-2:]) for picture in pictures]
        return self.knowledge_of(self.preprocess(pictures), ratios, shapes, batch.copies)

    def knowledge_of(
        self,
        images: Tensor,
        ratios: Tensor | None = None,
        img_shapes: Sequence[tuple[int, int]] | None = None,
        copies: int = 1,
    ) -> TeacherKnowledge:
        """What the teacher can be asked about a batch (N, 3, H, W) in its own normalisation.

        Args:
            images: the batch.
            ratios: see :class:`~mmdet_kd.knowledge.TeacherKnowledge`, as for the others.
            img_shapes: of the pictures without their padding.
            copies: how often the student has each.
        """
        self.require_weights()
        return TeacherKnowledge(
            self.detector, images, ratios, self.class_map, self.forms, img_shapes, copies, self.tower_depths
        )

    def map_classes(self, classes: Sequence[str]) -> None:
        """Judge RoIs by other classes than its own from now on; what is none of them is background.

        Args:
            classes: the student's, in the order of its labels.

        Raises:
            DistillationError: the teacher's own classes are not known, are not as many as its heads know, or lack one
                of these.
        """
        if self.classes is None:
            raise DistillationError(
                [
                    'teacher.classes_by_name: neither its checkpoint nor its config names the classes of the teacher; '
                    'write metainfo=dict(classes=...) into the train_dataloader.dataset of its config'
                ]
            )
        raise_if_any(self.class_problems())
        known = min([len(self.classes), *scored_classes(self.detector).values()])  # mmdet names things before stuff
        self.class_map = ClassMap(find_classes(classes, self.classes[:known]), known).to(
            next(self.detector.parameters()).device
        )

    def preprocess(self, images: list[Tensor] | Tensor) -> Tensor:
        """Raw pictures as the teacher would see them alone: (N, 3, H, W)."""
        return preprocess_images(self.detector.data_preprocessor, images)

    def wants_loaded_pictures(self, preprocessor: nn.Module) -> bool:
        """Whether the student's ``preprocessor`` makes other pictures than the teacher's own."""
        return not preprocess_alike(preprocessor, self.detector.data_preprocessor)
