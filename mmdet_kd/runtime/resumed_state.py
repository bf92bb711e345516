"""The state that a resumed run takes from its checkpoint: whether it fits, and how the config changes it."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor

_LISTED = 5
#: Of the settings of an optimizer, those by which the best known are told apart.
_TELLING = {'momentum', 'betas', 'alpha', 'rho', 'lambd'}
#: States that have the shape of their parameter.
_LIKE_PARAMETER = ('momentum_buffer', 'exp_avg', 'exp_avg_sq', 'square_avg')


def weight_problems(model: Mapping[str, Tensor], checkpoint: Mapping[str, Any]) -> list[str]:
    """Why the weights of a checkpoint are not those of a model.

    Args:
        model: its `state_dict()`.
        checkpoint: weights on the meta device serve.
    """
    problems = []
    for part in ('state_dict', 'ema_state_dict'):
        if part not in checkpoint and part == 'ema_state_dict':
            continue
        held = dict(_tensors(checkpoint.get(part)))
        if part == 'ema_state_dict':  # beside the averages it has numbers of its own
            held = {key: value for key, value in held.items() if key.startswith('module.')}
        shapes = {key.removeprefix('module.'): tuple(value.shape) for key, value in held.items()}
        lacking = [key for key in model if key not in shapes]
        surplus = [key for key in shapes if key not in model]
        unlike = [
            f'{key} {shapes[key]}, in the model {tuple(value.shape)}'
            for key, value in model.items()
            if key in shapes and shapes[key] != tuple(value.shape)
        ]
        for kind, names in (('lacks', lacking), ('has, and the model has not', surplus), ('has otherwise', unlike)):
            if names:
                problems.append(f'its {part} {kind}: {_listed(names)}')
    return problems


def optimizer_problems(runner: Runner, checkpoint: Mapping[str, Any], states: Any = None) -> list[str]:
    """Why the optimizer and the schedules of a runner cannot go on from a checkpoint.

    Args:
        runner: its optimizer is built.
        checkpoint: as loaded.
        states: number of parameters that had a state when it was saved, if that is known.
    """
    problems = []
    wrapper, saved = runner.optim_wrapper, checkpoint.get('optimizer')
    if isinstance(wrapper, OptimWrapper):
        problems += _group_problems(wrapper, saved if isinstance(saved, dict) else {}, states)
    elif not isinstance(saved, dict) or set(saved) != {name for name, _ in wrapper.items()}:
        problems.append('its optimizer is not of the optimizers of the config')
    built, kept = runner.param_schedulers, checkpoint.get('param_schedulers')
    if built is not None and kept is not None and (type(built) is not type(kept) or len(built) != len(kept)):
        problems.append(f'it has the state of {len(kept)} schedules, and the config has {len(built)}')
    return problems


def _group_problems(wrapper: OptimWrapper, saved: dict, states: Any) -> list[str]:
    own, groups, state = wrapper.optimizer.param_groups, saved.get('param_groups'), saved.get('state')
    is_sound = isinstance(groups, list) and all(
        isinstance(g, dict) and isinstance(g.get('params'), list) for g in groups
    )
    if not is_sound or not isinstance(state, dict) or not all(isinstance(each, dict) for each in state.values()):
        return ['its optimizer has no groups of parameters with their states']
    sizes, kept = [len(group['params']) for group in own], [len(group['params']) for group in groups]
    if sizes != kept:
        return [
            f'its optimizer has {sum(kept)} parameters in {len(kept)} groups, and that of the config has {sum(sizes)} '
            f'in {len(sizes)}'
        ]
    if any((set(group) ^ set(other)) & _TELLING for group, other in zip(own, groups, strict=True)):
        return [f'its optimizer is of another kind than {type(wrapper.optimizer).__name__}']
    ids = [number for group in groups for number in group['params']]
    parameters = dict(zip(ids, (p for group in own for p in group['params']), strict=True))
    unlike = sum(
        number not in parameters
        or any(each.shape != parameters[number].shape for key, each in _tensors(value) if key in _LIKE_PARAMETER)
        for number, value in state.items()
    )
    if unlike:
        return [f'{unlike} states of its optimizer are not those of the parameters of the config']
    if isinstance(states, int) and len(state) != states:
        return [f'its optimizer has the states of {len(state)} parameters, and {states} were saved']
    return []


def follow_config(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Have the optimizer that is loaded next keep its state and take its settings from the config.

    Call it between the reading of the checkpoint and the loading of the optimizer. The schedules stay as they were
    built, at their beginning; :func:`replay` brings them to their place.
    """
    saved = checkpoint['optimizer']
    saved['param_groups'] = [
        {**own, 'params': group['params']}
        for own, group in zip(runner.optim_wrapper.optimizer.param_groups, saved['param_groups'], strict=True)
    ]
    saved.pop('base_param_settings', None)
    checkpoint['param_schedulers'] = []


def replay(schedules: list[_ParamScheduler], epochs: int, iterations: int, rest: int = 0) -> None:
    """Step schedules from their beginning to a place in the training, as mmengine's hook would have stepped them.

    Args:
        schedules: freshly built.
        epochs: that are past.
        iterations: of an epoch.
        rest: iterations after these epochs.

    Source: ``ParamSchedulerHook`` of mmengine.
    """
    by_iteration = [schedule for schedule in schedules if not schedule.by_epoch]
    by_epoch = [schedule for schedule in schedules if schedule.by_epoch]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # torch's advice to step the optimizer first
        for epoch in range(epochs + 1):
            for _ in range(iterations if epoch < epochs else rest):
                for schedule in by_iteration:
                    schedule.step()
            for schedule in by_epoch if epoch < epochs else ():
                schedule.step()


def replay_to_position(runner: Runner, old_epoch_length: Any = None) -> None:
    """:func:`replay` the schedules of a runner up to where it has resumed.

    Args:
        runner: its loop has its position.
        old_epoch_length: iterations of an epoch when the checkpoint was saved, if that is known.
    """
    loop, schedules = runner.train_loop, runner.param_schedulers
    if not schedules:
        return
    if not isinstance(loop, EpochBasedTrainLoop):
        replay(schedules, 0, 0, min(loop.iter, loop.max_iters))
    elif loop.epoch < loop.max_epochs:
        length = len(loop.dataloader)
        old = old_epoch_length if isinstance(old_epoch_length, int) else length
        replay(schedules, loop.epoch, length, min(max(loop.iter - loop.epoch * old, 0), length))


def _tensors(part: Any) -> Iterator[tuple[str, Tensor]]:
    for key, value in part.items() if isinstance(part, Mapping) else ():
        if isinstance(key, str) and isinstance(value, Tensor):
            yield key, value


def _listed(names: list[str]) -> str:
    shown = ', '.join(name[:200] if name.isprintable() else ascii(name[:200]) for name in names[:_LISTED])
    return shown + (f' and {len(names) - _LISTED} more' if len(names) > _LISTED else '')
