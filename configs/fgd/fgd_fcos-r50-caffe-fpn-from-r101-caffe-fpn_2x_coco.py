_base_ = ['../_base_/pairs/fcos-r50-caffe-fpn-from-r101-caffe-fpn_2x_coco.py', '../_base_/distillers/fgd-fcos.py']
model = dict(distillers=_base_.distillers)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
del _base_.distillers
