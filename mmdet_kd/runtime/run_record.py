"""What a run rests on, as plain values in its checkpoints.

A record has the settings of the config that change what is learnt, under the config's own names, and digests of the
files that these name. What changes only where and how conveniently a run goes is left out: see :data:`_CONVENIENCE` and
:data:`_WATCHING`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mmcv
import mmdet
import mmengine
import torch
from mmdet.datasets import XMLDataset
from mmdet.registry import DATASETS, HOOKS
from mmengine.config import Config

from ..version import __version__
from .data_files import annotation_file
from .digests import files_digest

FORMAT = 1
#: Under which `meta` of a checkpoint holds the record.
KEY = 'run_record'

#: Settings that move a run, or make it faster or safer, and leave what it learns as it is.
_CONVENIENCE = {
    'train_dataloader': ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'timeout'),
    'dataset': ('data_root', 'serialize_data', 'lazy_init', 'max_refetch'),
    'train_cfg': ('max_epochs', 'max_iters', 'val_interval', 'val_begin', 'dynamic_intervals'),
}
#: Hooks that watch a training and do not change it. A class outside says so itself: ``changes_training = False``.
_WATCHING = {
    *('IterTimerHook', 'LoggerHook', 'CheckpointHook', 'RuntimeInfoHook', 'EmptyCacheHook', 'EarlyStoppingHook'),
    *('ProfilerHook', 'NPUProfilerHook', 'DetVisualizationHook', 'NumClassCheckHook', 'CheckInvalidLossHook'),
    *('MemoryProfilerHook', 'TrainingClassesHook', 'CropSetCheckHook', 'ExactResumeHook'),
}


def record_run(cfg: Config, ranks: int, record_teacher: Callable[[dict], dict]) -> dict[str, Any]:
    """Describe what a run rests on.

    Args:
        cfg: of the run; its data files exist.
        ranks: number of processes that train together.
        record_teacher: config of a teacher -> what is kept of it.

    Returns:
        Of plain values: `format`; `settings`, by which runs are compared; `run`, what their comparison needs besides;
        and `versions`, for information.
    """
    content = cfg.to_dict()
    loader = content.get('train_dataloader') or {}
    batch_size = loader.get('batch_size')
    scaling, randomness = content.get('auto_scale_lr') or {}, content.get('randomness') or {}
    settings = {
        'model': _model(content.get('model') or {}, content.get('data_preprocessor'), record_teacher),
        'train_dataloader': _loader(loader),
        'pictures in an iteration': batch_size * ranks if isinstance(batch_size, int) else None,
        'optim_wrapper': content.get('optim_wrapper'),
        'auto_scale_lr.base_batch_size': scaling.get('base_batch_size') if scaling.get('enable') else None,
        'param_scheduler': _schedules(content.get('param_scheduler'), content.get('train_cfg') or {}),
        'train_cfg': _without(content.get('train_cfg') or {}, _CONVENIENCE['train_cfg']),
        'default_hooks': {
            name: hook for name, hook in (content.get('default_hooks') or {}).items() if hook and not watches(hook)
        },
        'custom_hooks': [hook for hook in content.get('custom_hooks') or [] if not watches(hook)],
        'randomness': {'seed': randomness.get('seed'), 'diff_rank_seed': bool(randomness.get('diff_rank_seed'))},
        'sync_bn': content.get('sync_bn'),
    }
    length = content.get('train_cfg') or {}
    return {
        'format': FORMAT,
        'settings': _plain(settings),
        'run': {
            'ranks': ranks,
            'max_epochs': length.get('max_epochs'),
            'max_iters': length.get('max_iters'),
        },
        'versions': {
            'torch': str(torch.__version__),
            **{module.__name__: str(module.__version__) for module in (mmcv, mmengine, mmdet)},
            'mmdet_kd': __version__,
        },
    }


def find_record(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record in a checkpoint; None if it has none that this version can read."""
    meta = checkpoint.get('meta')
    record = meta.get(KEY) if isinstance(meta, dict) else None
    if not isinstance(record, dict) or record.get('format') != FORMAT:
        return None
    is_whole = all(isinstance(record.get(key), dict) for key in ('settings', 'run', 'versions'))
    return record if is_whole and _is_plain(record) else None


# What is kept of each part of a config.


def _model(model: dict, preprocessor: Any, record_teacher: Callable[[dict], dict]) -> dict:
    """A model without that which its weights began with."""
    model = without_init(model)
    if preprocessor is not None:
        model.setdefault('data_preprocessor', preprocessor)  # as mmengine's Runner does
    for part in distilled_parts(model):
        if isinstance(part.get('teacher'), dict):
            part['teacher'] = record_teacher(part['teacher'])
        if isinstance(part.get('teachers'), dict):
            part['teachers'] = {name: record_teacher(cfg) for name, cfg in part['teachers'].items() if cfg is not None}
        if isinstance(part.get('distillers'), dict):
            part['distillers'] = {name: cfg for name, cfg in part['distillers'].items() if cfg is not None}
    return model


