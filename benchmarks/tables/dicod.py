# DICOD, its parts, and beside a hint, for the two-stage student.
title = 'DICOD, two-stage student'
seeds = [0, 1, 2]
rows = {
    'base': 'configs/demo/ablation/shapes_none.py',
    'KD-cls': 'configs/demo/dicod/shapes_dicod-cls.py',
    'KD-loc': 'configs/demo/dicod/shapes_dicod-loc.py',
    'both': 'configs/demo/dicod/shapes_dicod.py',
    'hint': 'configs/demo/ablation/shapes_hint-adapted.py',
    'both + hint': 'configs/demo/dicod/shapes_dicod-hint.py',
    'control: KD-loc, weight 0.01': 'configs/demo/dicod/shapes_dicod-loc-weak.py',
}
differences = [('both', 'KD-cls'), ('both + hint', 'hint'), ('control: KD-loc, weight 0.01', 'KD-loc')]
