# The same student, taught: this file is all that distillation asks for.
_base_ = './shapes_student.py'
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=dict(config='{{ fileDirname }}/shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'),
    distillers=dict(
        hint=dict(
            type='FeatureDistiller',
            source='neck',
            adapter=dict(type='ConvAdapter'),
            loss=dict(type='HintLoss', norm='l2', loss_weight=5.0),
        ),
        roi=dict(
            type='RoIDistiller',
            loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
            loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
            mu=0.8,
        ),
    ),
)
