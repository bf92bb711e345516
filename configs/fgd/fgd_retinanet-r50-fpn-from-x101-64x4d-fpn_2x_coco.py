_base_ = ['../_base_/pairs/retinanet-r50-fpn-from-x101-64x4d-fpn_2x_coco.py', '../_base_/distillers/fgd.py']
model = dict(distillers=_base_.distillers)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
del _base_.distillers
