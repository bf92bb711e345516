_base_ = [
    '../_base_/pairs/fcos-r50-caffe-fpn-from-r101-caffe-fpn_2x_coco.py',
    '../_base_/distillers/crosskd-pkd-fcos.py',
]
model = dict(distillers=_base_.distillers)
del _base_.distillers
