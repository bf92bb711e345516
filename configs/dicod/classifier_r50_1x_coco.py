# The classifier that teaches Faster R-CNN and RetinaNet. How to train it the paper leaves open; ours are the optimiser
# and the augmentation of the detectors (about 120 crops a step on 8 GPUs), and 12 epochs from ImageNet's weights.
_base_ = [
    '../_base_/classifiers/crop-classifier_r50.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
model = dict(num_classes=_base_.num_classes)
val_evaluator = dict(_delete_=True, type='CropAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
# annotations before the resizing, which takes the boxes along: they are cut out of the picture
test_pipeline = [_base_.test_pipeline[step] for step in (0, 2, 1, 3)]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
