"""Hooks: exact resume, records of runs, whole checkpoints, classes of the training set, ramps of losses, checks."""

from .crop_set_check_hook import CropSetCheckHook
from .exact_resume_hook import ExactResumeHook
from .forget_scores_hook import ForgetScoresHook
from .loss_weight_ramp_hook import LossWeightRampHook
from .run_record_hook import RunRecordHook
from .start_weights_hook import StartWeightsHook
from .student_only_hook import StudentOnlyHook
from .training_classes_hook import TrainingClassesHook
from .validation_resume_hook import ValidationResumeHook
from .whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'CropSetCheckHook',
    'ExactResumeHook',
    'ForgetScoresHook',
    'LossWeightRampHook',
    'RunRecordHook',
    'StartWeightsHook',
    'StudentOnlyHook',
    'TrainingClassesHook',
    'ValidationResumeHook',
    'WholeCheckpointHook',
]
