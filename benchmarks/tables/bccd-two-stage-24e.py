# The student alone and the best methods in a training three times as long, at the end of which alone should not rise.
title = 'BCCD, Faster R-CNN: 24 epochs'
seeds = [0, 1, 2]
long = {'train_cfg.max_epochs': 24, 'param_scheduler.1.end': 24, 'param_scheduler.1.T_max': 24}
rows = {'alone': dict(config='configs/bccd/bccd_student.py', options=long)}
for method in ('pkd', 'fitnets', 'cwd', 'fgd'):
    rows[method] = dict(config=f'configs/bccd/two-stage/bccd_{method}.py', options=long)
del long, method
