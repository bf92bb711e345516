"""What an annotation leaves open is not trained as background by the networks of Chen et al."""

import pytest
import torch
from config_sweep import load
from mmdet.registry import TASK_UTILS
from mmengine.structures import InstanceData


@pytest.mark.parametrize('net', ['alexnet', 'vgg-m', 'vgg16', 'alexnet-tucker37.5'])
@pytest.mark.parametrize('stage', ['rpn', 'rcnn'])
def test_a_box_in_a_dont_care_region_is_neither_object_nor_background(net, stage):
    assigner = TASK_UTILS.build(load(f'baselines/faster-rcnn_{net}_2x_kitti.py').model.train_cfg[stage].assigner)
    priors = InstanceData(priors=torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [100, 100, 120, 120]]))
    truth = InstanceData(bboxes=torch.tensor([[100.0, 100, 120, 120]]), labels=torch.tensor([0]))
    ignored = InstanceData(bboxes=torch.tensor([[40.0, 40, 80, 80]]))
    assert assigner.assign(priors, truth, ignored).gt_inds.tolist() == [0, -1, 1]
