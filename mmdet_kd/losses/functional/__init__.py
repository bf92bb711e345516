"""The losses as pure functions: tensors in, tensor out. They import torch only."""

from .attention import attention
from .attention_guided import masked_distance, root_distance, shared_attention
from .bounded_regression import teacher_bounded_l2
from .channel_wise import channel_wise_kl
from .fine_grained import anchor_mask, best_overlap, imitation_loss
from .focal_global import attention_loss, focal_loss, focal_masks
from .hint import HintNorm, hint_loss
from .instances import class_distances, instance_feature_loss, instance_pairs, instance_relation_loss
from .masked_generation import masked_generation
from .pearson import pearson_loss
from .reduction import weighted_average
from .soft_cross_entropy import class_weighted_soft_cross_entropy
from .softened import softened_bce, softened_kl, softened_sigmoid_kl

__all__ = [
    'HintNorm',
    'anchor_mask',
    'attention',
    'attention_loss',
    'best_overlap',
    'channel_wise_kl',
    'class_distances',
    'class_weighted_soft_cross_entropy',
    'focal_loss',
    'focal_masks',
    'hint_loss',
    'imitation_loss',
    'instance_feature_loss',
    'instance_pairs',
    'instance_relation_loss',
    'masked_distance',
    'masked_generation',
    'pearson_loss',
    'root_distance',
    'shared_attention',
    'softened_bce',
    'softened_kl',
    'softened_sigmoid_kl',
    'teacher_bounded_l2',
    'weighted_average',
]
