# The parts of Chen et al. 2017 and of DICOD on the demo's shapes, in a training at the end of which the student alone
# does not rise. The detector that teaches is trained to its end too.
title = 'The drawn set: 16 epochs'
seeds = [0, 1, 2]
long = {
    'train_cfg.max_epochs': 16,
    'train_cfg.val_interval': 2,
    'param_scheduler.1.end': 16,
    'param_scheduler.1.T_max': 16,
}
by_detector = {
    **long,
    'model.teacher.config': 'configs/demo/shapes_teacher-24e.py',
    'model.teacher.checkpoint': 'work_dirs/demo/shapes_teacher-24e/epoch_24.pth',
}
rows = {'none': dict(config='configs/demo/ablation/shapes_none.py', options=long)}
for row, part in {'CLS-W': 'cls-weighted', 'L2-B': 'l2-bounded', 'Hints-A': 'hint-adapted', 'all': 'all'}.items():
    rows[row] = dict(config=f'configs/demo/ablation/shapes_{part}.py', options=by_detector)
for row, part in {'KD-cls': 'dicod-cls', 'KD-loc': 'dicod-loc', 'both': 'dicod'}.items():
    rows[row] = dict(config=f'configs/demo/dicod/shapes_{part}.py', options=long)
weak = {**long, 'model.distillers.kd_cls.loss_cls.loss_weight': 0.1}
rows['control: KD-cls, weight 0.1'] = dict(config='configs/demo/dicod/shapes_dicod-cls.py', options=weak)
differences = [('all', 'Hints-A'), ('L2-B', 'CLS-W'), ('KD-loc', 'L2-B')]
differences += [('both', 'KD-cls'), ('control: KD-cls, weight 0.1', 'KD-cls')]
del long, by_detector, row, part, weak
