_base_ = ['../_base_/pairs/yolox-tiny-from-s_300e_coco.py', '../_base_/distillers/cwd-normed.py']
# counted as in the YOLOXModeSwitchHook of the pair, which leaves out mosaics from then on
model = dict(distillers=dict(cwd=dict(_base_.distillers.cwd, num_last_epochs=15)))
del _base_.distillers
