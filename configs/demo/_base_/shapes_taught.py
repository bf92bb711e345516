# The student with its teacher; the method is what its children add.
_base_ = '../shapes_student.py'
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'))
