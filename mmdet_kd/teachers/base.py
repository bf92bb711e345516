"""What every teacher is."""

import copy
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..class_names import classes_of_config
from ..errors import raise_if_any
from ..knowledge import head_class_problems, head_classes, on_meta
from ..runtime import weights_digest
from .batch import Batch
from .build import build_model, check_preprocessor, refuse_what_cannot_be_built
from .checkpoint import read_weights
from .config import ConfigSource, load_teacher_config
from .fit import load_strictly
from .verification import Outcome

#: Says that ``checkpoint`` was not written at all, which is an error; None asks for an untrained teacher.
NOT_GIVEN: Any = object()
#: Takes over what it wants of a loaded model.
Heir = Callable[[nn.Module], None]


class BaseTeacher(nn.Module):
    """A model that is frozen, always in eval mode, and part of nothing that trains.

    Whoever holds it must keep it out of its own registered modules; see
    :class:`~mmdet_kd.detectors.KnowledgeDistillationMixin`. A deep copy of the holder (an EMA copy, say) has a teacher
    of its own on the same memory: what is done to the one, ``double()`` say, is not done to the other.

    Args:
        config: the teacher's config: a path, a ``'mmdet::...'`` name, a dict or a Config.
        checkpoint: path or URL of its weights. None, written out, leaves it untrained.

    Raises:
        DistillationError: there is no such config, or ``checkpoint`` is not given.
    """

    #: Whether the student's classes are looked for among the teacher's by their names.
    classes_by_name = False
    #: Whether the student's neck and heads start with the teacher's weights.
    inherit = False

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
        self.classes = classes_of_config(self.cfg, 'the train_dataloader.dataset.metainfo of the teacher config')
        self.model: nn.Module | None = None
        #: Of the weights of its checkpoint, once loaded; see :func:`mmdet_kd.runtime.weights_digest`.
        self.digest: str | None = None
        #: What became of each speed-up of each part, once loaded.
        self.outcomes: list[Outcome] = []
        self.eval()

    def build_shape(self) -> nn.Module:
        """The model without weights, for its shapes.

        Raises:
            DistillationError: the config does not build, or does not say how its pictures are normalised.
        """
        check_preprocessor(self.cfg)
        with refuse_what_cannot_be_built(self.cfg):
            return on_meta(self._build)

    def load(self, device: torch.device, asked: Collection[str] = (), heir: Heir | None = None) -> None:
        """Build the model and load its weights, strictly; see :func:`~mmdet_kd.teachers.fit.load_strictly`.

        Args:
            device: where it is to run.
            asked: the kinds of knowledge (:data:`mmdet_kd.knowledge.KINDS`) that distillers will ask for.
            heir: is handed the model with its weights as they were trained, before anything makes it fast.

        Raises:
            DistillationError: the weights cannot be read, or do not fit; the message lists them.
        """
        with torch.random.fork_rng(devices=[]):  # the student draws the same numbers with a teacher as without
            with refuse_what_cannot_be_built(self.cfg):
                model = self._build()
            if self.checkpoint is None:
                print_log(
                    'The teacher is untrained (teacher.checkpoint=None): it teaches noise. Give it a checkpoint',
                    logger='current',
                    level=logging.WARNING,
                )
                model.init_weights()
            else:
                weights = read_weights(self.checkpoint)
                self.digest = weights_digest(weights.state_dict)
                self.classes = weights.classes or self.classes
                load_strictly(model, weights, self.cfg, self.checkpoint)
        if heir is not None:
            heir(model)
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

    def class_problems(self) -> list[str]:
        """Whether the names of the loaded teacher's classes, if it has names, are as many as its heads know."""
        return head_class_problems(
            "the teacher's checkpoint or, if that names none, its config names",
            self.classes or (),
            head_classes(self.model) if self.classes else {},
            "name the teacher's own classes, in the order of its labels, in metainfo=dict(classes=...) of the "
            "train_dataloader.dataset of its config, or in meta['dataset_meta']['classes'] of its checkpoint",
        )

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
        """Copy the modules and share the memory of their tensors, which nobody writes to while they are frozen.

        torch converts a module by putting other tensors into it, so a conversion of either leaves the other as it was.
        A compiled part is not compiled in the copy.
        """
        for tensor in (*self.parameters(), *self.buffers()):
            shared = tensor.detach()
            memo[id(tensor)] = nn.Parameter(shared, requires_grad=False) if isinstance(tensor, nn.Parameter) else shared
        twin = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return twin

    def _build(self) -> nn.Module:
        return build_model(self.cfg)