def without_init(model: Any) -> Any:
    """A config of a model without what says how its weights begin, at any depth: they are loaded over these."""
    if isinstance(model, dict):
        return {key: without_init(value) for key, value in model.items() if key not in ('init_cfg', 'pretrained')}
    return [without_init(each) for each in model] if isinstance(model, (list, tuple)) else model


def distilled_parts(model: Any) -> Iterator[dict]:
    """The configs of distilled detectors: a model itself, or what wraps hold."""
    if isinstance(model, dict):
        if 'distillers' in model and ('teacher' in model or 'teachers' in model):
            yield model
        for key in ('detector', 'module'):
            yield from distilled_parts(model.get(key))


def _loader(loader: dict) -> dict:
    kept = _without(loader, (*_CONVENIENCE['train_dataloader'], 'batch_size'))
    return {**kept, 'dataset': _dataset(loader.get('dataset'))}


def _dataset(dataset: Any) -> Any:
    """A data set, its annotations by their contents and its folders relative to its root."""
    if not isinstance(dataset, dict):
        return dataset
    kept = _without(dataset, _CONVENIENCE['dataset'])
    if 'pipeline' in kept:
        kept['pipeline'] = [_without(step, ('backend_args',)) for step in kept['pipeline'] or []]
    if 'dataset' in dataset or 'datasets' in dataset:
        kept |= {'dataset': _dataset(dataset['dataset'])} if 'dataset' in dataset else {}
        kept |= {'datasets': [_dataset(each) for each in dataset['datasets']]} if 'datasets' in dataset else {}
        return kept
    root, path = dataset.get('data_root'), annotation_file(dataset)
    if path is not None:
        kept['ann_file'] = files_digest([path, *xml_files(dataset, path)])
    if isinstance(dataset.get('data_prefix'), dict):
        kept['data_prefix'] = {key: _relative(value, root) for key, value in dataset['data_prefix'].items()}
    return kept


def xml_files(dataset: dict, names: Path) -> Iterator[Path]:
    """The annotations of a data set in VOC's format, each in a file of its own."""
    kind = dataset.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    if not (inspect.isclass(kind) and issubclass(kind, XMLDataset) and names.is_file()):
        return
    prefix = (dataset.get('data_prefix') or {}).get('sub_data_root', '')
    folder = Path(dataset.get('data_root') or '', prefix, dataset.get('ann_subdir', 'Annotations'))
    yield from (folder / f'{name}.xml' for name in names.read_text().splitlines())


def _relative(folder: Any, root: str | None) -> Any:
    """A folder as seen from the root of the data; of one elsewhere, its name."""
    if not isinstance(folder, str) or not folder or '://' in folder:
        return folder
    path = Path(folder)
    if not path.is_absolute():
        return str(path)
    return str(path.relative_to(root)) if root and path.is_relative_to(root) else path.name


def _schedules(schedules: Any, train_cfg: dict) -> Any:
    """Schedules with the `end` that mmengine gives those that have none: the end of the training."""
    if isinstance(schedules, dict) and 'type' not in schedules:  # of several optimizers
        return {name: _schedules(each, train_cfg) for name, each in schedules.items()}
    listed = schedules if isinstance(schedules, (list, tuple)) else [schedules] if schedules else []
    return [_with_end(each, train_cfg) if isinstance(each, dict) else each for each in listed]


def _with_end(schedule: dict, train_cfg: dict) -> dict:
    unit = 'max_epochs' if schedule.get('by_epoch', True) else 'max_iters'
    length = train_cfg.get(unit, f'of {train_cfg.get("max_epochs")} epochs')
    return {'end': length, **schedule}


def watches(hook: Any) -> bool:
    """Whether a hook leaves the training as it is; one that nobody knows may change it."""
    kind = hook.get('type') if isinstance(hook, dict) else type(hook)
    if isinstance(kind, str):
        name, found = kind.rpartition('.')[2], HOOKS.get(kind)
    else:
        name, found = getattr(kind, '__name__', ''), kind
    return name in _WATCHING or not getattr(found, 'changes_training', True)


def _without(part: Any, keys: tuple[str, ...]) -> Any:
    return {key: value for key, value in part.items() if key not in keys} if isinstance(part, dict) else part


def _plain(value: Any) -> Any:
    """The same in dicts, lists, strings and numbers; of a class or a function, its name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if key != '_scope_'}  # of the file it came from
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(each) for each in value), key=repr)
    if hasattr(value, 'tolist'):  # numpy and torch
        return _plain(value.tolist())
    if value is None or type(value) in (bool, int, float, str):
        return value
    return getattr(value, '__qualname__', None) or type(value).__qualname__


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)
