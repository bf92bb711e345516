"""Hooks: checks of crop sets, exact resume, ramps of loss weights, plain students from distillation checkpoints."""

from .crop_set_check_hook import CropSetCheckHook
from .exact_resume_hook import ExactResumeHook
from .loss_weight_ramp_hook import LossWeightRampHook
from .student_only_hook import StudentOnlyHook

__all__ = ['CropSetCheckHook', 'ExactResumeHook', 'LossWeightRampHook', 'StudentOnlyHook']
