"""Batch norms that exchange their statistics between ranks."""

from mmengine.device import get_device
from mmengine.dist import get_world_size
from torch import nn


def sync_norm_problems(detector: nn.Module) -> list[str]:
    """What forbids training the student on these ranks: torch exchanges the statistics of SyncBN between GPUs alone.

    RTMDet makes SyncBN of all its batch norms where there are several ranks.

    Args:
        detector: the student.
    """
    if get_world_size() == 1 or get_device() != 'cpu':
        return []
    if not any(isinstance(module, nn.SyncBatchNorm) for module in detector.modules()):
        return []
    return [
        'the student has SyncBN, which torch can run on one rank or on GPUs, and this is a training of several ranks '
        "without GPUs: write norm_cfg=dict(type='BN') for its parts (of an RTMDet use_syncbn=False as well), or train "
        'on one rank'
    ]
