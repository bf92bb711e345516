# The student at 80 px, taught by a teacher that sees the same pictures at 160 px.
_base_ = ['./shapes_student-80.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    student_scale=0.5,
    teacher=dict(config='{{ fileDirname }}/shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=dict(
        hint=dict(
            type='FeatureDistiller',
            source='neck',
            adapter=dict(type='ConvAdapter'),
            loss=dict(type='HintLoss', norm='l2', loss_weight=5.0),
        ),
        rpn=dict(
            type='RPNDistiller',
            loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
            loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
            mu=0.8,
        ),
        roi=dict(
            type='RoIDistiller',
            loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
            loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
            mu=0.8,
        ),
    ),
)
# loaded at the teacher's size
resize = dict(type='Resize', scale=(160, 160), keep_ratio=True)
train_dataloader = dict(
    dataset=dict(pipeline=[resize if step.type == 'Resize' else step for step in _base_.train_pipeline]))
del resize
