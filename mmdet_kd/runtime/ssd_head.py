"""Let mmdet's SSD predict.

In mmdet 3.3.0 every dense head is asked for its ``loss_cls`` when it predicts, and ``SSDHead`` has none: its training
stops at the first validation (https://github.com/open-mmlab/mmdetection/issues/11780).
"""

from mmdet.models.dense_heads import SSDHead
from mmdet.version import __version__ as mmdet_version


def mend_ssd_head() -> None:
    """Give ``SSDHead`` the attribute that it lacks, in the release that is known to ask for it."""
    if mmdet_version == '3.3.0':
        SSDHead.loss_cls = None
