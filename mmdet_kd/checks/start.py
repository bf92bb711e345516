"""A runner where a training begins, which says nothing and leaves nothing behind."""

import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner

from ..hooks import LossWeightRampHook, StartWeightsHook, TrainingClassesHook
from ..runtime import check_data_files, check_pretrained, cli, require_annotations
from ..teachers import find_teacher_files


def quiet_config(cfg: Config, folder: Path) -> Config:
    """A config whose run writes to a folder of its own alone, says nothing but errors, and draws the same each time.

    Args:
        cfg: of a training; it is not changed.
        folder: for what the run writes.
    """
    warnings.simplefilter('ignore')
    cfg = Config(cfg.to_dict(), filename=cfg.filename, format_python_code=False)  # which takes longer than a step
    cfg.work_dir, cfg.log_level, cfg.resume = str(folder), 'ERROR', False
    cfg.visualizer, cfg.experiment_name = None, folder.name  # mmengine keeps one visualizer and one log of a name
    cfg.randomness = dict(seed=0) | {
        key: value for key, value in cfg.get('randomness', {}).items() if value is not None
    }
    return cfg


def begin_training(cfg: Config) -> Runner:
    """Bring a runner where a training begins: data checked, classes said, weights and teachers loaded.

    Args:
        cfg: of the training, as :func:`quiet_config` makes it; its teachers' files get whole paths.

    Raises:
        DistillationError: as tools/train.py raises it for this config.
    """
    find_teacher_files(cfg)
    check_data_files(cfg, ['train', 'val'])
    check_pretrained(cfg.get('model', {}))
    if cfg.get('load_from'):
        cli.check_checkpoint(cfg.load_from)
    runner = cli.build_runner(cfg)
    with redirect_stdout(StringIO()):  # pycocotools reports to it
        require_annotations(runner)
    TrainingClassesHook().before_run(runner)
    runner.model.init_weights()
    runner.register_hook(StartWeightsHook())
    runner.load_or_resume()
    RuntimeInfoHook().before_train(runner)  # the place in the training, for which some heads and augmentations ask
    return runner


def set_ramps(runner: Runner, share: float = 0.5) -> None:
    """Give the numbers that hooks move a value on their way.

    Args:
        runner: of the training.
        share: of the way, in [0, 1]. The default is halfway: at an end of its ramp a distiller may teach nothing.
    """
    for hook in runner.hooks:
        if isinstance(hook, LossWeightRampHook):
            hook.before_train(runner)
            hook.set_to(hook.start + share * (hook.stop - hook.start))
