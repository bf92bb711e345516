"""Hooks: classes of the training set, exact resume, ramps of loss weights, checks of crop sets, plain students."""

from .crop_set_check_hook import CropSetCheckHook
from .exact_resume_hook import ExactResumeHook
from .loss_weight_ramp_hook import LossWeightRampHook
from .student_only_hook import StudentOnlyHook
from .training_classes_hook import TrainingClassesHook

__all__ = ['CropSetCheckHook', 'ExactResumeHook', 'LossWeightRampHook', 'StudentOnlyHook', 'TrainingClassesHook']
