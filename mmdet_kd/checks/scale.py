"""Whether a student that is trained on smaller pictures than its teacher sees is judged on such."""

from collections.abc import Iterator
from statistics import median
from typing import Any

from mmengine.runner import Runner

from .pictures import spread
from .verdict import Verdict

_PICTURES = 8  # of each split


def judge_scale(runner: Runner) -> Iterator[Verdict]:
    """Compare by how much the pipelines of the training and of the validation resize pictures.

    Nothing is said without ``student_scale``, without a validation, or where the pictures do not say it.

    Args:
        runner: of the training, its data sets built.
    """
    scale = runner.model.student_scale
    if scale is None or runner.val_loop is None:
        return
    loaded, judged = (_factor(loop.dataloader.dataset) for loop in (runner.train_loop, runner.val_loop))
    if loaded is None or judged is None:
        return
    found = f'trained at {scale:g} of {loaded:.3g} times the size of the files, judged at {judged:.3g} times'
    is_small = judged < loaded * scale**0.5  # nearer to the student's size than to the teacher's
    cure = (
        '' if is_small else f"write {scale:g} times the scale into the Resize of val_dataloader's pipeline, and test's"
    )
    yield Verdict('the size of the pictures', found, cure)


def _factor(dataset: Any) -> float | None:
    """The median by which pictures are resized; None where they do not all say it."""
    samples = [dataset[index]['data_samples'] for index in spread(range(len(dataset)), _PICTURES)]
    if not all('scale_factor' in sample for sample in samples):
        return None
    return median(float(max(sample.scale_factor)) for sample in samples)
