"""The whole configs of YOLOX and RTMDet on the tiny set: narrow, small pictures, four epochs, two with mosaics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdet_kd.teachers import load_teacher_config

from .distil import AS_ALONE, save_teacher
from .tiny import CLASSES, REPO

#: Student -> the whole config of it.
RECIPES = {name: REPO / f'configs/cwd/cwd-normed_{name}-tiny-from-s_300e_coco.py' for name in ('yolox', 'rtmdet')}
EPOCHS, SWITCH = 4, 2
#: Pixels in those configs -> here.
_SIZES = {640: 64, 1280: 128, 416: 64, -320: -32}
#: Channels of three levels of a backbone, by its widen_factor.
_CHANNELS = {0.125: [32, 64, 128], 0.25: [64, 128, 256]}


def recipe(name: str, folder: Path, data_root: Path, **distiller: Any) -> Config:
    """A whole config, and its teacher's weights in the folder.

    Args:
        name: of `RECIPES`.
        folder: for the weights and, in `run`, the training.
        data_root: what `write_tiny_coco` wrote.
        **distiller: further keys of its distiller.
    """
    cfg = Config.fromfile(RECIPES[name])
    teacher = load_teacher_config(cfg.model.teacher.config)
    _narrow(teacher.model, 0.25)
    _narrow(cfg.model, 0.125)
    teacher.model.bbox_head.num_classes = cfg.model.num_classes = len(CLASSES)
    if not (folder / 'teacher.pth').exists():
        save_teacher(teacher, folder / 'teacher.pth', dataset_meta={'classes': CLASSES})
    cfg.model.teacher.update(
        config=dict(model=teacher.model.to_dict()), checkpoint=str(folder / 'teacher.pth'), **AS_ALONE
    )
    stop = dict(num_last_epochs=EPOCHS - SWITCH - 1) if name == 'yolox' else dict(stop_epoch=SWITCH)
    cfg.model.distillers.cwd.update({**stop, **distiller})
    for hook in cfg.custom_hooks:
        if hook.type == 'YOLOXModeSwitchHook':
            hook.update(stop)
        elif hook.type == 'PipelineSwitchHook':
            hook.switch_epoch = SWITCH
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
        data = loader.dataset.get('dataset', loader.dataset)
        split = 'train' if loader is cfg.train_dataloader else 'val'
        data.update(data_root=f'{data_root}/', ann_file=f'{split}.json', data_prefix=dict(img=f'{split}/'))
        data.update(metainfo=dict(classes=CLASSES))
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(data_root / 'val.json')
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=EPOCHS, val_interval=EPOCHS)
    cfg.param_scheduler = []
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
    cfg.default_hooks.logger.interval = 1
    cfg.work_dir, cfg.randomness = str(folder / 'run'), dict(seed=0)
    return Config(_small(cfg.to_dict()), format_python_code=False)


def _narrow(model: dict, widen_factor: float) -> None:
    channels = _CHANNELS[widen_factor]
    model['backbone'].update(widen_factor=widen_factor, deepen_factor=0.167, init_cfg=None)
    model['neck'].update(in_channels=channels, out_channels=channels[0])
    model['bbox_head'].update(in_channels=channels[0], feat_channels=channels[0])
    for augment in model['data_preprocessor'].get('batch_augments') or ():
        augment.update(random_size_range=(64, 128), interval=3)


def _small(cfg: Any) -> Any:
    """A config with smaller pictures."""
    if isinstance(cfg, dict):
        return {key: _small(value) for key, value in cfg.items()}
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(_small(value) for value in cfg)
    return _SIZES.get(cfg, cfg) if isinstance(cfg, int) and not isinstance(cfg, bool) else cfg
