#!/usr/bin/env python
"""Train a detector, with or without a teacher."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmengine.config import Config  # noqa: E402
from mmengine.device import get_device  # noqa: E402
from mmengine.hooks import CheckpointHook, Hook  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from mmdet_kd.errors import DistillationError  # noqa: E402
from mmdet_kd.hooks import (  # noqa: E402
    ExactResumeHook,
    ForgetScoresHook,
    RunRecordHook,
    StartWeightsHook,
    TrainingClassesHook,
    ValidationResumeHook,
    WholeCheckpointHook,
)
from mmdet_kd.runtime import (  # noqa: E402
    check_data_files,
    check_pretrained,
    cli,
    latest_checkpoint,
    owned_work_dir,
    require_annotations,
)
from mmdet_kd.teachers import find_teacher_files  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Options under mmdet's names."""
    # mim reads this help: an option for a number of GPUs must not appear in it, or mim passes one.
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs a GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate from the config's base_batch_size to the batch size at hand",
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue exactly from this checkpoint; without a path, from the latest in the work dir, if there is one',
    )
    parser.add_argument(
        '--resume-changed',
        action='store_true',
        help='with --resume: go on though something that the run rests on has changed, and apply what is asked now',
    )
    cli.add_run_options(parser)
    args = parser.parse_args()
    if args.resume_changed and args.resume is None:
        parser.error('--resume-changed needs --resume')
    return args


def main() -> None:
    """Check what can be checked, build the runner, train."""
    args = parse_args()
    with cli.command_line():
        cfg = cli.load_config(args)
        find_teacher_files(cfg)
        if args.amp:
            use_amp(cfg)
        if args.auto_scale_lr:
            scale_lr(cfg)
        if args.resume is not None:
            resume(cfg, args.resume)
        elif cfg.get('resume') and not cfg.get('load_from'):  # mmengine would take the note at its word
            resume(cfg, 'auto')
        checkpoint = (
            cli.check_checkpoint(cfg.load_from, resume=bool(cfg.get('resume'))) if cfg.get('load_from') else None
        )
        check_data_files(cfg, ['train', 'val'])
        check_pretrained(cfg.get('model', {}))
        record = RunRecordHook(cfg, cli.number_of_ranks(args.launcher), accept_changes=args.resume_changed)
        resumed = checkpoint if cfg.get('resume') else None
        if resumed is not None:
            record.compare(resumed, cfg.load_from)
        log_validations(cfg)
        hooks = [TrainingClassesHook, ForgetScoresHook, ValidationResumeHook]
        hooks += [ExactResumeHook] if want_exact_resume(cfg) else []
        with owned_work_dir(cfg.work_dir, args.launcher):
            runner = cli.build_runner(cfg)
            if resumed is not None:
                record.check_weights(runner.model, resumed, cfg.load_from)
            elif not cfg.get('resume'):
                runner.register_hook(StartWeightsHook())
            runner.register_hook(record)
            add_hooks(runner, hooks)
            save_whole(runner)
            require_annotations(runner)
            runner.train()


def use_amp(cfg: Config) -> None:
    """Train in mixed precision."""
    if get_device() == 'cpu':
        raise DistillationError(['--amp needs a GPU, and torch finds none. Leave it out'])
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def scale_lr(cfg: Config) -> None:
    """Turn on mmengine's scaling of the learning rate."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise DistillationError(
            ['--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: the batch size of its lr']
        )
    counts = cfg.optim_wrapper.get('accumulative_counts') or 1
    if counts > 1:
        raise DistillationError(
            [
                f'--auto-scale-lr does not count that gradients of {counts} batches are accumulated: leave it out, and '
                'set lr for batches that are so many times larger'
            ]
        )
    cfg.auto_scale_lr.enable = True


def log_validations(cfg: Config) -> None:
    """Have the validations of a training by iterations logged by their step; mmengine says epoch 0 for each."""
    if not (cfg.get('train_cfg') or {}).get('max_iters'):
        return
    cfg.default_hooks = cfg.get('default_hooks') or {}
    logger = cfg.default_hooks.get('logger', {'type': 'LoggerHook'})
    if isinstance(logger, dict) and logger.get('type') == 'LoggerHook':
        cfg.default_hooks.logger = {'log_metric_by_epoch': False, **logger}


def resume(cfg: Config, source: str) -> None:
    """Resume from a checkpoint, or from the latest in the work dir.

    With none there, resume from the one that the config says, or start from the beginning.
    """
    if source == 'auto':
        latest = latest_checkpoint(cfg.work_dir)
        if latest is not None:
            cfg.resume, cfg.load_from = True, str(latest)
        else:
            cfg.resume = bool(cfg.get('resume') and cfg.get('load_from'))
    else:
        cfg.resume, cfg.load_from = True, source


def want_exact_resume(cfg: Config) -> bool:
    """Whether to add the hook; `default_hooks=dict(exact_resume=None)` says no, in a way that mmengine refuses."""
    hooks = cfg.get('default_hooks') or {}
    if 'exact_resume' in hooks and hooks['exact_resume'] is None:
        del hooks['exact_resume']
        return False
    return True


def add_hooks(runner: Runner, hooks: list[type[Hook]]) -> None:
    """Add those hooks that the config does not have.

    They are added to the runner and not to the config, so that a plain config, as dumped to the work dir, stays one.
    """
    for hook in hooks:
        if not any(isinstance(each, hook) for each in runner.hooks):
            runner.register_hook(hook())


def save_whole(runner: Runner) -> None:
    """Have mmengine's hooks that save checkpoints save whole ones; a hook of another class is its author's own."""
    for index, hook in enumerate(runner.hooks):
        if type(hook) is CheckpointHook:
            runner.hooks[index] = WholeCheckpointHook.like(hook)


if __name__ == '__main__':
    main()
