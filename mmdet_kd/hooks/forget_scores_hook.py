"""A validation is logged with its own scores."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

_SCORES = 'val/'


class ForgetScoresHook(Hook):
    """Before each validation, forgets what the one before has said.

    mmengine logs the newest number that it has of each score. A metric that says nothing, as mmdet's CocoMetric where
    the detector finds nothing, would be logged with the scores of the validation before.
    """

    changes_training = False

    def before_val_epoch(self, runner: Runner) -> None:
        """Forget them."""
        for known in (runner.message_hub.log_scalars, runner.message_hub.runtime_info):
            for name in [name for name in known if name.startswith(_SCORES)]:
                del known[name]
