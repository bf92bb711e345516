"""The losses as pure functions: tensors in, tensor out. They import torch only."""

from .attention import attention
from .attention_guided import masked_distance, root_distance, shared_attention
from .bounded_regression import teacher_bounded_l2
from .channel_wise import channel_wise_kl
from .channels import channel_statistics, match_statistics
from .disagreement import disagreement_bce
from .fine_grained import anchor_mask, best_overlap, imitation_loss
from .focal_global import attention_loss, focal_loss, focal_masks
from .hint import HintNorm, hint_loss
from .instances import class_distances, instance_feature_loss, instance_pairs, instance_relation_loss
from .masked_generation import masked_generation
from .pearson import pearson_loss
from .places import places_taken
from .reduction import weighted_average
from .score_relations import class_relations, row_relations
from .soft_cross_entropy import class_weighted_soft_cross_entropy
from .softened import softened_bce, softened_kl, softened_sigmoid_kl
from .valuable_region import Overlap, valuable_region

__all__ = [
    'HintNorm',
    'Overlap',
    'anchor_mask',
    'attention',
    'attention_loss',
    'best_overlap',
    'channel_statistics',
    'channel_wise_kl',
    'class_distances',
    'class_relations',
    'class_weighted_soft_cross_entropy',
    'disagreement_bce',
    'focal_loss',
    'focal_masks',
    'hint_loss',
    'imitation_loss',
    'instance_feature_loss',
    'instance_pairs',
    'instance_relation_loss',
    'masked_distance',
    'masked_generation',
    'match_statistics',
    'pearson_loss',
    'places_taken',
    'root_distance',
    'row_relations',
    'shared_attention',
    'softened_bce',
    'softened_kl',
    'softened_sigmoid_kl',
    'teacher_bounded_l2',
    'valuable_region',
    'weighted_average',
]
