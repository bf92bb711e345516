"""What becomes of a trained student: its export, and the test of what was exported, each in a process of its own."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from ..errors import DistillationError
from ..runtime.checkpoints import find_weights, read_checkpoint
from ..runtime.digests import files_digest, weights_digest
from ..runtime.results import found_once, table_scores
from .progress import read_scores
from .recipe import annotations_of, preferred_score
from .stages import Lock, run
from .training import Training


def export(training: Training, folder: Path, tools: Path, lock: Lock | None = None) -> tuple[Path, Path]:
    """Export the student of a finished training.

    Args:
        training: of a distillation, or of a plain detector.
        folder: for `student.py` and `student.pth`; made if missing.
        tools: see :meth:`Training.command`.
        lock: of the folder of the comparison.

    Returns:
        The plain config and its weights.

    Raises:
        DistillationError: it failed.
    """
    command = [sys.executable, tools / 'export_student.py', training.recipe.config, training.checkpoint]
    run(f'the export of {training}', [*command, '--out', folder], folder / 'export.log', lock)
    return folder / 'student.py', folder / 'student.pth'


def exported_scores(
    training: Training, exported: tuple[Path, Path], tools: Path, console: Console, lock: Lock | None = None
) -> dict[str, float]:
    """Test an exported student: with MMDetection alone where mim is installed, as whoever deploys it would.

    What was found lies in `test.json` beside it. The same student is not tested again.

    Args:
        training: whose student it is.
        exported: its plain config and its weights; the logs of the test come beside them.
        tools: see :meth:`Training.command`.
        console: to print the command to.
        lock: of the folder of the comparison.

    Returns:
        Its scores as the table has them, the main one first.

    Raises:
        DistillationError: it failed, or says no score.
    """
    config, weights = map(str, exported)
    if find_spec('mim'):
        command = [sys.executable, '-m', 'mim', 'test', 'mmdet', config, '--checkpoint', weights]
        said = f'mim test mmdet {config} --checkpoint {weights}'
    else:
        command = [sys.executable, str(tools / 'test.py'), config, weights]
        said = ' '.join(command[1:])

    def test() -> dict[str, float]:
        console.print(f'test: {said}', markup=False)
        return _tested(training, command, exported[0].parent, lock)

    return found_once(exported[0].parent / 'test.json', _digest(training, exported), test)


def _digest(training: Training, exported: tuple[Path, Path]) -> str:
    """Of what the scores of an exported student depend on: its config, its weights, and the annotations."""
    config, weights = exported
    files = files_digest([config, *annotations_of(training.recipe.read(), ['test'])])
    return f'{files["digest"]} {weights_digest(find_weights(read_checkpoint(weights), weights))}'


def _tested(training: Training, command: Sequence[str], folder: Path, lock: Lock | None) -> dict[str, float]:
    log = folder / 'test.log'
    said = run(f'the test of {training}', [*command, '--work-dir', str(folder / 'test')], log, lock)
    scores = next((found for line in reversed(said.splitlines()) if (found := read_scores(line))), None)
    if scores is None:
        raise DistillationError(
            [
                f'the test of {training} says no score, as where the detector finds nothing; see {log}. Train longer, '
                "or lower score_thr in the model's test_cfg"
            ]
        )
    return table_scores(scores, preferred_score(training.recipe.read()))
