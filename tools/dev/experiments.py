"""The experiments of the metafiles: what trains them, what must be there before, what a paper reports, what we have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from metafiles import read_metafile

from mmdet_kd.errors import DistillationError, raise_if_any

TOOLS = Path(__file__).resolve().parents[1]
#: The learning rates of the configs are meant for this many.
ALL_GPUS = 8
#: What tools/tucker_decompose.py leaves: the share of the FLOPs, and the training that it was made of.
DECOMPOSED = re.compile(r'work_dirs/tucker(?P<share>[\d.]+)/(?P<name>(?P<detector>[^_]+_[^_]+)_.+)_tucker\.pth')


@dataclass(frozen=True)
class Step:
    """A command that makes a file.

    Args:
        leaves: the file.
        command: program and arguments, from the working directory.
        needs: files that other steps leave.
        model: what a metafile says of the training; None of a step that trains nothing.
        metafile: the metafile that does.
    """

    leaves: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    model: Mapping[str, Any] | None = None
    metafile: Path | None = None

    def __str__(self) -> str:
        return self.model['Name'] if self.model else Path(self.leaves).stem

    @property
    def reported(self) -> Mapping[str, Any] | None:
        """The number of a paper: By, Metric, Value, and our Tolerance; None if there is none."""
        return self.model.get('Reported') if self.model else None

    @property
    def ours(self) -> float | None:
        """Our number, of the same metric; None if nothing was measured yet, or no paper has one."""
        if self.reported is None or 'Results' not in self.model:
            return None
        return self.model['Results'][0]['Metrics'][self.reported['Metric']]

    @property
    def is_open(self) -> bool:
        """Whether a paper has a number, and we have none."""
        return self.reported is not None and self.ours is None

    @property
    def is_off(self) -> bool:
        """Whether our number is farther from the paper's than the tolerance; binary fractions have a tail."""
        return self.ours is not None and round(abs(self.ours - self.reported['Value']), 2) > self.reported['Tolerance']


class Experiments:
    """The models of some metafiles, and the steps that make files of them.

    Args:
        metafiles: their paths. A model that has `Reported` is an experiment.
        gpus: how many GPUs of this machine train together; 0: a process without torchrun.
    """

    def __init__(self, metafiles: Iterable[Path], gpus: int = ALL_GPUS) -> None:
        self.models = {
            model['Name']: (model, metafile) for metafile in metafiles for model in read_metafile(metafile)[1]
        }
        self.gpus = gpus
        self.tools = Path(os.path.relpath(TOOLS))

    def steps(self, patterns: Sequence[str] = ()) -> list[Step]:
        """The experiments, behind what they need: teachers, students alone, distilled ones. Each file is made once.

        Args:
            patterns: names of experiments, with `*` for anything; none: all.

        Raises:
            DistillationError: a pattern fits no experiment, or nothing makes a file that is needed.
        """
        names = [name for name, (model, _) in self.models.items() if 'Reported' in model]
        astray = [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)]
        raise_if_any([f"no experiment is called '{pattern}': take a name that --list has" for pattern in astray])
        names = [name for name in names if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]
        wanted = [self._training(name) for name in sorted(names, key=lambda name: '-from-' in name)]
        found: dict[str, Step] = {}
        for file in [*(need for step in wanted for need in step.needs), *(step.leaves for step in wanted)]:
            self._add(file, found)
        return list(found.values())

    def _add(self, file: str, found: dict[str, Step]) -> None:
        """Add the step that makes a file, behind those that make what it needs."""
        if file not in found:
            step = self._maker(file)
            for need in step.needs:
                self._add(need, found)
            found[file] = step

    def _maker(self, file: str) -> Step:
        decomposed = DECOMPOSED.fullmatch(file)
        if decomposed:
            return self._decomposition(file, **decomposed.groupdict())
        step = self._training(Path(file).parent.name)
        if step.leaves != file:
            raise DistillationError([f'{file} is needed, and the training leaves {step.leaves}: correct Needs'])
        return step

    def _training(self, name: str) -> Step:
        if name not in self.models:
            raise DistillationError([f"the model '{name}' is needed, and no metafile has it: correct Needs, or add it"])
        model, metafile = self.models[name]
        if self.gpus == 0:
            start = ('python', str(self.tools / 'train.py'), model['Config'])
        else:
            start = ('bash', str(self.tools / 'dist_train.sh'), model['Config'], str(self.gpus))
        scale = () if self.gpus == ALL_GPUS else ('--auto-scale-lr',)
        return Step(
            f'work_dirs/{name}/epoch_{model["Metadata"]["Epochs"]}.pth',
            (*start, '--resume', *scale),
            tuple(model.get('Needs', ())),
            model,
            metafile,
        )

    def _decomposition(self, file: str, share: str, name: str, detector: str) -> Step:
        """What decomposes a trained detector, to the ranks of the students of this share."""
        trained = self._training(name)
        ranks = f'configs/_base_/students/{detector}-tucker{share}.py'
        command = ('python', str(self.tools / 'tucker_decompose.py'), trained.model['Config'], trained.leaves)
        return Step(file, (*command, '--ranks', ranks, '--out', str(Path(file).parent)), (trained.leaves,))
