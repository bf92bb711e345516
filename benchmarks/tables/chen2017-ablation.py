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
