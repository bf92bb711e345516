# The student alone and the four best rows of bccd-two-stage, in a training three times as long, at the end of which
# alone should not rise. The teacher is that of bccd-two-stage-dist.
title = 'BCCD, Faster R-CNN: 24 epochs'
seeds = [0, 1, 2]
long = {'train_cfg.max_epochs': 24, 'param_scheduler.1.end': 24, 'param_scheduler.1.T_max': 24}
rows = {'alone': dict(config='configs/bccd/bccd_student.py', options=long)}
for method in ('cwd', 'pkd-chen2017', 'pkd', 'fgd'):
    rows[method] = dict(config=f'configs/bccd/two-stage/bccd_{method}.py', options=long)
del long, method
differences = [('pkd-chen2017', 'pkd'), ('pkd-chen2017', 'cwd'), ('pkd', 'cwd'), ('pkd', 'fgd'), ('fgd', 'cwd')]
