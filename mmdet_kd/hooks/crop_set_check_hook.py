"""What the data of a classifier of crops must be like."""

from collections import Counter
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..errors import raise_if_any
from ..runtime.data_files import leaf_datasets


@HOOKS.register_module()
class CropSetCheckHook(Hook):
    """Refuses boxes that are not where the pictures show them, and names the classes that have no box to learn from."""

    def before_train(self, runner: Runner) -> None:
        """Count the boxes of each class; the pictures are not read."""
        dataset = runner.train_dataloader.dataset
        judged = [] if runner.val_loop is None else _order_problems(runner.val_dataloader.dataset, 'val')
        raise_if_any(_order_problems(dataset, 'train') + judged)
        classes = dataset.metainfo['classes']
        counts = Counter(
            instance['bbox_label']
            for leaf in leaf_datasets(dataset)
            for index in range(len(leaf))
            for instance in leaf.get_data_info(index)['instances']
            if not instance.get('ignore_flag')
        )
        empty = [name for label, name in enumerate(classes) if not counts[label]]
        if empty:
            runner.logger.warning(
                f'the training set has no box of {", ".join(empty)}: the classifier will know nothing of it'
            )

    def before_test(self, runner: Runner) -> None:
        """See :func:`_order_problems`."""
        raise_if_any(_order_problems(runner.test_dataloader.dataset, 'test'))


def _order_problems(dataset: Any, split: str) -> list[str]:
    """The steps before LoadAnnotations that move what a picture shows, and not the boxes, which are not there yet.

    The pipelines of mmdet's tests have Resize there, since a detector is judged in the pixels of the file. A classifier
    is judged at the boxes that its pipeline gives.
    """
    problems = []
    for leaf in leaf_datasets(dataset):
        names = [type(step).__name__ for step in getattr(getattr(leaf, 'pipeline', None), 'transforms', ())]
        before = names[: names.index('LoadAnnotations')] if 'LoadAnnotations' in names else []
        moved = [name for name in before if not name.startswith('Load')]
        if moved:
            problems.append(
                f'the pipeline of {split}_dataloader has {", ".join(moved)} before LoadAnnotations, so the boxes whose '
                'content is classified are not where the picture shows them: put LoadAnnotations behind '
                'LoadImageFromFile'
            )
    return list(dict.fromkeys(problems))
