# Which weight each method gets in the table bccd-two-stage: three values or more, trained on train, tested on val.
_base_ = './_base_/bccd_on_val.py'

title = 'BCCD, Faster R-CNN: AP on val by the weight of the loss'
seeds = [0]
weights = {  # in the middle, or first, what the authors' weight is worth at this size and with these channels
    'pkd': [2.0, 6.0, 18.0, 54.0],
    'mgd': [5e-6, 2e-5, 1e-4],
    'fitnets': [1.0, 3.0, 10.0],
    'hint': [5.0, 15.0, 50.0],
    'fgfi': [0.01, 0.04, 0.16],
}
rows = {'alone': dict(config='configs/bccd/bccd_student.py', options=_base_.on_val)}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=f'configs/bccd/two-stage/bccd_{method}.py',
            options={**_base_.on_val, f'model.distillers.{method}.loss.loss_weight': value},
        )
# The maps of this teacher are large, so that a softmax of the authors' temperatures takes few places.
for method, temperature, suffix, values in (
    ('fgd', 0.5, '', [1.0, 4.0, 16.0]),
    ('fgd', 2.0, ', T 2', [4.0, 16.0, 64.0]),
    ('fkd', 0.1, '', [1.0, 4.0]),
    ('fkd', 0.5, ', T 0.5', [0.25, 1.0, 4.0]),
    ('cwd', 1.0, '', [3.0, 10.0, 30.0]),
    ('cwd', 3.0, ', T 3', [3.0, 10.0]),
):
    for value in values:
        rows[f'{method} {value:g}{suffix}'] = dict(
            config=f'configs/bccd/two-stage/bccd_{method}.py',
            options={
                **_base_.on_val,
                f'model.distillers.{method}.loss.loss_weight': value,
                f'model.distillers.{method}.loss.temperature': temperature,
            },
        )
for ratio in (0.0, 0.2):  # is it the holes, or the layers that are to fill them?
    rows[f'mgd 5e-06, mask {ratio:g}'] = dict(
        config='configs/bccd/two-stage/bccd_mgd.py',
        options={
            **_base_.on_val,
            'model.distillers.mgd.loss.loss_weight': 5e-6,
            'model.distillers.mgd.loss.mask_ratio': ratio,
        },
    )
gid = dict(feat_weight=5e-4, rel_weight=40.0, cls_weight=0.1, bbox_weight=1.0)  # the authors', times one factor
for factor in (0.1, 0.3, 1.0):
    rows[f'gid {factor:g}'] = dict(
        config='configs/bccd/two-stage/bccd_gid.py',
        options={**_base_.on_val, **{f'model.distillers.gid.{name}': factor * value for name, value in gid.items()}},
    )
for value in (0.03, 0.1, 0.3, 1.0, 3.0):  # taught by another training of the teacher than the rows above
    rows[f'dist {value:g}'] = dict(
        config='configs/bccd/two-stage/bccd_dist.py',
        options={**_base_.on_val_once, 'model.distillers.dist.loss_cls.loss_weight': value},
    )
del _base_.on_val, _base_.on_val_once
del weights, gid, factor, method, values, value, temperature, suffix, ratio
