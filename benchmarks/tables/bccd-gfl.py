# The field's methods on maps and on predictions, on real pictures, GFL student.
title = 'BCCD, GFL: R18 of base width 64 teaches base width 16'
seeds = [0, 1, 2]
rows = {
    'alone': 'configs/bccd/bccd_gfl-student.py',
    'pkd': 'configs/bccd/gfl/bccd_gfl-pkd.py',
    'cwd': 'configs/bccd/gfl/bccd_gfl-cwd.py',
    'mgd': 'configs/bccd/gfl/bccd_gfl-mgd.py',
    'fgd': 'configs/bccd/gfl/bccd_gfl-fgd.py',
    'ld': 'configs/bccd/gfl/bccd_gfl-ld.py',
    'bckd': 'configs/bccd/gfl/bccd_gfl-bckd.py',
    'dist': 'configs/bccd/gfl/bccd_gfl-dist.py',
    'crosskd': 'configs/bccd/gfl/bccd_gfl-crosskd.py',
    'crosskd-pkd': 'configs/bccd/gfl/bccd_gfl-crosskd-pkd.py',
}
differences = [
    *(('crosskd-pkd', other) for other in ('crosskd', 'dist', 'bckd', 'ld', 'pkd', 'cwd', 'mgd', 'fgd', 'alone')),
    ('crosskd', 'dist'),
    *((row, 'pkd') for row in ('crosskd', 'dist', 'bckd', 'ld')),
    *((row, 'alone') for row in ('crosskd', 'dist', 'pkd', 'mgd', 'fgd')),
]
