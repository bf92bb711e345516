"""Finding the configs of the repository, and taking a training step with one of them on a small CPU."""

from __future__ import annotations

import copy
import functools
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from helpers.narrow import few_samples, fill_memory
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmdet_kd.class_names import classes_of_config
from mmdet_kd.knowledge.probe import on_meta
from mmdet_kd.teachers import load_teacher_config

REPO = Path(__file__).resolve().parents[2]
CONFIGS = REPO / 'configs'
FRAGMENTS = CONFIGS / '_base_'
IMAGE_SIZE = 96

Item = TypeVar('Item')


@functools.cache
def config_files() -> list[Path]:
    """Every config and every fragment, its path relative to `configs/`."""
    return sorted(path.relative_to(CONFIGS) for path in CONFIGS.rglob('*.py'))


@functools.cache
def whole_configs() -> list[Path]:
    """Every config that one can train, its path relative to `configs/`."""
    return [path for path in config_files() if '_base_' not in path.parts]


def check_each(items: Iterable[Item], check: Callable[[Item], None]) -> None:
    """Check all items, and fail once, with every item that does not pass and its reason."""
    items = list(items)
    assert items
    failed = []
    for item in items:
        try:
            check(item)
        except Exception as error:
            failed.append(f'{item}: {type(error).__name__}: {error}')
    assert not failed, f'{len(failed)} of {len(items)}:\n' + '\n'.join(failed)


def fragments(kind: str) -> list[str]:
    """The names of the fragments of a kind: students, teachers, ..."""
    return sorted(path.stem for path in (FRAGMENTS / kind).glob('*.py'))


@functools.cache
def _read(path: Path) -> Config:
    return Config.fromfile(CONFIGS / path)


def read(path: str | Path) -> Config:
    """Read a config, once; for tests that do not change it."""
    return _read(Path(path))


def load(path: str | Path) -> Config:
    """Read a config, once, and hand out a copy, which may be changed."""
    return copy.deepcopy(read(path))


def base_lines(path: str | Path) -> list[str]:
    """The `_base_` lines of a config, as they are written."""
    listed = re.search(r'^_base_ = (\[.*?\]|\'.*?\')', (CONFIGS / path).read_text(), re.DOTALL | re.MULTILINE)
    return re.findall(r"'(.+?)'", listed.group(1)) if listed else []


#: The folders of fragments; what a config is based on besides is made of such by itself.
KINDS = ('students', 'teachers', 'distillers', 'datasets', 'schedules', '_base_')


def base_fragments(path: str | Path) -> dict[str, list[str]]:
    """The names of the fragments of each kind that a config is made of, in the order of its lines.

    Those of a pair, or of another whole config, that it is based on stand in the place of that line. A whole config of
    mmdet is of the kind 'mmdet'.
    """
    found: dict[str, list[str]] = {}
    for line in base_lines(path):
        if line.startswith('mmdet::'):  # a whole config
            found.setdefault('mmdet', []).append(Path(line).stem)
            continue
        base = (CONFIGS / path).parent.joinpath(line).resolve()
        kind = base.parent.name
        inner = {kind: [base.stem]} if kind in KINDS else base_fragments(base.relative_to(CONFIGS))
        for key, names in inner.items():
            found.setdefault(key, []).extend(names)
    return found


def teacher_configs(cfg: Config) -> list[dict]:
    """What a config says of its teachers: of none, of one, or of several; None leaves out an inherited one."""
    teachers = [cfg.model.get('teacher'), *cfg.model.get('teachers', {}).values()]
    return [teacher for teacher in teachers if teacher is not None]


def shrink(cfg: Config) -> Config:
    """Untrained weights, few proposals and samples, narrow networks: what a small CPU without a network asks for.

    Layers and operators are those of the config, but for repeated blocks. Changes `cfg` in place and returns it.
    """
    _strip(cfg.model)
    few_samples(cfg.model)
    _narrow(cfg.model)
    if cfg.model.get('detector') == 'TridentFasterRCNN':  # whose box head is the last stage of a ResNet, three times
        cfg.model.train_cfg.rcnn.sampler.num = 8
    for teacher in teacher_configs(cfg):
        teacher.checkpoint = None
        if teacher.get('type', 'DetectorTeacher') == 'DetectorTeacher':
            teacher.config = copy.deepcopy(_narrow_teacher(teacher.config))
    return cfg


@functools.cache
def _narrow_teacher(config: str) -> dict:
    """A config with the narrow model of a teacher, and the classes that it knows."""
    cfg = load_teacher_config(config)
    _narrow(cfg.model)
    metainfo = dict(classes=classes_of_config(cfg))
    return dict(model=cfg.model.to_dict(), train_dataloader=dict(dataset=dict(metainfo=metainfo)))


