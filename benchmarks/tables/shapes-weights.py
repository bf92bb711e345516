# How the weight of a loss goes with the AP, on the drawn set. The weights are those at which the gradients that reach
# the neck of a fresh student are about 3, 30 and 300 times those of its own losses, as on blood cells. A training takes
# 500 steps, half of those of the demo.
title = 'Drawn set, Faster R-CNN: AP by the weight of the loss'
seeds = [0]
half = {'train_cfg.max_epochs': 2, 'param_scheduler.1.end': 2, 'param_scheduler.1.T_max': 2}
weights = {
    'pkd': [0.75, 7.5, 75.0],
    'cwd': [1.4, 14.0, 140.0],
    'fitnets': [0.65, 6.5, 65.0],
}
rows = {'alone': dict(config='configs/demo/shapes_student.py', options=half)}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=f'configs/demo/methods/shapes_{method}.py',
            options={**half, f'model.distillers.{method}.loss.loss_weight': value},
        )
del half, weights, method, values, value
