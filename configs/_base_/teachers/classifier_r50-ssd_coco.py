# For DICOD. `python tools/train_classifier.py configs/dicod/classifier_r50-ssd_2x_coco.py` makes it.
classifier = dict(
    type='ClassifierTeacher',
    config='configs/dicod/classifier_r50-ssd_2x_coco.py',
    checkpoint='work_dirs/classifier_r50-ssd_2x_coco/epoch_24.pth')
