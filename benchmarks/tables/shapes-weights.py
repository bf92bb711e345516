# How the weight of a loss goes with the AP, on the drawn set. The weights are those at which the gradients that reach
# the neck of a fresh student are about 0.03, 0.3, 3, 30 and 300 times those of its own losses; on blood cells PKD, CWD
# and FitNets gain most near the last of these. That was measured with a teacher of random weights; gradient_shares.py
# says what they are with the trained one.
title = 'Drawn set, Faster R-CNN: AP by the weight of the loss'
seeds = [0]
configs = {
    'hint': 'configs/demo/ablation/shapes_hint-adapted.py',
    'pkd': 'configs/demo/methods/shapes_pkd.py',
    'cwd': 'configs/demo/methods/shapes_cwd.py',
    'fitnets': 'configs/demo/methods/shapes_fitnets.py',
}
weights = {
    'hint': [0.02, 0.2, 2.0, 20.0, 200.0],
    'pkd': [0.0075, 0.075, 0.75, 7.5, 75.0],
    'cwd': [0.014, 0.14, 1.4, 14.0, 140.0],
    'fitnets': [0.0065, 0.065, 0.65, 6.5, 65.0],
}
rows = {'alone': 'configs/demo/shapes_student.py'}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=configs[method], options={f'model.distillers.{method}.loss.loss_weight': value}
        )
del configs, weights, method, values, value
