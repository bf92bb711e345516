# The classifier that teaches SSD300 and SSD512, under their normalisation and augmentation. How to train it the paper
# leaves open; ours are 512 px, which SSD's zooming out makes small enough for SSD300 as well, the optimiser of the
# other classifier with its batch of 16 pictures, and 24 epochs, each once over them.
_base_ = [
    '../_base_/classifiers/crop-classifier_r50-ssd.py',
    '../_base_/datasets/coco_ssd512.py',
    '../_base_/schedules/schedule_2x.py',
    '../_base_/default_runtime.py',
]
model = dict(num_classes=_base_.num_classes)
val_evaluator = dict(_delete_=True, type='CropAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
train_dataloader = dict(batch_size=2, dataset=dict(times=1))
# annotations before the resizing, which takes the boxes along: they are cut out of the picture
test_pipeline = [_base_.test_pipeline[step] for step in (0, 2, 1, 3)]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
