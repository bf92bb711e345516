"""What a training starts from."""

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..export import require_start


class StartWeightsHook(Hook):
    """Refuses the weights of another network in ``load_from``, and names some of those that do not fit.

    It is for a training that begins; one that is resumed has all its weights.
    """

    # Before the EMA hook, which copies what it finds.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare a checkpoint with the detector before it is loaded."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        require_start(model, checkpoint, runner.cfg.load_from)
