# Which weight each method gets in the table bccd-retinanet: three values, and a fourth where the best was the first or
# the last of them, trained on train, tested on val. CrossKD with PKD takes what was best of each.
_base_ = './_base_/bccd_on_val.py'

title = 'BCCD, RetinaNet: AP on val by the weight of the loss'
seeds = [0]
weights = {  # about the best ones of the two-stage student
    'pkd': [3.0, 10.0, 30.0, 90.0],
    'mgd': [2e-5, 2e-4, 2e-3],
    'fitnets': [3.0, 10.0, 30.0],
    'hint': [5.0, 15.0, 50.0, 150.0],
    'fgfi': [0.0025, 0.01, 0.04, 0.16],
}
rows = {'alone': dict(config='configs/bccd/bccd_retinanet-student.py', options=_base_.on_val_once)}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=f'configs/bccd/retinanet/bccd_retinanet-{method}.py',
            options={**_base_.on_val_once, f'model.distillers.{method}.loss.loss_weight': value},
        )
for method, temperature, values in (
    ('fgd', 2.0, [4.0, 16.0, 64.0, 256.0]),
    ('fgd', 0.5, [16.0, 64.0, 256.0]),  # the authors'
    ('fkd', 0.5, [0.06, 0.25, 1.0, 4.0]),
    ('cwd', 3.0, [3.0, 10.0, 30.0]),
):
    for value in values:
        rows[f'{method} {value:g}, T {temperature:g}'] = dict(
            config=f'configs/bccd/retinanet/bccd_retinanet-{method}.py',
            options={
                **_base_.on_val_once,
                f'model.distillers.{method}.loss.loss_weight': value,
                f'model.distillers.{method}.loss.temperature': temperature,
            },
        )
terms = {  # the authors', times one factor
    'gid': (dict(feat_weight=5e-4, rel_weight=40.0, cls_weight=0.1, bbox_weight=1.0), (0.1, 0.3, 1.0, 3.0)),
    'bckd': (dict(cls_weight=1.0, bbox_weight=4.0), (1.0, 3.0, 10.0)),
    'dist': ({'loss_cls.loss_weight': 1.0}, (0.3, 1.0, 3.0, 10.0)),
    'crosskd': (dict(cls_weight=1.0, bbox_weight=1.0), (1.0, 3.0, 10.0, 30.0)),
}
for method, (names, factors) in terms.items():
    for factor in factors:
        rows[f'{method} {factor:g}'] = dict(
            config=f'configs/bccd/retinanet/bccd_retinanet-{method}.py',
            options={
                **_base_.on_val_once,
                **{f'model.distillers.{method}.{name}': factor * value for name, value in names.items()},
            },
        )
del _base_.on_val, _base_.on_val_once
del weights, terms, method, names, factors, values, value, factor, temperature
