"""Teachers of every backbone and neck of mmdet's zoo are as fast as may be, and say what the plain detector says."""

import pytest
import torch
from helpers.teachers import CPU, trained
from helpers.trained import pictures
from helpers.zoo import CONFIGS, NETWORKS, OUT_OF_REACH, model_of, network_of, small_detector
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.knowledge import TeacherKnowledge
from mmdet_kd.teachers import DetectorTeacher
from mmdet_kd.teachers.verification import relative_difference

pytestmark = pytest.mark.usefixtures('verified_on_the_whole_picture')

#: Networks that cannot be run on this machine.
NO_OPERATOR = {
    'carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py': 'carafe_forward_impl: implementation for device cpu not found'
}
#: Random networks let rounding grow: this much is NAS-FPN's in single precision from its own in double precision.
ROUNDING = 1e-3


@pytest.mark.slow
@pytest.mark.parametrize('config', NETWORKS)
def test_it_says_what_the_plain_detector_says(config, tmp_path):
    model = small_detector(config)
    parts = ['backbone', *(['neck'] if 'neck' in model else [])]
    if config in NO_OPERATOR:
        with pytest.raises(RuntimeError, match=NO_OPERATOR[config]):
            trained(Config(dict(model=model)), tmp_path / 'trained.pth', *parts)
        return
    source = trained(Config(dict(model=model)), tmp_path / 'trained.pth', *parts)
    teacher = DetectorTeacher(*source)
    teacher.load(CPU, asked=parts)
    plain = MODELS.build(model)
    plain.load_state_dict(torch.load(source[1], weights_only=True)['state_dict'])
    plain.eval()
    images = pictures(seed=5, count=2, size=(256, 384)) if config.startswith('fpg') else pictures(seed=5, count=1)
    fast, alone = teacher.knowledge_of(images), TeacherKnowledge(plain, images)
    for part in parts:
        for level, (found, expected) in enumerate(zip(fast.features(part), alone.features(part), strict=True)):
            assert expected.std() > 1e-2, 'it would prove nothing'
            assert relative_difference(found, expected) <= ROUNDING, f'{part}, level {level}'


@pytest.mark.slow
def test_every_network_of_the_zoo_is_tried():
    tried = {network_of(model_of(config)) for config in NETWORKS}
    missing = {}
    for path in sorted(CONFIGS.rglob('*.py')):
        config = str(path.relative_to(CONFIGS))
        if config.startswith('_base_') or config.startswith(tuple(OUT_OF_REACH)):
            continue
        model = model_of(config)
        if 'backbone' in model and network_of(model) not in tried:
            missing.setdefault(network_of(model), []).append(config)
    assert not missing
