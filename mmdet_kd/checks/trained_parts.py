"""What the optimizer of a distillation trains."""

from collections.abc import Iterable

from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from ..unknown_names import some
from .verdict import Verdict

#: Kind of knowledge -> the part of the student whose output a distiller compares.
_PARTS = {
    'backbone': 'backbone',
    'neck': 'neck',
    'memory': 'encoder',
    'rpn': 'rpn_head',
    'roi': 'roi_head',
    'dense': 'bbox_head',
}


def judge_training(model: nn.Module, optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[Verdict]:
    """A verdict on the parameters of the distillers, all of which are to be trained, and one on the student's parts.

    Of the student something of each part is to be trained whose output a distiller compares, and of the neck, through
    which heads are taught. A backbone, or a head, that nobody compares may be frozen.

    Args:
        model: a distilled detector.
        optim_wrapper: of the training, as the config builds it.
    """
    trained = _trained(optim_wrapper)
    verdicts = []
    own = dict(model.distillers.named_parameters())
    left = [name for name, parameter in own.items() if id(parameter) not in trained]
    if own:
        verdicts.append(
            Verdict(
                'adapters',
                f'{len(own) - len(left)} of {len(own)} parameters of the distillers are trained',
                f'nobody trains {some(left)} of model.distillers: let the optimizer have them, with a learning rate '
                '(optim_wrapper.constructor and .paramwise_cfg)'
                if left
                else '',
            )
        )
    shares = {name: _share(part.parameters(), trained) for name, part in model.named_children() if name != 'distillers'}
    frozen = [name for name in _compared_parts(model) if shares.get(name) == 0]
    cure = (
        f'nothing of its {" and ".join(frozen)} is trained, which would learn from the teacher: give it a learning '
        'rate (optim_wrapper.paramwise_cfg), and requires_grad'
    )
    said = ', '.join(f'{name} {100 * share:.0f} %' for name, share in shares.items() if share is not None)
    return [*verdicts, Verdict('student', f'trained of it: {said}', cure if frozen else '')]


def _trained(optim_wrapper: OptimWrapper | OptimWrapperDict) -> set[int]:
    """Ids of the parameters that have a learning rate."""
    groups = optim_wrapper.param_groups
    if isinstance(optim_wrapper, OptimWrapperDict):
        groups = [group for each in groups.values() for group in each]
    return {
        id(parameter)
        for group in groups
        if group.get('initial_lr', group['lr']) > 0
        for parameter in group['params']
        if parameter.requires_grad
    }


def _compared_parts(model: nn.Module) -> list[str]:
    kinds = {kind.partition('.')[0] for distiller in model.distillers.values() for kind in distiller.kinds}
    through_neck = {'neck'} if kinds - {'backbone'} else set()
    return [part for kind, part in _PARTS.items() if kind in kinds | through_neck]


def _share(parameters: Iterable[nn.Parameter], trained: set[int]) -> float | None:
    """Share of the numbers that are trained, in [0, 1]; None of a part without parameters."""
    parameters = list(parameters)
    total = sum(each.numel() for each in parameters)
    return sum(each.numel() for each in parameters if id(each) in trained) / total if total else None