def _narrow(model: dict) -> None:
    """A quarter of the channels and at most 50 layers, the same on both sides, where a pyramid follows the backbone."""
    backbone, neck = model['backbone'], model.get('neck')
    if 'encoder' in model:
        for part in ('encoder', 'decoder'):
            model[part]['num_layers'] = 2
        model['num_queries'] = min(model['num_queries'], 100)  # of a two-stage one, not more than there are places
    if backbone['type'] not in ('ResNet', 'ResNeXt', 'SwinTransformer', 'MobileNetV2') or neck is None:
        return
    if 'depth' in backbone:
        backbone.update(depth=min(backbone['depth'], 50), base_channels=backbone.get('base_channels', 64) // 4)
        if 'stem_channels' in backbone:
            backbone['stem_channels'] //= 4
    if 'groups' in backbone:
        backbone.update(groups=4, base_width=8)
    if 'embed_dims' in backbone:
        backbone.update(embed_dims=backbone['embed_dims'] // 4, depths=(2, 2, 2, 2))
    if backbone['type'] != 'MobileNetV2':
        neck['in_channels'] = [channels // 4 for channels in neck['in_channels']]
    if 'encoder' in model:  # which is as wide as the neck, and has its width in many places
        return
    for key in model.keys() & {'neck', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head'}:
        _narrow_part(model[key])


def _narrow_part(cfg: Any) -> None:
    for key, value in cfg.items() if isinstance(cfg, dict) else ():
        if key.endswith('channels') and value in (256, 1024):  # of a map, of a vector
            cfg[key] = value // 4
        _narrow_part(value)
    for value in cfg if isinstance(cfg, (list, tuple)) else ():
        _narrow_part(value)


def _strip(cfg: Any) -> None:
    if isinstance(cfg, dict):
        if isinstance(cfg.get('init_cfg'), dict) and cfg['init_cfg'].get('type') == 'Pretrained':
            cfg['init_cfg'] = None
        if cfg.get('type') == 'GIDDistiller':
            cfg['min_size'] = 0.0  # boxes of untrained heads may be smaller than instances should be
    for value in cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, (list, tuple)) else ():
        _strip(value)


def build(cfg: Config) -> nn.Module:
    """The detector of a config, as the Runner would leave it before the first step, always with the same weights."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    names = classes_of_config(cfg)
    if names and hasattr(model, 'set_classes'):
        model.set_classes(names)
    model.init_weights()
    return fill_memory(model).train()


def build_shape(cfg: Config) -> None:
    """Build the pair without memory for its weights; adapters, levels, anchors and classes are checked on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        on_meta(lambda: MODELS.build(cfg.model))


class Step(NamedTuple):
    """What one training step did."""

    losses: dict[str, Tensor]  # as loss() returned them
    total: Tensor
    taught: set[str]  # trainable parameters of the student that the distillation losses alone reach
    unreached: set[str]  # trainable parameters without a gradient: with several ranks, DDP would stop at them
    moved: set[str]  # parameters that the optimizer changed


def train_step(model: nn.Module, cfg: Config) -> Step:
    """Take a step on two images, with the optimizer of the config."""
    # some heads and preprocessors ask how far the training is
    MessageHub.get_current_instance().update_info_dict({'epoch': 0, 'max_epochs': 12, 'iter': 0, 'max_iters': 100})
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    MessageHub.get_current_instance().update_info('iter', 0)  # as a training does; YOLOX asks for it
    data = model.data_preprocessor(_batch(model), True)
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)

    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    taught = _reached(
        [loss for name, loss in losses.items() if name.partition('.')[0] in getattr(model, 'distillers', ())],
        {name: p for name, p in trainable.items() if not name.startswith('distillers.')},
    )
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optim_wrapper.backward(total)
    unreached = {name for name, p in trainable.items() if p.grad is None}
    optim_wrapper.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    return Step(losses, total.detach(), taught, unreached, moved)


def _reached(losses: list[Tensor], parameters: dict[str, nn.Parameter]) -> set[str]:
    """The names of the parameters on which the sum of the losses depends."""
    if not losses:
        return set()
    gradients = torch.autograd.grad(sum(losses), parameters.values(), retain_graph=True, allow_unused=True)
    return {name for name, grad in zip(parameters, gradients, strict=True) if grad is not None and grad.any()}


def _batch(model: nn.Module) -> dict[str, Any]:
    roi_head = getattr(model, 'roi_head', None)
    head = getattr(roi_head or model, 'bbox_head', model)  # a classifier of crops is its own head
    head = head or model.mask_head  # SOLO has no boxes
    head = head[0] if isinstance(head, nn.ModuleList) else head
    size = getattr(getattr(head, 'prior_generator', None), 'input_size', IMAGE_SIZE)  # SSD sees one size alone
    return demo_mm_inputs(
        batch_size=2,
        image_shapes=[(3, size, size), (3, size, size - 32)],
        num_items=[2, 3],
        num_classes=head.num_classes,
        with_mask=getattr(roi_head or model, 'with_mask', False),
    )


def expected_parts(distiller: dict) -> set[str]:
    """The parts of the loss that a distiller's config asks for; empty where this test does not know the type."""
    kind = distiller['type']
    if kind == 'FeatureDistiller':
        return {'feat'}
    if kind == 'ClassifierClsDistiller':
        return {'cls'}
    if kind == 'ClassifierLocDistiller':
        return {'loc'}
    if kind == 'GIDDistiller':
        return {part for part in ('feat', 'rel', 'cls', 'bbox') if distiller.get(f'{part}_weight', 0) is not None}
    if kind == 'MaskDistiller':
        return {'mask'}
    if kind in ('RPNDistiller', 'RoIDistiller'):
        return {part for part in ('cls', 'bbox') if distiller.get(f'loss_{part}')}
    return set()
