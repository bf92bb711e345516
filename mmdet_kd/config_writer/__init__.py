"""The configs that a person would write to distil their student, and the files that they lie in."""

from .picture_sizes import sizes_said
from .plan import DISTILLED, STUDENT, Plan, Request, plan_configs
from .written import RECORD, write_once

__all__ = ['DISTILLED', 'RECORD', 'STUDENT', 'Plan', 'Request', 'plan_configs', 'sizes_said', 'write_once']
