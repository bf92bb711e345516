# The same, with a teacher that was trained longer than the demo's, which the student comes near alone. First:
#   python tools/train.py configs/demo/shapes_teacher-10e.py --work-dir work_dirs/demo/shapes_teacher-10e
_base_ = ['./shapes_tucker.py', './_base_/shapes_distillers.py']

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/shapes_teacher-10e.py',
        checkpoint='work_dirs/demo/shapes_teacher-10e/epoch_10.pth'),
    distillers=_base_.distillers,
)
del _base_.distillers
