"""A look at a distillation before it is trained: its teachers, its losses, and what is trained."""

from .check import check_training
from .verdict import Verdict

__all__ = ['Verdict', 'check_training']
