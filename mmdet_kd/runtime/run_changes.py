"""What a run rests on has changed since a checkpoint was saved: in words, and whether the change can be made."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

#: Schedules that look at their `end` only to stop there.
_STOP_AT_END = ('MultiStep', 'Step', 'Exponential')
#: What can be given to an optimizer that has a state already.
_ADJUSTABLE = ('lr', 'weight_decay', 'momentum', 'dampening', 'nesterov', 'betas', 'eps', 'alpha')
_ABSENT = object()


class Change(NamedTuple):
    """One difference between two runs: in words, and why it cannot be accepted, if so."""

    said: str
    why_not: str | None = None


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What has changed from one record to the other.

    Args:
        old: from a checkpoint.
        new: of the run that is to go on from it.

    Returns:
        Differences of the settings. A seed that the new run leaves open is none, since it takes the old one. Nor is a
        later `end` of a schedule that only stops there, if the run goes on longer. A number of last epochs, such as a
        distiller's `num_last_epochs`, is one.
    """
    before, after = dict(old['settings']), dict(new['settings'])
    before['param_scheduler'], after['param_scheduler'] = _to_shared_end(old, new)
    seed = _at(before, 'randomness', 'seed')
    if _at(after, 'randomness', 'seed') is None and seed is not None:
        after['randomness'] = {**after['randomness'], 'seed': seed}
    found = [Change(said, _why_not(path, old, new)) for path, said in differences('', before, after)]
    lengths = [record['run'].get('max_epochs') for record in (old, new)]
    if lengths[0] != lengths[1]:
        words = 'epochs of {} -> {}'.format(*map(_short, lengths))
        found += [Change(f'{path}={last} {words}') for path, last in _counted_from_the_end('', after)]
    return found


def _counted_from_the_end(path: str, settings: Any) -> Iterator[tuple[str, Any]]:
    """(path, value) of each number of last epochs in the settings."""
    if isinstance(settings, (dict, list)):
        items = settings.items() if isinstance(settings, dict) else enumerate(settings)
        for key, value in items:
            inner = f'{path}.{key}' if path else str(key)
            if key == 'num_last_epochs' and value is not None:
                yield inner, value
            else:
                yield from _counted_from_the_end(inner, value)


def schedules_differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether anything is different that the optimizer and its schedules are made of, to the letter."""
    keys = ('optim_wrapper', 'param_scheduler', 'auto_scale_lr.base_batch_size', 'pictures in an iteration')
    return any(old['settings'].get(key) != new['settings'].get(key) for key in keys)


def is_same_file(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool | None:
    """Whether two descriptions are of the same contents; None if their digests do not tell."""
    if (old.get('file') is None) != (new.get('file') is None):  # an untrained teacher has none
        return False
    if isinstance(old.get('digest'), str) and isinstance(new.get('digest'), str):
        return old['digest'] == new['digest']
    if isinstance(old.get('archive'), str) and old.get('archive') == new.get('archive'):
        return True
    return None


def _to_shared_end(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Any, Any]:
    """The schedules of both runs; those that only stop at their `end` up to where the shorter run ends."""
    both = old['settings'].get('param_scheduler'), new['settings'].get('param_scheduler')
    if not all(isinstance(schedules, list) for schedules in both):
        return both

    def cut(schedule: Any) -> Any:
        unit = 'max_epochs' if isinstance(schedule, dict) and schedule.get('by_epoch', True) else 'max_iters'
        lengths = [record['run'].get(unit) for record in (old, new)]
        if not isinstance(schedule, dict) or not str(schedule.get('type')).startswith(_STOP_AT_END):
            return schedule
        if not all(isinstance(length, int) for length in (*lengths, schedule.get('end'))):
            return schedule
        return {**schedule, 'end': min(schedule['end'], *lengths)}

    return [cut(each) for each in both[0]], [cut(each) for each in both[1]]


def differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """(path, in words) of each difference between two plain values.

    Args:
        path: of both values; the paths of what is in them begin with it.
        old: of the one side.
        new: of the other side.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        if 'digest' in old and 'digest' in new:
            if is_same_file(old, new) is False:
                yield path, _of_files(path, old, new)
            return
        for key in dict.fromkeys([*new, *old]):
            inner = f'{path}.{key}' if path else key
            yield from differences(inner, old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _are_parts(new):
        for index, (first, second) in enumerate(zip(old, new, strict=True)):
            yield from differences(f'{path}.{index}', first, second)
    elif old != new:
        yield path, f'{_printable(path)} {_short(old)} -> {_short(new)}'


def _are_parts(value: list) -> bool:
    return any(isinstance(each, dict) for each in value)


def _of_files(path: str, old: dict, new: dict) -> str:
    name = _printable(str(new.get('file')))
    if None in (old.get('file'), new.get('file')):
        return f'{_printable(path)} {_short(old.get("file"))} -> {_short(new.get("file"))}'
    if path.endswith('.checkpoint'):
        renamed = '' if old.get('file') == new.get('file') else f' than {_printable(str(old.get("file")))} had'
        return f'the teacher checkpoint {name} has other weights{renamed} ({_printable(path)})'
    return f'{name} has other contents ({_printable(path)}; {_short(old.get("bytes"))} -> {new.get("bytes")} bytes)'


def _short(value: Any) -> str:
    """A plain value in a few words."""
    if value is _ABSENT:
        return '(not there)'
    if isinstance(value, dict) and isinstance(value.get('type'), str):
        return _printable(value['type'])
    if isinstance(value, list) and _are_parts(value):
        return f'[{", ".join(_short(each) for each in value[:12])}{", ..." if len(value) > 12 else ""}]'
    return _printable(repr(value))


def _printable(text: str) -> str:
    """Text of a file as it may reach a terminal: short, and without control characters."""
    text = text if len(text) <= 200 else f'{text[:200]}...'
    return text if text.isprintable() else ascii(text)


def _why_not(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """Why a change cannot be made in a run that has begun, if so."""
    kinds = [_types(record['settings'].get('param_scheduler')) for record in (old, new)]
    is_optimizer = path.startswith(('optim_wrapper', 'param_scheduler', 'auto_scale_lr'))
    several = not isinstance(_at(new['settings'], 'optim_wrapper', 'optimizer'), dict)
    _, _, option = path.partition('optim_wrapper.optimizer.')
    if option and option.split('.')[0] not in _ADJUSTABLE:
        return 'the saved state is of another optimizer'
    if is_optimizer and several:
        return 'the settings of several optimizers are taken from the checkpoint'
    if is_optimizer and any('ReduceOnPlateau' in kind for each in kinds for kind in each):
        return 'a ReduceOnPlateau schedule depends on validations that are past'
    if path.startswith('train_cfg'):
        return 'the saved position is of another training loop'
    if path.startswith('randomness'):
        return 'a resumed run takes the seed of its checkpoint'
    if 'hooks' in path and _has_average(old) and not _has_average(new):
        return 'the weights in the checkpoint are averages, which only an EMAHook goes on from'
    return None


def _types(schedules: Any) -> list[str]:
    listed = schedules if isinstance(schedules, list) else []
    return [str(each.get('type')) for each in listed if isinstance(each, dict)]


def _has_average(record: Mapping[str, Any]) -> bool:
    custom, default = (record['settings'].get(key) for key in ('custom_hooks', 'default_hooks'))
    hooks = [*(custom if isinstance(custom, list) else []), *(default.values() if isinstance(default, dict) else [])]
    return any('EMAHook' in kind for kind in _types(hooks))


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
