"""The loaders and the judges of a student, with your own set in the place of theirs."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config

from ..errors import DistillationError, raise_if_any
from ..runtime.data_files import metrics_of
from .own_set import FOLDER, OwnSet
from .text import Code

_LOADERS = ('train_dataloader', 'val_dataloader')
_MIX = 'MultiImageMixDataset'


class Loading(NamedTuple):
    """What a config says of its data.

    Args:
        keys: of the config, in order.
        notes: what was done to the student's own, a sentence each.
    """

    keys: dict[str, Any]
    notes: list[str]


def own_loading(cfg: Config, own: OwnSet) -> Loading:
    """Loaders as the student's own, with its pipelines, on another set, judged by COCO's AP.

    Small boxes and pictures without an object count, and each picture is seen once an epoch.

    Args:
        cfg: of the student, whole.
        own: the set. The written keys use `data_root` and `metainfo` beside them.

    Raises:
        DistillationError: a loader is missing, or the student reads what the set does not have.
    """
    raise_if_any([f'STUDENT: it has no {key}: add one' for key in _LOADERS if not isinstance(cfg.get(key), dict)])
    cfg = Config(cfg.to_dict(), format_python_code=False)
    raise_if_any(_reading_problems(cfg, own))
    removed, mix, train = _unwrapped(cfg.train_dataloader['dataset'])
    _, _, val = _unwrapped(cfg.val_dataloader['dataset'])
    _, _, test = _unwrapped(cfg.get('test_dataloader', cfg.val_dataloader)['dataset'])
    dataset = _dataset(cfg, own.splits.train, train, filter_cfg=dict(filter_empty_gt=False))
    if mix is not None:
        mixing = {key: value for key, value in mix.items() if key not in ('type', 'dataset', 'pipeline')}
        dataset = dict(type=_MIX, dataset=dataset, **mixing, pipeline=_pipeline(cfg, mix))
    keys = dict(
        train_dataloader=_replaced(cfg, 'train_dataloader', _with_dataset(cfg.train_dataloader, dataset)),
        val_dataloader=_replaced(cfg, 'val_dataloader', _judged(cfg, cfg.val_dataloader, own.splits.val, val)),
    )
    judged = _judged_by(cfg, own)
    evaluator = _evaluator(judged, own.splits.val)
    keys['val_evaluator'] = _replaced(cfg, 'val_evaluator', evaluator)
    if own.splits.test == own.splits.val:
        keys |= dict(test_dataloader=Code('val_dataloader'), test_evaluator=Code('val_evaluator'))
    else:
        loader = cfg.get('test_dataloader', cfg.val_dataloader)
        keys['test_dataloader'] = _replaced(cfg, 'test_dataloader', _judged(cfg, loader, own.splits.test, test))
        keys['test_evaluator'] = _replaced(cfg, 'test_evaluator', _evaluator(judged, own.splits.test))
    notes = [f"the student's {' and '.join(removed)} left out: each picture is seen once an epoch"] if removed else []
    hooks, said = _best(cfg, judged)
    return Loading(_without_scope(keys | hooks, cfg.get('default_scope')), notes + said)


def _without_scope(value: Any, scope: str | None) -> Any:
    """A value without the notes of mmengine that a part is of the scope that the whole config is of."""
    if isinstance(value, Mapping):
        return {key: _without_scope(item, scope) for key, item in value.items() if (key, item) != ('_scope_', scope)}
    return [_without_scope(item, scope) for item in value] if isinstance(value, list) else value


def _unwrapped(dataset: Mapping[str, Any]) -> tuple[list[str], Mapping[str, Any] | None, Mapping[str, Any]]:
    """The wrappers that repeat or join, the one that mixes pictures, and the innermost data set."""
    removed, mix = [], None
    while 'dataset' in dataset or 'datasets' in dataset:
        if dataset['type'] == _MIX:
            mix = dataset
        else:
            removed.append(dataset['type'])
        dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
    if 'pipeline' not in dataset:
        raise DistillationError([f'STUDENT: its {dataset.get("type")} has no pipeline in the config: write it there'])
    return removed, mix, dataset


def _dataset(cfg: Config, split: str, like: Mapping[str, Any], **keys: Any) -> dict[str, Any]:
    return dict(
        type='CocoDataset',
        data_root=Code('data_root'),
        metainfo=Code('metainfo'),
        ann_file=f'{FOLDER}/{split}.json',
        data_prefix=dict(img=''),
        **keys,
        pipeline=_pipeline(cfg, like),
    )


def _judged(cfg: Config, loader: Mapping[str, Any], split: str, like: Mapping[str, Any]) -> dict[str, Any]:
    return _with_dataset(loader, _dataset(cfg, split, like, test_mode=True))


def _with_dataset(loader: Mapping[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in loader.items() if key != 'dataset'}, 'dataset': dataset}


def _judged_by(cfg: Config, own: OwnSet) -> list[str]:
    """What COCO's metric is to judge, the main one first: of a student without boxes, such as SOLO, masks alone."""
    metrics = _metrics(cfg)
    if metrics == ['segm'] and own.has_masks:
        return metrics
    has_masks = 'mask_head' in (cfg.model.get('roi_head') or {}) or 'segm' in metrics
    return ['bbox', 'segm'] if has_masks and own.has_masks else ['bbox']


