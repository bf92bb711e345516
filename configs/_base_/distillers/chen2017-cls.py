# Chen et al., NIPS 2017: soft classes alone, all classes weighing the same (CLS in the paper's ablation).
_base_ = './chen2017-cls-weighted.py'

distillers = dict(rpn=dict(loss_cls=dict(background_weight=1.0)), roi=dict(loss_cls=dict(background_weight=1.0)))
