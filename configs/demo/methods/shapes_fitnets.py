# FitNets on the drawn set.
_base_ = ['../shapes_student.py', '../../_base_/distillers/fitnets.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=_base_.distillers)
del _base_.distillers
