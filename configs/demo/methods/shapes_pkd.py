# PKD on the drawn set, whose detectors have three levels.
_base_ = ['../shapes_student.py', '../../_base_/distillers/pkd-two-stage.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=dict(pkd={**_base_.distillers.pkd, 'levels': (0, 1, 2)}))
del _base_.distillers
