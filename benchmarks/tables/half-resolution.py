# A student that sees 80 px, alone and with a teacher that sees the same pictures at 160 px.
title = 'Half the resolution'
seeds = [0, 1, 2]
rows = {
    'student at 80 px alone': 'configs/demo/shapes_student-80.py',
    'taught by a teacher at 160 px': 'configs/demo/shapes_distilled-80-from-160.py',
}
