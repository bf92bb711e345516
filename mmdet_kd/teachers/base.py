"""What every teacher is."""

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import DistillationError, raise_if_any
from ..export import drop_pretrained
from ..knowledge import on_meta
from .batch import Batch
from .checkpoint import Weights, read_weights
from .classes import classes_of_config
from .config import ConfigSource, load_teacher_config

#: Says that ``checkpoint`` was not written at all, which is an error; None asks for an untrained teacher.
NOT_GIVEN: Any = object()


class BaseTeacher(nn.Module):
    """A model that is frozen, always in eval mode, and part of nothing that trains.

    Whoever holds it must keep it out of its own registered modules; see
    :class:`~mmdet_kd.detectors.KnowledgeDistillationMixin`. A deep copy of the holder (an EMA copy, say) shares it.

    Args:
        config: the teacher's config: a path, a ``'mmdet::...'`` name, a dict or a Config.
        checkpoint: path or URL of its weights. None, written out, leaves it untrained.

    Raises:
        DistillationError: there is no such config, or ``checkpoint`` is not given.
    """

    #: Whether the student's classes are looked for among the teacher's by their names.
    classes_by_name = False

    def __init__(self, config: ConfigSource, checkpoint: str | Path | None) -> None:
        super().__init__()
        if checkpoint is NOT_GIVEN:
            raise_if_any(
                [
                    'teacher.checkpoint is not given: name a file or URL, or write checkpoint=None for an untrained '
                    'teacher'
                ]
            )
        self.cfg = load_teacher_config(config)
        self.checkpoint = checkpoint
        self.classes = classes_of_config(self.cfg)
        self.model: nn.Module | None = None
        self.eval()

    def build_shape(self) -> nn.Module:
        """The model without weights, for its shapes."""
        return on_meta(self._build)

    def load(self, device: torch.device, asked: Collection[str] = ()) -> None:
        """Build the model and load its weights, strictly.

        Args:
            device: where it is to run.
            asked: the kinds of knowledge (:data:`mmdet_kd.knowledge.KINDS`) that distillers will ask for.

        Raises:
            DistillationError: the weights cannot be read, or do not fit; the message lists them.
        """
        with torch.random.fork_rng(devices=[]):  # the student draws the same numbers with a teacher as without
            model = self._build()
            if self.checkpoint is None:
                warnings.warn('The teacher is untrained (teacher.checkpoint=None): it teaches noise.', stacklevel=2)
                model.init_weights()
            else:
                weights = read_weights(self.checkpoint)
                self.classes = weights.classes or self.classes
                self._load_strictly(model, weights)
        self.model = self.optimise(model.requires_grad_(False).eval().to(device), asked)

    def optimise(self, model: nn.Module, asked: Collection[str]) -> nn.Module:
        """The loaded model as it is to run, to be asked for kinds of knowledge."""
        del asked
        return model

    @abstractmethod
    def observe(self, batch: Batch) -> Any:
        """What the teacher can be asked about a batch."""

    @abstractmethod
    def wants_loaded_pictures(self, preprocessor: nn.Module) -> bool:
        """Whether the pictures that the student's ``preprocessor`` makes are not those that the teacher is to see."""

    def preprocessing_problems(self, preprocessor: nn.Module) -> list[str]:
        """What about the student's ``preprocessor`` forbids that this teacher teaches it."""
        del preprocessor
        return []

    def require_weights(self) -> None:
        """Complain if nobody has loaded the weights yet."""
        if self.model is None:
            raise RuntimeError(
                "the teacher has no weights yet: call the detector's init_weights() first, as mmengine's Runner does"
            )

    def train(self, mode: bool = True) -> 'BaseTeacher':
        """Stay in eval mode, whoever asks."""
        del mode
        return super().train(False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'BaseTeacher':
        super()._apply(fn, recurse)
        if self.model is not None:  # its data_preprocessor remembers a device beside its tensors
            self.model.to(next(self.model.parameters()).device)
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> 'BaseTeacher':
        return self

    def _build(self) -> nn.Module:
        model = copy.deepcopy(self.cfg.model)
        drop_pretrained(model)  # its own weights come next; nothing is downloaded for them to overwrite
        return MODELS.build(model)

    def _load_strictly(self, model: nn.Module, weights: Weights) -> None:
        try:
            model.load_state_dict(weights.state_dict, strict=True)
        except RuntimeError as error:
            listed = str(error).split('\n', 1)[-1]
            raise DistillationError(
                [
                    f"the weights in {self.checkpoint} do not fit the teacher's config; give the config that they were "
                    f'trained with:\n{listed}'
                ]
            ) from error
        print_log(f'The teacher holds all {len(weights.state_dict)} tensors of {self.checkpoint}.', logger='current')
