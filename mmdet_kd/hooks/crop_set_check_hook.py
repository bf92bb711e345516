"""Warns of classes that a training has no example of."""

from collections import Counter

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..runtime.data_files import leaf_datasets


@HOOKS.register_module()
class CropSetCheckHook(Hook):
    """Before a training, names the classes of the training set that have no box in it."""

    def before_train(self, runner: Runner) -> None:
        """Count the boxes of each class; the pictures are not read."""
        dataset = runner.train_dataloader.dataset
        classes = dataset.metainfo['classes']
        counts = Counter(
            label for leaf in leaf_datasets(dataset) for index in range(len(leaf)) for label in leaf.get_cat_ids(index)
        )
        empty = [name for label, name in enumerate(classes) if not counts[label]]
        if empty:
            runner.logger.warning(
                f'the training set has no box of {", ".join(empty)}: the classifier will know nothing of it'
            )
