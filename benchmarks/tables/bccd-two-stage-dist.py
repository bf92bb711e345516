# DIST for the two-stage student, taught by another training of the teacher than in bccd-two-stage, so with its own
# alone, and CWD, the best method there.
title = 'BCCD, Faster R-CNN: DIST'
seeds = [0, 1, 2]
rows = {
    'alone': 'configs/bccd/bccd_student.py',
    'cwd': 'configs/bccd/two-stage/bccd_cwd.py',
    'dist': 'configs/bccd/two-stage/bccd_dist.py',
}
differences = [('cwd', 'dist')]
