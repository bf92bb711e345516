# Control of KD-loc: with a quarter of its weight.
_base_ = './shapes_dicod-loc.py'

model = dict(distillers=dict(kd_loc=dict(loss_loc=dict(loss_weight=0.01))))
