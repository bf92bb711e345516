# The whole method, CLS-W + L2-B + Hints-A, of which the other rows are parts.
_base_ = ['./shapes_none.py', '../_base_/shapes_distillers.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=_base_.distillers,
)
del _base_.distillers
