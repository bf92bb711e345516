"""A distillation checkpoint in a plain student."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..export.checkpoint import student_state_dict


class StudentOnlyHook(Hook):
    """Drops the distillers' weights from a loaded checkpoint, for a model that has no distillers.

    Without it the plain student loads just as well, but a long list of unexpected keys frightens the reader.
    """

    # Before the EMA hook, which copies what it finds.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the student's keys only."""
        if 'state_dict' in checkpoint:
            checkpoint['state_dict'] = student_state_dict(checkpoint['state_dict'])
