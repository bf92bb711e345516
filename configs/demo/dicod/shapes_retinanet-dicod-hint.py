# DICOD and a hint, for the one-stage student: the other rows are parts of it.
_base_ = ['../shapes_retinanet.py', '../_base_/shapes_two-teachers-sigmoid.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(type='KnowledgeDistillationOneStageDetector', teachers=_base_.teachers, distillers=_base_.distillers)
del _base_.teachers, _base_.distillers
