_base_ = ['../_base_/pairs/mask-rcnn-r50-fpn-from-r101-fpn_2x_coco.py', '../_base_/distillers/fgd-two-stage.py']
model = dict(distillers=_base_.distillers)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
del _base_.distillers
