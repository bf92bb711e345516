"""What a run needs around the model: readable checkpoints, pretrained weights, CPU ranks, checks, work dirs."""

from .annotations import require_annotations, require_test_annotations
from .checkpoints import find_weights, latest_checkpoint, read_checkpoint
from .cpu_ranks import prepare_cpu_ranks
from .data_files import check_data_files
from .digests import weights_digest
from .downloads import downloaded, kept_at
from .mmengine_loader import check_resumable, load_from_file, register_reader
from .pretrained import check_pretrained, drop_pretrained
from .remote_checkpoints import register_remote_loaders
from .safe_globals import register_safe_globals
from .ssd_head import mend_ssd_head
from .work_dir import owned_work_dir
from .yaml_files import register_plain_yaml

__all__ = [
    'check_data_files',
    'check_pretrained',
    'check_resumable',
    'downloaded',
    'drop_pretrained',
    'find_weights',
    'kept_at',
    'latest_checkpoint',
    'load_from_file',
    'mend_ssd_head',
    'owned_work_dir',
    'prepare_cpu_ranks',
    'read_checkpoint',
    'register_plain_yaml',
    'register_reader',
    'register_remote_loaders',
    'register_safe_globals',
    'require_annotations',
    'require_test_annotations',
    'weights_digest',
]
