_base_ = ['../_base_/pairs/rtmdet-tiny-from-s_300e_coco.py', '../_base_/distillers/cwd-normed.py']
# the switch_epoch of the pair's PipelineSwitchHook, which leaves out mosaics from then on
model = dict(distillers=dict(cwd=dict(_base_.distillers.cwd, stop_epoch=280)))
del _base_.distillers
