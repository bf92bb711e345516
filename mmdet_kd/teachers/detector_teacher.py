"""A frozen detector that teaches."""

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import DistillationError, raise_if_any
from ..export import drop_pretrained
from ..knowledge import ClassMap, TeacherKnowledge, on_meta
from .checkpoint import Weights, read_weights
from .classes import classes_of_config, find_classes
from .config import ConfigSource, load_teacher_config
from .preprocessing import preprocess_images
from .speed import PRECISIONS, Speed, speed_up

#: Says that ``checkpoint`` was not written at all, which is an error; None asks for an untrained teacher.
_NOT_GIVEN: Any = object()


@MODELS.register_module()
class DetectorTeacher(nn.Module):
    """A detector that is frozen, always in eval mode, and part of nothing that trains.

    Whoever holds it must keep it out of its own registered modules; see
    :class:`~mmdet_kd.detectors.KnowledgeDistillationMixin`. A deep copy of the holder (an EMA copy, say) shares it.

    Args:
        config: the teacher's config: a path, a ``'mmdet::...'`` name, a dict or a Config.
        checkpoint: path or URL of its weights. None, written out, leaves it untrained.
        classes_by_name: find the student's classes among the teacher's by their names. The teacher may know more, in
            any order. Otherwise both must know the same, in the same order.
        fold_batch_norm: fold batch norm into the convolutions before it, where that changes nothing beyond rounding.
        channels_last: keep weights and maps in that memory format, which changes nothing beyond rounding.
        precision: 'bfloat16' or 'float16' for backbone, neck and heads; the weights that RoIs are judged with are kept
            in single precision. None: single precision, or that of the training under AMP.
        compile: run torch.compile over backbone, neck, and RPN or dense head.

    Raises:
        DistillationError: there is no such config or precision, or ``checkpoint`` is not given.
    """

    def __init__(
        self,
        config: ConfigSource,
        checkpoint: str | Path | None = _NOT_GIVEN,
        classes_by_name: bool = False,
        fold_batch_norm: bool = True,
        channels_last: bool = True,
        precision: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        problems = []
        if checkpoint is _NOT_GIVEN:
            problems.append(
                'teacher.checkpoint is not given: name a file or URL, or write checkpoint=None for an untrained teacher'
            )
        if precision not in (None, *PRECISIONS):
            problems.append(f'teacher.precision is {precision!r}; it must be one of {", ".join(PRECISIONS)}, or None')
        raise_if_any(problems)
        self.cfg = load_teacher_config(config)
        self.checkpoint = checkpoint
        self.classes_by_name = classes_by_name
        self.class_map: ClassMap | None = None
        self.speed = Speed(fold_batch_norm, channels_last, PRECISIONS.get(precision), compile)
        self.classes = classes_of_config(self.cfg)
        self.detector: nn.Module | None = None
        self.eval()

    def build_shape(self) -> nn.Module:
        """The detector without weights, for its shapes."""
        return on_meta(self._build)

    def load(self, device: torch.device) -> None:
        """Build the detector and load its weights, strictly.

        Args:
            device: where it is to run.

        Raises:
            DistillationError: the weights cannot be read, or do not fit; the message lists them.
        """
        with torch.random.fork_rng(devices=[]):  # the student draws the same numbers with a teacher as without
            detector = self._build()
            if self.checkpoint is None:
                warnings.warn('The teacher is untrained (teacher.checkpoint=None): it teaches noise.', stacklevel=2)
                detector.init_weights()
            else:
                weights = read_weights(self.checkpoint)
                self.classes = weights.classes or self.classes
                self._load_strictly(detector, weights)
        self.detector = speed_up(detector.requires_grad_(False).eval().to(device), self.speed)

    def look(self, images: Tensor, ratios: Tensor | None = None) -> TeacherKnowledge:
        """What the teacher can be asked about a batch (N, 3, H, W) in its own normalisation.

        Args:
            images: the batch.
            ratios: see :class:`~mmdet_kd.knowledge.TeacherKnowledge`.
        """
        if self.detector is None:
            raise RuntimeError(
                "the teacher has no weights yet: call the detector's init_weights() first, as mmengine's Runner does"
            )
        return TeacherKnowledge(self.detector, self.speed.apply_to(images), ratios, self.class_map)

    def speak_of(self, classes: Sequence[str]) -> None:
        """Judge RoIs by other classes than its own from now on; what is none of them is background.

        Args:
            classes: the student's, in the order of its labels.

        Raises:
            DistillationError: the teacher's own classes are not known, or lack one of these.
        """
        if self.classes is None:
            raise DistillationError(
                [
                    'teacher.classes_by_name: neither its checkpoint nor its config names the classes of the teacher; '
                    'write metainfo=dict(classes=...) into the train_dataloader.dataset of its config'
                ]
            )
        indices = find_classes(classes, self.classes)
        self.class_map = ClassMap(indices, len(self.classes)).to(next(self.detector.parameters()).device)

    def preprocess(self, images: list[Tensor] | Tensor) -> Tensor:
        """Raw pictures as the teacher would see them alone: (N, 3, H, W)."""
        return preprocess_images(self.detector.data_preprocessor, images)

    def train(self, mode: bool = True) -> 'DetectorTeacher':
        """Stay in eval mode, whoever asks."""
        del mode
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'DetectorTeacher':
        super()._apply(fn, recurse)
        if self.detector is not None:  # its data_preprocessor remembers a device beside its tensors
            self.detector.to(next(self.detector.parameters()).device)
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> 'DetectorTeacher':
        return self

    def _build(self) -> nn.Module:
        model = copy.deepcopy(self.cfg.model)
        drop_pretrained(model)  # its own weights come next; nothing is downloaded for them to overwrite
        return MODELS.build(model)

    def _load_strictly(self, detector: nn.Module, weights: Weights) -> None:
        try:
            detector.load_state_dict(weights.state_dict, strict=True)
        except RuntimeError as error:
            listed = str(error).split('\n', 1)[-1]
            raise DistillationError(
                [
                    f"the weights in {self.checkpoint} do not fit the teacher's config; give the config that they were "
                    f'trained with:\n{listed}'
                ]
            ) from error
        print_log(f'The teacher holds all {len(weights.state_dict)} tensors of {self.checkpoint}.', logger='current')
