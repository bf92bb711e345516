# And the student starts with its teacher's neck and head, as the authors' does where these match.
_base_ = './fgd_reppoints-r50-fpn-from-x101-dconv-fpn_2x_coco.py'

model = dict(teacher=dict(inherit=True))
