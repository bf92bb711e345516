# The student of the ablation, undistilled: the demo's, with a neck as wide as the teacher's, as bare hints ask for.
_base_ = '../shapes_student.py'

channels = 64
model = dict(
    neck=dict(out_channels=channels),
    rpn_head=dict(in_channels=channels),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=channels), bbox_head=dict(in_channels=channels)))
del channels
