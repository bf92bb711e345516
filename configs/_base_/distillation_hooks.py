# What a distillation needs around the model. A config takes it over: default_hooks = _base_.distillation_hooks.
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

distillation_hooks = dict(
    # a run that is resumed continues as if it had never stopped
    exact_resume=dict(type='ExactResumeHook'),
    # a checkpoint is written beside and renamed before an older one goes
    checkpoint=dict(type='WholeCheckpointHook'),
    # the names of the classes, which student and teacher must share
    training_classes=dict(type='TrainingClassesHook'),
    # heads with another number of classes than the data would train without a word
    num_class_check=dict(type='NumClassCheckHook'),
)
