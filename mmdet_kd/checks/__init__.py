"""A look at a distillation before it is trained: the pair, its teachers, its losses, and what is trained."""

from .check import check_training, describe_training, take_training_steps
from .gradients import Steps
from .pair import describe_pair
from .start import begin_training, quiet_config
from .verdict import Verdict

__all__ = [
    'Steps',
    'Verdict',
    'begin_training',
    'check_training',
    'describe_pair',
    'describe_training',
    'quiet_config',
    'take_training_steps',
]
