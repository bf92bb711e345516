# DICOD and a hint, for the two-stage student: the other rows are parts of it.
_base_ = ['../ablation/shapes_none.py', '../_base_/shapes_two-teachers.py']
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(type='KnowledgeDistillationTwoStageDetector', teachers=_base_.teachers, distillers=_base_.distillers)
del _base_.teachers, _base_.distillers
