# The student at 80 px, taught by a teacher that sees the same pictures at 160 px.
_base_ = ['./shapes_student-80.py', './_base_/shapes_distillers.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    student_scale=0.5,
    teacher=dict(config='{{ fileDirname }}/shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=_base_.distillers,
)
del _base_.distillers
# loaded at the teacher's size
resize = dict(type='Resize', scale=(160, 160), keep_ratio=True)
train_dataloader = dict(
    dataset=dict(pipeline=[resize if step.type == 'Resize' else step for step in _base_.train_pipeline]))
del resize
