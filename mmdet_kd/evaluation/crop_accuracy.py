"""How often a classifier is right about what is in a box."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric


@METRICS.register_module()
class CropAccuracy(BaseMetric):
    """Share of the ground-truth boxes, in percent, whose class is among the k that the classifier holds most likely.

    It gives ``crops/top<k>`` for each k.

    Args:
        topk: the k; one that exceeds the number of classes is always right.
        collect_device: as in BaseMetric.
        prefix: as in BaseMetric.
    """

    default_prefix = 'crops'

    def __init__(self, topk: Sequence[int] = (1, 5), collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the rank of the truth of each box of a batch; 0 is the most likely class, by itself."""
        for sample in data_samples:
            logits, labels = sample['pred_instances']['logits'], sample['gt_instances']['labels']
            of_truth = logits.gather(1, labels[:, None].to(logits.device))
            others = ~(logits < of_truth)  # not a number counts against the truth, as does a tie
            self.results.append(others.sum(dim=1).cpu() - 1)

    def compute_metrics(self, results: list[torch.Tensor]) -> dict[str, float]:
        """Percent of all boxes."""
        ranks = torch.cat(results)
        return {f'top{k}': 100 * (ranks < k).float().mean().item() for k in self.topk}
