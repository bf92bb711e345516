"""What becomes of a trained student: its export, tested once."""

from io import StringIO

import pytest
import torch
from helpers.in_process import deliver_in_this_process
from helpers.tiny import REPO
from rich.console import Console

from mmdet_kd.comparison import export, exported_scores
from mmdet_kd.report import finished_trainings

TOOLS = REPO / 'tools'


@pytest.mark.slow
def test_an_exported_student_is_tested_again_only_if_it_is_another(compared, tmp_path, monkeypatch):
    deliver_in_this_process(monkeypatch)
    (training,) = finished_trainings([compared / 'out' / 'fast'])
    log = tmp_path / 'exported' / 'test.log'

    def exported():
        return export(training, log.parent, TOOLS)

    def tested(files):
        """Its scores, and whether a test has said them."""
        before, said = log.read_text() if log.exists() else '', StringIO()
        scores = exported_scores(training, files, TOOLS, Console(file=said))
        ran = log.read_text() != before
        assert ran == said.getvalue().startswith('test: ')
        return scores, ran

    scores, ran = tested(exported())
    assert ran
    assert scores == pytest.approx(training.reached()['scores'], abs=0.02)  # the same pictures; the log has 4 digits
    assert tested(exported()) == (scores, False)

    config, weights = exported()
    content = torch.load(weights, weights_only=True)
    content['state_dict']['roi_head.bbox_head.fc_cls.bias'] += 1e-3
    torch.save(content, weights)
    assert tested((config, weights))[1]
    assert not tested((config, weights))[1]
    config.write_text(config.read_text() + "\nmodel['test_cfg']['rcnn']['max_per_img'] = 3\n")
    assert tested((config, weights))[1]
