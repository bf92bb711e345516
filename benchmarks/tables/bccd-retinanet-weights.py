# Which weight each method gets in the table bccd-retinanet: three values, trained on train, tested on val.
_base_ = './_base_/bccd_on_val.py'

title = 'BCCD, RetinaNet: AP on val by the weight of the loss'
seeds = [0]
weights = {  # in the middle, or first, what the authors' weight is worth at this size and with these channels
    'pkd': [3.0, 10.0, 30.0],
    'cwd': [3.0, 10.0, 30.0],
    'mgd': [2e-4, 1e-3, 5e-3],
    'fitnets': [1.0, 3.0, 10.0],
    'hint': [1.5, 5.0, 15.0],
    'fgfi': [0.01, 0.04, 0.16],
    'fkd': [1.0, 4.0, 16.0],
}
rows = {'alone': dict(config='configs/bccd/bccd_retinanet-student.py', options=_base_.on_val)}
for method, values in weights.items():
    for value in values:
        rows[f'{method} {value:g}'] = dict(
            config=f'configs/bccd/retinanet/bccd_retinanet-{method}.py',
            options={**_base_.on_val, f'model.distillers.{method}.loss.loss_weight': value},
        )
for temperature, values in ((0.5, [4.0]), (2.0, [4.0, 16.0])):  # the teacher's maps are large beside the authors' 0.5
    for value in values:
        rows[f'fgd {value:g}, T {temperature:g}'] = dict(
            config='configs/bccd/retinanet/bccd_retinanet-fgd.py',
            options={
                **_base_.on_val,
                'model.distillers.fgd.loss.loss_weight': value,
                'model.distillers.fgd.loss.temperature': temperature,
            },
        )
gid = dict(feat_weight=5e-4, rel_weight=40.0, cls_weight=0.1, bbox_weight=1.0)  # the authors', times one factor
for factor in (0.3, 1.0, 3.0):
    rows[f'gid {factor:g}'] = dict(
        config='configs/bccd/retinanet/bccd_retinanet-gid.py',
        options={**_base_.on_val, **{f'model.distillers.gid.{name}': factor * value for name, value in gid.items()}},
    )
del _base_.on_val
del weights, gid, factor, method, values, value, temperature
