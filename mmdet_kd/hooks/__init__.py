"""Hooks: exact resume, ramps of loss weights, plain students from distillation checkpoints."""

from .exact_resume_hook import ExactResumeHook
from .loss_weight_ramp_hook import LossWeightRampHook
from .student_only_hook import StudentOnlyHook

__all__ = ['ExactResumeHook', 'LossWeightRampHook', 'StudentOnlyHook']
