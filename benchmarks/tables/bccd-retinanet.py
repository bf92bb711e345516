# The field's methods on maps and on predictions, on real pictures, RetinaNet student.
title = 'BCCD, RetinaNet: R18 of base width 64 teaches base width 16'
seeds = [0, 1, 2]
rows = {
    'alone': 'configs/bccd/bccd_retinanet-student.py',
    'pkd': 'configs/bccd/retinanet/bccd_retinanet-pkd.py',
    'hint': 'configs/bccd/retinanet/bccd_retinanet-hint.py',
    'fitnets': 'configs/bccd/retinanet/bccd_retinanet-fitnets.py',
    'fgfi': 'configs/bccd/retinanet/bccd_retinanet-fgfi.py',
    'fkd': 'configs/bccd/retinanet/bccd_retinanet-fkd.py',
    'gid': 'configs/bccd/retinanet/bccd_retinanet-gid.py',
    'cwd': 'configs/bccd/retinanet/bccd_retinanet-cwd.py',
    'mgd': 'configs/bccd/retinanet/bccd_retinanet-mgd.py',
    'fgd': 'configs/bccd/retinanet/bccd_retinanet-fgd.py',
    'bckd': 'configs/bccd/retinanet/bccd_retinanet-bckd.py',
    'dist': 'configs/bccd/retinanet/bccd_retinanet-dist.py',
    'crosskd': 'configs/bccd/retinanet/bccd_retinanet-crosskd.py',
    'crosskd-pkd': 'configs/bccd/retinanet/bccd_retinanet-crosskd-pkd.py',
}
differences = [
    *(
        ('crosskd-pkd', other)
        for other in ('crosskd', 'dist', 'bckd', 'fgd', 'pkd', 'cwd', 'hint', 'mgd', 'fkd', 'gid')
    ),
    *((row, 'fgd') for row in ('crosskd', 'dist', 'bckd')),
    *((row, 'alone') for row in ('crosskd', 'fitnets', 'fgfi')),
]
