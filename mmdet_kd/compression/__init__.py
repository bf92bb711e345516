"""Tucker decomposition of any detector: its layers, its config, its ranks."""

from .config import decomposed_model, ranks_of_model
from .decomposed import build_decomposed, check_layers, replace_layers
from .evbmf import evbmf_rank
from .flops import ForwardPass, measure_flops, shape_of_config
from .layers import LowRankLinear, TuckerConv2d
from .plan import evbmf_base, plan_at, plan_for_share, uniform_base
from .report import table_of_layers
from .student import (
    build_detector,
    decompose_detector,
    files_of,
    initial_weights,
    plain_config,
    ranks_of_config,
    read_student,
    write_decomposed,
    write_fragment,
)
from .survey import FINAL_PREDICTORS, Survey, SurveyedLayer, survey
from .tucker import composed_weight, decompose, evbmf_ranks, low_rank, relative_error, tucker2

__all__ = [
    'FINAL_PREDICTORS',
    'ForwardPass',
    'LowRankLinear',
    'Survey',
    'SurveyedLayer',
    'TuckerConv2d',
    'build_decomposed',
    'build_detector',
    'check_layers',
    'composed_weight',
    'decompose',
    'decompose_detector',
    'decomposed_model',
    'evbmf_base',
    'evbmf_rank',
    'evbmf_ranks',
    'files_of',
    'initial_weights',
    'low_rank',
    'measure_flops',
    'plain_config',
    'plan_at',
    'plan_for_share',
    'ranks_of_config',
    'ranks_of_model',
    'read_student',
    'relative_error',
    'replace_layers',
    'shape_of_config',
    'survey',
    'table_of_layers',
    'tucker2',
    'uniform_base',
    'write_decomposed',
    'write_fragment',
]
