# The same for VOC: 4 epochs, each of 3 over the pictures.
_base_ = [
    '../_base_/classifiers/crop-classifier_r50.py',
    '../_base_/datasets/voc0712.py',
    '../_base_/schedules/schedule_4e.py',
    '../_base_/default_runtime.py',
]
model = dict(num_classes=_base_.num_classes)
val_evaluator = dict(_delete_=True, type='CropAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
# annotations before the resizing, which takes the boxes along: they are cut out of the picture
test_pipeline = [_base_.test_pipeline[step] for step in (0, 2, 1, 3)]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
