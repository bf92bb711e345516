# For DICOD. `python tools/train_classifier.py configs/dicod/classifier_r50_4e_voc0712.py` makes it.
classifier = dict(
    type='ClassifierTeacher',
    config='configs/dicod/classifier_r50_4e_voc0712.py',
    checkpoint='work_dirs/classifier_r50_4e_voc0712/epoch_4.pth')
