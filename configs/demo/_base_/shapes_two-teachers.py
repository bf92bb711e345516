# The two teachers of the table of DICOD, and what they teach a head that scores by a softmax.
_base_ = '../../_base_/distillers/dicod-hint.py'

teachers = dict(
    classifier=dict(
        type='ClassifierTeacher',
        config='{{ fileDirname }}/../shapes_classifier.py',
        checkpoint='work_dirs/demo/shapes_classifier/epoch_3.pth'),
    detector=dict(
        config='{{ fileDirname }}/../shapes_teacher.py', checkpoint='work_dirs/demo/shapes_teacher/epoch_5.pth'))
distillers = dict(hint=dict(loss=dict(loss_weight=5.0)))
