"""A model's config without the weights that it would load by itself."""

from collections.abc import Callable
from typing import Any

from mmengine.model import PretrainedInit

#: What an ``init_cfg`` that loads weights may call itself.
_PRETRAINED = ('Pretrained', 'PretrainedInit', PretrainedInit)


def drop_pretrained(cfg: Any) -> None:
    """Remove, in place and at any depth, what would load weights while a model is built or initialised."""
    if isinstance(cfg, dict):
        init_cfg = cfg.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg.get('type') in _PRETRAINED:
            cfg['init_cfg'] = None
        elif isinstance(init_cfg, (list, tuple)):
            cfg['init_cfg'] = [each for each in init_cfg if each.get('type') not in _PRETRAINED]
        cfg.pop('pretrained', None)
    _each_value(cfg, drop_pretrained)


def _each_value(cfg: Any, visit: Callable[[Any], None]) -> None:
    values = cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, (list, tuple)) else ()
    for value in values:
        visit(value)
