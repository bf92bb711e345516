# And the student starts with its teacher's neck and head, as the authors' does where these match.
_base_ = './fgd_gfl-r50-fpn-from-r101-fpn_1x_coco.py'

model = dict(teacher=dict(inherit=True))
