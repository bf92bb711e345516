"""Tells a detector that is distilled which classes it trains on, and for how many epochs."""

from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner

from ..detectors import KnowledgeDistillationMixin
from ..errors import raise_if_any
from ..runtime.data_classes import annotation_class_problems, dataset_class_problems
from ..runtime.data_files import leaf_datasets


@HOOKS.register_module()
class TrainingClassesHook(Hook):
    """Tells a distilled detector the classes of the training set and the number of epochs, before its teachers are
    loaded.

    A detector is not told its classes by mmengine, and has to compare them with those of its teachers in
    ``init_weights()``, which the Runner calls after this hook. There it also looks whether its distillers can stop when
    they are to.

    Raises:
        DistillationError: when a training starts: the data sets that are built do not list the same classes in the same
            order.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Compare the classes of the data sets, and hand those of the training set over. Nothing in a test."""
        loops = built_loops(runner)
        if 'train' not in loops:
            return
        datasets = {split: loop.dataloader.dataset for split, loop in loops.items()}
        leaves = {split: list(leaf_datasets(each)) for split, each in datasets.items()}
        raise_if_any(dataset_class_problems(leaves))
        # tools/train.py has asked this already; mmdet's own tools, and scripts, have not.
        may_be_absent = runner.cfg.get('allow_absent_classes', False)
        raise_if_any(
            list(dict.fromkeys(annotation_class_problems(leaves['train'], leaves.get('val', []), may_be_absent)))
        )
        names = getattr(datasets['train'], 'metainfo', {}).get('classes')
        loop = loops['train']
        for module in runner.model.modules():
            if isinstance(module, KnowledgeDistillationMixin):
                if names:
                    module.set_classes(names)
                module.set_epochs(None if isinstance(loop, IterBasedTrainLoop) else loop.max_epochs)


def built_loops(runner: Runner) -> dict[str, BaseLoop]:
    """The loops of a runner that are built: `train`, `val`, `test` -> loop.

    The Runner's public properties build a loop that is not. This is the one place that names its private attributes.
    """
    loops: dict[str, Any] = {'train': runner._train_loop, 'val': runner._val_loop, 'test': runner._test_loop}
    return {split: loop for split, loop in loops.items() if isinstance(loop, BaseLoop)}
