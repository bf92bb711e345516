"""A runner around the least that it trains and validates, for tests of when and how it validates."""

from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader


class Point(BaseModel):
    """The least that a runner trains and validates."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, mode='tensor'):
        return {'loss': self.weight} if mode == 'loss' else [x]


def point_runner(folder: Path, metric: BaseMetric, name: str, train_cfg: dict, **more: Any) -> Runner:
    """A runner of one step an epoch.

    Args:
        folder: work dir.
        metric: of its validation.
        name: of the experiment; mmengine keeps what it knows of one by its name.
        train_cfg: of the runner.
        **more: further arguments of the runner.
    """
    return Runner(
        Point(),
        str(folder),
        train_dataloader=DataLoader([{'x': 0}]),
        val_dataloader=DataLoader([{'x': 0}]),
        train_cfg=train_cfg,
        val_cfg={},
        val_evaluator=Evaluator([metric]),
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        experiment_name=name,
        default_scope='mmdet',  # or what this process builds later would be looked up in mmengine's
        **more,
    )
