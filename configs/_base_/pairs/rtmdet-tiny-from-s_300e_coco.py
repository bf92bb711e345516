_base_ = [
    '../students/rtmdet_tiny.py',
    '../teachers/rtmdet_s_coco.py',
    '../datasets/coco_rtmdet-tiny.py',
    '../schedules/schedule_300e_rtmdet.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    detector=_base_.model.type,
    teacher=_base_.teacher,
    num_classes=_base_.num_classes)
del _base_.teacher

default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=3))
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, update_buffers=True, priority=49),
    dict(type='PipelineSwitchHook', switch_epoch=280, switch_pipeline=_base_.train_pipeline_stage2),
]
