"""What several tests share: tiny real detectors on a tiny real data set."""

from .tiny import run_tool, tiny_student_cfg, tiny_teacher_cfg, write_tiny_coco

__all__ = ['run_tool', 'tiny_student_cfg', 'tiny_teacher_cfg', 'write_tiny_coco']
