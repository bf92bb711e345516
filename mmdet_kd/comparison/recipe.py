"""What is trained: a config and all that its result depends on, known again by a fingerprint."""

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..runtime.checkpoints import find_weights, read_checkpoint
from ..runtime.cli import read_config
from ..runtime.data_files import annotation_file, leaf_configs, truth_files
from ..runtime.digests import files_digest
from ..runtime.pretrained import pretrained_files
from ..runtime.run_record import distilled_parts, xml_files
from ..teachers.paths import candidates
from ..teachers.record import record_teacher

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Recipe:
    """What is trained, with whatever seed.

    Args:
        config: path of a config.
        options: dotted key -> value, in its place.
        flags: options of tools/train.py that change what is learnt: ``--amp``, ``--auto-scale-lr``.
        ranks: processes that train together.
        files: what the result depends on beside the config and the weights that it names, by their contents.
        teachers: what the teachers are built of whose configs are in files of their own.
    """

    config: str
    options: tuple[tuple[str, Any], ...] = ()
    flags: tuple[str, ...] = ()
    ranks: int = 1
    files: tuple[Path, ...] = ()
    teachers: tuple[str, ...] = ()

    def read(self) -> Config:
        """The config with the options in it, to be changed at will.

        Raises:
            DistillationError: it cannot be read.
        """
        return copy.deepcopy(self._cfg)

    @cached_property
    def _cfg(self) -> Config:
        """Read once, since a config that builds on mmdet's takes seconds."""
        cfg = read_config(self.config)
        cfg.merge_from_dict(dict(self.options))
        return cfg

    @cached_property
    def weights(self) -> list[Path]:
        """The files of weights that it reads: its teachers', and those that it starts from. Some may be missing."""
        cfg = self.read()
        named = [*(teacher.get('checkpoint') for teacher in _teachers_of(cfg)), cfg.get('load_from')]
        found = [self._found(name) for name in named if name and '://' not in name]
        return found + pretrained_files(cfg.get('model') or {})

    def _found(self, name: str) -> Path:
        places = [*candidates(name), Path(self.config).absolute().parent / name]
        return next((place for place in places if place.is_file()), Path(name))

    @cached_property
    def fingerprint(self) -> str:
        """Changes with its config and with the weights that this reads, wherever the checkout lies.

        Finished trainings are known by it, and benchmarks/results has it of each row. What is digested, and in which
        order, must not change.

        Raises:
            DistillationError: weights are missing or do not open.
        """
        digest = hashlib.sha256(self.read().pretty_text.replace(str(_CHECKOUT), '').encode())
        for file in self.weights:
            for name, tensor in sorted(find_weights(read_checkpoint(file), file, bare=True).items()):
                digest.update(name.encode())
                digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        if self.flags:
            digest.update(' '.join(self.flags).encode())
        if self.ranks != 1:
            digest.update(f'{self.ranks} ranks'.encode())
        if self.files:
            digest.update(files_digest(self.files)['digest'].encode())
        for teacher in self.teachers:
            digest.update(teacher.encode())
        return digest.hexdigest()[:16]

    @property
    def inherits(self) -> bool:
        """Whether its student starts with a teacher's neck and heads."""
        return any(teacher.get('inherit') for teacher in _teachers_of(self.read()))


def _teachers_of(cfg: Config) -> list[dict]:
    """The configs of a config's teachers."""
    teachers: list[dict | None] = []
    for part in distilled_parts(cfg.get('model') or {}):
        teachers += (part.get('teachers') or {'teacher': part.get('teacher')}).values()
    return [teacher for teacher in teachers if teacher is not None]


def annotations_of(cfg: Config, splits: Sequence[str] = ('train', 'val')) -> tuple[Path, ...]:
    """The annotation files of some splits of a config; those of VOC's format too, a file a picture."""
    files: list[Path] = []
    for split in splits:
        for dataset in leaf_configs((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}):
            path = annotation_file(dataset)
            files += [] if path is None else [path, *xml_files(dataset, path)]
        files += [path for _, path in truth_files(cfg.get(f'{split}_evaluator'))]
    return tuple(dict.fromkeys(files))


def teachers_in_files(cfg: Config) -> tuple[str, ...]:
    """What the teachers of a config are built of that it names a file for, which may change, or a file below it.

    Raises:
        DistillationError: a file is missing or has no detector.
    """
    teachers = [teacher for teacher in _teachers_of(cfg) if isinstance(teacher.get('config'), (str, Path))]
    return tuple(json.dumps(record_teacher(each)['config'], default=_name, sort_keys=True) for each in teachers)


def _name(value: Any) -> str:
    return getattr(value, '__qualname__', type(value).__qualname__)


def preferred_score(cfg: Config) -> str | None:
    """The score by which a config says that its detectors are to be compared: ``save_best`` of its checkpoints."""
    return _first(_checkpoints(cfg).get('save_best'))


def direction_problems(name: str, cfg: Config) -> list[str]:
    """That the preferred score of a config is one of which less is better, as of an error or a loss.

    Whatever is said of gains takes more for better.

    Args:
        name: of the config; for messages.
        cfg: of a training.
    """
    score, rule = preferred_score(cfg), _first(_checkpoints(cfg).get('rule'))
    if score is None or (rule != 'less' and (rule == 'greater' or 'loss' not in score.lower())):
        return []
    return [
        f'{name} keeps the best checkpoint by {score}, of which less is better, and trainings are compared by scores '
        "of which more is better: name such a one, or 'auto', in save_best of default_hooks.checkpoint, without a rule"
    ]


def _checkpoints(cfg: Config) -> dict[str, Any]:
    return (cfg.get('default_hooks') or {}).get('checkpoint') or {}


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, (list, tuple)) else value
