# The demo's student at 37.5 % of its FLOPs, fine-tuned alone and with a teacher.
title = 'Decomposed to 37.5 % of the FLOPs'
seeds = [0, 1, 2]
rows = {
    'fine-tuned alone': 'configs/demo/shapes_tucker.py',
    'distilled': 'configs/demo/shapes_tucker-distilled.py',
}
