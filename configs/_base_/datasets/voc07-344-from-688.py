# VOC07, loaded at 688 px for a teacher; its student (student_scale=344 / 688) is tested at 344 px.
_base_ = './voc07-344.py'

resize = dict(type='Resize', scale=(1146, 688), keep_ratio=True)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
del resize
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
