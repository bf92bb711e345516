"""What must be installed before anything here works."""

import torch
from mmengine.utils import digit_version


def check_requirements() -> None:
    """Import what this package stands on.

    Raises:
        ImportError: mmdet or mmcv's compiled operators are missing or do not fit together, or torch is too old; the
            message names the cure.
    """
    try:
        import mmcv.ops  # noqa: F401
        import mmdet  # noqa: F401
    except (ImportError, AssertionError) as error:
        raise ImportError(
            f'mmdet_kd needs a working mmdet 3.x, and this one does not import: {error}\n'
            "If it is mmcv's compiled operators (mmcv._ext) that are missing, install mmcv again where torch, "
            'setuptools<81, wheel and ninja already are:\n'
            '  MMCV_WITH_OPS=1 pip install --no-cache-dir --no-build-isolation --no-binary mmcv "mmcv==2.1.0"'
        ) from error
    if digit_version(torch.__version__) < digit_version('2.6.0'):
        raise ImportError(
            'mmdet_kd needs torch 2.6 or later, which opens checkpoints of mmengine as data, not as code; this is '
            f'{torch.__version__}'
        )
