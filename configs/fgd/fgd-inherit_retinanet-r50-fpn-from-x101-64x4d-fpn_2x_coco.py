# And the student starts with its teacher's neck and head, as the authors' does where these match.
_base_ = './fgd_retinanet-r50-fpn-from-x101-64x4d-fpn_2x_coco.py'

model = dict(teacher=dict(inherit=True))
