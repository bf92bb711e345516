"""Whether a student is judged on pictures that it is not trained on."""

from collections.abc import Iterator

from mmengine.runner import Runner

from ..runtime.split_files import seen_in_training, split_files
from .verdict import Verdict


def judge_validation(runner: Runner) -> Iterator[Verdict]:
    """Compare the pictures of the training with those of the validation.

    Nothing is said where they have none in common, or where that cannot be told, as without files in COCO's format.

    Args:
        runner: of the training.
    """
    pictures = {path for file in split_files(runner.cfg, 'val') for path in file.pictures}
    both = seen_in_training(runner.cfg, pictures)
    if both:
        yield Verdict(
            'the validation set',
            f'{len(both)} of its {len(pictures)} pictures are in the training set too, such as {min(both)}',
            'validate on pictures that are not trained on, or the scores are too high',
        )
