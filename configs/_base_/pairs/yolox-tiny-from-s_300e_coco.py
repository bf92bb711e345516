_base_ = [
    '../students/yolox_tiny.py',
    '../teachers/yolox_s_coco.py',
    '../datasets/coco_yolox-tiny.py',
    '../schedules/schedule_300e_yolox.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher

default_hooks = dict(checkpoint=dict(interval=10, max_keep_ckpts=3))
custom_hooks = [
    dict(type='YOLOXModeSwitchHook', num_last_epochs=15, priority=48),
    dict(type='SyncNormHook', priority=48),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0001, update_buffers=True, priority=49),
]
