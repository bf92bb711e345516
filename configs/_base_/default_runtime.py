_base_ = ['mmdet::_base_/default_runtime.py', './distillation_hooks.py']

default_hooks = _base_.distillation_hooks
del _base_.distillation_hooks
