"""Knowledge distillation for MMDetection 3.x, by configuration.

Importing this package registers everything in it with mmdet's registries; in a config,
``custom_imports = dict(imports=['mmdet_kd'])`` does so.
"""

from .requirements import check_requirements

check_requirements()

from . import (
    adapters,
    backbones,
    classifiers,
    compression,
    detectors,
    distillers,
    evaluation,
    hooks,
    losses,
    roi_heads,
    teachers,
)
from .runtime import (
    mend_ssd_head,
    register_plain_yaml,
    register_reader,
    register_remote_loaders,
    register_safe_globals,
)
from .version import __version__

register_safe_globals()
register_reader()
register_remote_loaders()
register_plain_yaml()
mend_ssd_head()

__all__ = [
    '__version__',
    'adapters',
    'backbones',
    'classifiers',
    'compression',
    'detectors',
    'distillers',
    'evaluation',
    'hooks',
    'losses',
    'roi_heads',
    'teachers',
]
