"""The students that docs/detectors.md shows train as they stand there, and their hints fall."""

import re
from pathlib import Path

import pytest
import torch
from helpers.distil import build, losses_of, total
from helpers.narrow import batch_for, fill_memory
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmdet_kd.runtime import drop_pretrained

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = re.findall(r'```python\n(_base_.*?)```', (REPO / 'docs' / 'detectors.md').read_text(), flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize('example', EXAMPLES, ids=lambda text: re.search(r'mmdet::(\w+)', text)[1])
def test_an_example_of_the_documents_trains(example, tmp_path):
    assert len(EXAMPLES) == 4
    (tmp_path / 'distilled.py').write_text(example)
    cfg = Config.fromfile(tmp_path / 'distilled.py')
    cfg.model.teacher.checkpoint = None
    drop_pretrained(cfg.model)
    MessageHub.get_current_instance().update_info_dict({'epoch': 0, 'max_epochs': 12, 'iter': 0, 'max_iters': 100})
    detector = fill_memory(build(cfg))
    plain = cfg.model.get('detector', '')
    batch = batch_for({**cfg.model, 'type': plain}, size=128)
    optimizer = torch.optim.Adam(detector.distillers.parameters(), lr=1e-4)
    hints = []
    for _ in range(2):
        losses = losses_of(detector, batch)
        total(losses).backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in detector.backbone.parameters())
        optimizer.step()
        hints.append(float(losses['hint.loss_feat']))
    assert hints[1] < hints[0]
