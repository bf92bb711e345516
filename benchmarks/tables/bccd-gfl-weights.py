# Which weight each method gets in the table bccd-gfl: three values, trained on train, tested on val. CrossKD with PKD
# takes what was best of each.
_base_ = './_base_/bccd_on_val.py'

title = 'BCCD, GFL: AP on val by the weight of the loss'
seeds = [0]
rows = {'alone': dict(config='configs/bccd/bccd_gfl-student.py', options=_base_.on_val_once)}
weights = {  # about the best ones of the two-stage student
    'pkd': [6.0, 18.0, 54.0],
    'mgd': [2e-5, 2e-4, 2e-3],
}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=f'configs/bccd/gfl/bccd_gfl-{method}.py',
            options={**_base_.on_val_once, f'model.distillers.{method}.loss.loss_weight': value},
        )
for method, temperature, values in (
    ('fgd', 2.0, [4.0, 16.0, 64.0]),
    ('fgd', 0.5, [16.0, 64.0, 256.0]),  # the authors'
    ('cwd', 3.0, [3.0, 10.0, 30.0]),
):
    for value in values:
        rows[f'{method} {value:g}, T {temperature:g}'] = dict(
            config=f'configs/bccd/gfl/bccd_gfl-{method}.py',
            options={
                **_base_.on_val_once,
                f'model.distillers.{method}.loss.loss_weight': value,
                f'model.distillers.{method}.loss.temperature': temperature,
            },
        )
terms = {  # the authors', times one factor; a fourth one where the best of three was the first or the last
    'ld': (dict(main_weight=0.25, region_weight=0.25, cls_weight=10.0), (0.1, 0.3, 1.0, 3.0)),
    'bckd': (dict(cls_weight=1.0, bbox_weight=4.0), (0.3, 1.0, 3.0, 10.0)),
    'dist': ({'loss_cls.loss_weight': 1.0}, (0.3, 1.0, 3.0)),
    'crosskd': (dict(cls_weight=1.0, bbox_weight=4.0), (0.3, 1.0, 3.0, 10.0)),
}
for method, (names, factors) in terms.items():
    for factor in factors:
        rows[f'{method} {factor:g}'] = dict(
            config=f'configs/bccd/gfl/bccd_gfl-{method}.py',
            options={
                **_base_.on_val_once,
                **{f'model.distillers.{method}.{name}': factor * value for name, value in names.items()},
            },
        )
del _base_.on_val, _base_.on_val_once
del weights, terms, method, names, value, values, factor, factors, temperature
