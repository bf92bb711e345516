# Maps and masks.
_base_ = ['./fgd_mask-rcnn-r50-fpn-from-r101-fpn_2x_coco.py', '../_base_/distillers/masks.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
