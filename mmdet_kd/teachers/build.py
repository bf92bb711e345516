"""Building a teacher's model as mmengine's Runner would build it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor, nn

from ..errors import DistillationError
from ..export import drop_pretrained
from .preprocessing import preprocess_images

#: Of a config that names no ``default_scope``: mmdet's names are meant, which the Runner's own default does not know.
_SCOPE = 'mmdet'


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config in the config's own scope; the scope of the student stays as it is.

    Nothing is downloaded: the weights of the teacher replace what ``init_cfg`` would fetch.

    Args:
        cfg: as :func:`~mmdet_kd.teachers.load_teacher_config` returns it.

    Raises:
        DistillationError: the ``default_scope`` of the config is not installed.

    Source: ``Runner.__init__`` and ``Runner.build_model`` of mmengine.
    """
    model = copy.deepcopy(cfg.model)
    drop_pretrained(model)
    model.pop('teacher_ckpt', None)  # mmdet's LAD and LD load a teacher of their own for their training
    return MODELS.build(_in_scope(model, cfg))


def check_preprocessor(cfg: Config) -> None:
    """Refuse a teacher that has not said how it sees a picture; a picture of zeros is tried.

    Raises:
        DistillationError: the model has no ``data_preprocessor``, or that makes no batch of pictures.
    """
    given = cfg.model.get('data_preprocessor')
    if given is None:
        raise DistillationError(
            [
                f'the teacher config {name_of(cfg)} has no data_preprocessor, so nothing says how the pictures of its '
                "training were normalised: write it into its model, e.g. data_preprocessor=dict(type='DetDataPreproces"
                "sor', mean=..., std=..., bgr_to_rgb=True, pad_size_divisor=32) with the numbers of its training"
            ]
        )
    with refuse_what_cannot_be_built(cfg), torch.device('cpu'):  # also while the student is built on the meta device
        preprocessor = MODELS.build(_in_scope(copy.deepcopy(given), cfg))
        batch = preprocess_images(preprocessor, [torch.zeros(3, 32, 32, dtype=torch.uint8)])
    if not isinstance(batch, Tensor) or batch.dim() != 4 or not batch.is_floating_point():
        raise DistillationError(
            [
                f'the data_preprocessor of the teacher config {name_of(cfg)}, a {type(preprocessor).__name__}, does '
                'not make a batch (N, 3, H, W) of pictures: give it a DetDataPreprocessor with the mean and std of its '
                'training'
            ]
        )


@contextmanager
def refuse_what_cannot_be_built(cfg: Config) -> Iterator[None]:
    """Turn whatever a constructor raises into one error that names the config.

    Raises:
        DistillationError: something of ``cfg`` cannot be built.
    """
    try:
        yield
    except DistillationError:
        raise
    except Exception as error:  # a config may name any class, whose constructor may fail in any way
        raise DistillationError(
            [
                f'the teacher of the config {name_of(cfg)} cannot be built ({type(error).__name__}: {error}). Mend the '
                'config, or install what it needs; a class outside mmdet needs custom_imports, and the default_scope '
                'of its package'
            ]
        ) from error


def name_of(cfg: Config) -> str:
    """What an error calls a teacher's config."""
    return repr(cfg.filename) if cfg.filename else 'given as a dict'


def _in_scope(part: dict, cfg: Config) -> dict:
    """``part`` of a config, marked with the scope in which its names are meant; see mmengine's ``build_from_cfg``."""
    scope = part.get('_scope_') or cfg.get('default_scope') or _SCOPE
    with MODELS.switch_scope_and_registry(scope) as registry:
        if registry.scope != scope:  # mmengine takes another one instead and logs that
            raise DistillationError(
                [
                    f'the teacher config {name_of(cfg)} is of the scope {scope!r}, which is not there: install the '
                    f'package {scope}, or import it with custom_imports=dict(imports=[...]) in that config'
                ]
            )
    return {**part, '_scope_': scope}
