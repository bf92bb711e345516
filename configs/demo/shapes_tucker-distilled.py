# The same, with the teacher of the demo.
_base_ = ['./shapes_tucker.py', './_base_/shapes_distillers.py']

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(config='{{ fileDirname }}/shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=_base_.distillers,
)
del _base_.distillers
