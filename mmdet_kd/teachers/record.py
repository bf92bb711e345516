"""What the record of a run keeps of a teacher, without building it."""

from pathlib import Path
from typing import Any

from ..runtime import weights_digest
from ..runtime.digests import archive_digest
from ..runtime.run_record import without_init
from .checkpoint import file_at_hand, read_weights
from .config import load_teacher_config


def record_teacher(cfg: dict) -> dict[str, Any]:
    """Describe a teacher, wherever its files lie.

    Args:
        cfg: `dict(config=..., checkpoint=..., ...)`.

    Returns:
        The same keys; `config` is what its model is built of; `checkpoint` has the name of the `file`, the digest of
        its `archive`, for which no weight is read, and the `digest` of the weights, None until these are loaded.

    Raises:
        DistillationError: there is no such config, or it holds no detector.
    """
    if not isinstance(cfg.get('config'), (str, Path, dict)):
        return dict(cfg)  # what it lacks is said where it is built
    config = load_teacher_config(cfg['config'])
    source = cfg.get('checkpoint')
    path = None if source is None else file_at_hand(source)
    return {
        **cfg,
        'config': {'default_scope': config.get('default_scope'), 'model': without_init(config.model.to_dict())},
        'checkpoint': {
            'file': None if source is None else Path(str(source)).name,
            'archive': None if path is None else archive_digest(path),
            'digest': None,
        },
    }


def read_digest(source: str | Path) -> str:
    """The digest of a teacher's weights, for which all of them are read.

    Raises:
        DistillationError: they cannot be read.
    """
    return weights_digest(read_weights(source).state_dict)
