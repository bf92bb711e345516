# Hints-A: adapted hints.
_base_ = './shapes_all.py'

model = dict(distillers=dict(rpn=None, roi=None))