def _evaluator(judged: list[str], split: str) -> dict[str, Any]:
    return dict(
        type='CocoMetric',
        ann_file=Code(f"data_root + '{FOLDER}/{split}.json'"),
        metric=judged if len(judged) > 1 else judged[0],
        classwise=True,  # for the report
    )


def _metrics(cfg: Config) -> list[str]:
    metrics = [metric.get('metric') or [] for metric in metrics_of(cfg.get('val_evaluator'))]
    return [name for metric in metrics for name in ([metric] if isinstance(metric, str) else metric)]


def _pipeline(cfg: Config, dataset: Mapping[str, Any]) -> Any:
    """A pipeline by the name that the student's config has for it, else as it stands."""
    names = [key for key, value in cfg.items() if key.endswith('pipeline') and value == dataset['pipeline']]
    return Code(f'_base_.{names[0]}') if names else dataset['pipeline']


def _replaced(cfg: Config, key: str, value: dict[str, Any]) -> dict[str, Any]:
    """A value that takes the place of the base's, if there is one; mmengine would keep `_delete_` otherwise."""
    return dict(_delete_=True, **value) if key in cfg else value


def _reading_problems(cfg: Config, own: OwnSet) -> list[str]:
    reading = [step for step in steps_in(cfg.train_dataloader) if step.get('type') == 'LoadAnnotations']
    problems = []
    if any(step.get('with_mask') for step in reading) and not own.has_masks:
        problems.append(
            'STUDENT: it learns masks, and objects of the set have none: take a student that learns boxes alone '
            '(Faster R-CNN instead of Mask R-CNN), or annotate the masks'
        )
    if any(step.get('with_seg') for step in reading):
        problems.append(
            'STUDENT: it learns a map of semantic classes (with_seg), which the set does not have: take a student '
            'that does not'
        )
    return problems


def steps_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every dict in a value of a config, itself too."""
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from steps_in(item)


def _best(cfg: Config, judged: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What keeps or watches the best of a metric that is no more."""
    main, *others = (f'coco/{metric}_mAP' for metric in judged)
    known = ('auto', 'loss', main, *others)
    keys: dict[str, Any] = {}
    best = ((cfg.get('default_hooks') or {}).get('checkpoint') or {}).get('save_best')
    if best is not None and best not in known:
        keys = dict(default_hooks=dict(checkpoint=dict(save_best=main)))
    parts = [cfg.get('custom_hooks') or [], cfg.get('param_scheduler') or []]
    watched = {step['monitor'] for part in parts for step in steps_in(part) if 'monitor' in step} - set(known)
    notes = [f"what watches '{name}' in the student must watch '{main}' now: change it" for name in sorted(watched)]
    return keys, notes
