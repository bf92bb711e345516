"""A frozen classifier that teaches detectors."""

from collections.abc import Collection
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import nn

from ..classifiers import CropClassifier
from ..errors import DistillationError, raise_if_any
from ..knowledge import ClassifierKnowledge
from .base import NOT_GIVEN, BaseTeacher
from .batch import Batch
from .config import ConfigSource
from .preprocessing import normalise_alike
from .speed import CHANNELS_LAST
from .verification import Answers, describe, full_single_precision, picture_for, try_speed_up


@MODELS.register_module()
class ClassifierTeacher(BaseTeacher):
    """A frozen :class:`~mmdet_kd.classifiers.CropClassifier`; see :class:`BaseTeacher`.

    It looks at boxes of the student's own pictures, and so must know the student's normalisation.

    Args:
        config: the config that ``tools/train_classifier.py`` trained: a path, a dict or a Config.
        checkpoint: path or URL of its weights. None, written out, leaves it untrained.
        chunk: so many crops at most are looked at at a time; the memory that a step takes grows with it.

    Raises:
        DistillationError: there is no such config, it is not a classifier's, or ``checkpoint`` is not given.

    Source: Guo, Alvarez and Salzmann, NeurIPS 2021 (DICOD), section 3.
    """

    def __init__(self, config: ConfigSource, checkpoint: str | Path | None = NOT_GIVEN, chunk: int = 256) -> None:
        super().__init__(config, checkpoint)
        if not isinstance(chunk, int) or chunk < 1:
            raise_if_any([f'teacher.chunk is the number of crops at a time, at least 1, not {chunk!r}'])
        self.chunk = chunk

    def optimise(self, model: nn.Module, asked: Collection[str]) -> nn.Module:
        """The classifier with channels-last weights, which its maps follow: on a CPU its stem takes two thirds then."""
        del asked  # its scores, or its early layers; both are compared
        with torch.random.fork_rng(devices=[]), full_single_precision():
            size = model.crop_size
            crops = picture_for(model, (size, size))[..., :size, :size]  # crops are not padded

            def ask(classifier: nn.Module) -> Answers:
                with torch.no_grad():
                    maps = classifier.backbone(crops.clone())
                    return {'scores': classifier.logits_of(crops.clone())} | {
                        f'level {i}': m for i, m in enumerate(maps)
                    }

            model, outcome = try_speed_up(CHANNELS_LAST, 'classifier', model, ask, ask(model))
        if outcome is not None:
            self.outcomes = [outcome]
            print_log(describe(model, self.outcomes), logger='current')
        return model

    def observe(self, batch: Batch) -> ClassifierKnowledge:
        """What the teacher can be asked about the boxes of a batch."""
        self.require_weights()
        images = batch.images.detach()
        images = images if batch.copies == 1 else images.repeat(batch.copies, 1, 1, 1)
        return ClassifierKnowledge(self.model, images, batch.repeated_truth, self.chunk)

    def wants_loaded_pictures(self, preprocessor: nn.Module) -> bool:
        """Never: what it is asked about are boxes of the student's pictures."""
        del preprocessor
        return False

    def preprocessing_problems(self, preprocessor: nn.Module) -> list[str]:
        """Whether the student's pixels are normalised as those that the classifier was trained on."""
        if normalise_alike(preprocessor, self.model.data_preprocessor):
            return []
        return [
            "the classifier was trained on pixels that are normalised otherwise than the student's: train it with the "
            "mean, std and bgr_to_rgb of the student's data_preprocessor, or take the student that it was made for"
        ]

    def _build(self) -> nn.Module:
        model = super()._build()
        if not isinstance(model, CropClassifier):
            raise DistillationError(
                [
                    f'ClassifierTeacher: {self.cfg.model.type} is not a classifier of crops; name a config of a '
                    'CropClassifier, or leave the type out for a detector'
                ]
            )
        return model
