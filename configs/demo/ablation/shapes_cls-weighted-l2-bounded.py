# L2-B + CLS-W: what the heads say, without hints.
_base_ = './shapes_all.py'

model = dict(distillers=dict(hint=None))
