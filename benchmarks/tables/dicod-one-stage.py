# DICOD, its parts, and beside a hint, for the one-stage student.
title = 'DICOD, one-stage student'
seeds = [0, 1, 2]
rows = {
    'base': 'configs/demo/shapes_retinanet.py',
    'KD-cls': 'configs/demo/dicod/shapes_retinanet-dicod-cls.py',
    'KD-loc': 'configs/demo/dicod/shapes_retinanet-dicod-loc.py',
    'both': 'configs/demo/dicod/shapes_retinanet-dicod.py',
    'hint': 'configs/demo/dicod/shapes_retinanet-hint.py',
    'both + hint': 'configs/demo/dicod/shapes_retinanet-dicod-hint.py',
}
differences = [('both', 'KD-cls'), ('both + hint', 'hint')]
