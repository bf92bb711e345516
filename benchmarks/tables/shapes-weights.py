# How the weight of a loss goes with the AP, on the drawn set. The weights are those at which the gradients of a fresh
# student of BCCD would be 0.03, 0.3, 3 and 30 times its own (results/gradient_shares_bccd-two-stage-weights.json). What
# they are here is for gradient_shares.py to measure: correct the weights by it before this is trained.
title = 'Drawn set, Faster R-CNN: AP by the weight of the loss'
seeds = [0]
configs = {
    'hint': 'configs/demo/ablation/shapes_hint-adapted.py',
    'pkd': 'configs/demo/methods/shapes_pkd.py',
    'cwd': 'configs/demo/methods/shapes_cwd.py',
    'fitnets': 'configs/demo/methods/shapes_fitnets.py',
}
weights = {
    'hint': [0.006, 0.06, 0.6, 6.0],
    'pkd': [0.006, 0.06, 0.6, 6.0],
    'cwd': [0.0016, 0.016, 0.16, 1.6],
    'fitnets': [0.0006, 0.006, 0.06, 0.6],
}
rows = {'alone': 'configs/demo/shapes_student.py'}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=configs[method], options={f'model.distillers.{method}.loss.loss_weight': value}
        )
del configs, weights, method, values, value
