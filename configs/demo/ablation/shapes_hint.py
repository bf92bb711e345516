# Hints: bare.
_base_ = './shapes_hint-adapted.py'

model = dict(distillers=dict(hint=dict(adapter=None)))
