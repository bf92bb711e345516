"""Asking a head what it would train its priors towards, if the true boxes were others."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.task_modules.samplers import PseudoSampler
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .base import Call


def targets_of_boxes(head: nn.Module, call: Call, boxes: Sequence[Tensor], **changed: Any) -> Call:
    """The call that a head's ``get_targets`` would have been with other boxes than the true ones.

    It is made on a copy of the head that shares everything but its sampler. So nothing that is recorded of the head is
    recorded twice, each prior that the assigner finds counts, and no random numbers are drawn.

    Args:
        head: that was recorded.
        call: of its ``get_targets``.
        boxes: of each picture (k, 4), xyxy, pixels; as true boxes of the first class.
        changed: arguments that are not those of the call.
    """
    again = copy.copy(head)
    again.sampler = PseudoSampler()
    instances = [InstanceData(bboxes=each, labels=each.new_zeros(len(each), dtype=torch.long)) for each in boxes]
    arguments = {**call.arguments, 'batch_gt_instances': instances, **changed}
    if 'batch_gt_instances_ignore' in arguments:
        arguments['batch_gt_instances_ignore'] = None
    return Call(arguments, type(head).get_targets(again, **arguments))
