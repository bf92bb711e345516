# The parts of Chen et al. 2017, each alone and together, with one teacher.
title = 'Chen et al. 2017, part by part'
seeds = [0, 1, 2]
rows = {
    'none': 'configs/demo/ablation/shapes_none.py',
    'CLS': 'configs/demo/ablation/shapes_cls.py',
    'CLS-W': 'configs/demo/ablation/shapes_cls-weighted.py',
    'L2': 'configs/demo/ablation/shapes_l2.py',
    'L2-B': 'configs/demo/ablation/shapes_l2-bounded.py',
    'Hints': 'configs/demo/ablation/shapes_hint.py',
    'Hints-A': 'configs/demo/ablation/shapes_hint-adapted.py',
    'L2-B + CLS-W': 'configs/demo/ablation/shapes_cls-weighted-l2-bounded.py',
    'all': 'configs/demo/ablation/shapes_all.py',
    'control: L2-B, nu 0.05': 'configs/demo/ablation/shapes_l2-bounded-weak.py',
    'control: own loss_bbox x 4': 'configs/demo/ablation/shapes_bbox-x4.py',
}
#: The paper's own, of other students, teachers and data: mAP at IoU 0.5.
quoted = {
    "the paper's, VOC07": {
        'none': 54.7,
        'L2': 54.6,
        'L2-B': 55.9,
        'CLS': 57.4,
        'CLS-W': 57.7,
        'Hints': 56.9,
        'Hints-A': 58.0,
        'all': 59.4,
    },
    "the paper's, KITTI": {'L2': 48.5, 'L2-B': 50.1, 'CLS': 50.8, 'CLS-W': 51.3, 'Hints': 50.3, 'Hints-A': 52.1},
}
differences = [
    ('Hints-A', 'Hints'),
    ('all', 'Hints'),
    ('CLS-W', 'CLS'),
    ('L2-B', 'L2'),
    ('control: L2-B, nu 0.05', 'L2-B'),
]
