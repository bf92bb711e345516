#!/usr/bin/env python
"""Write the student of a distillation as an ordinary MMDetection model: DIR/student.py and DIR/student.pth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.export import export_student  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Two inputs, one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the distillation config')
    parser.add_argument('checkpoint', help='a checkpoint that training with it saved')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the two files; made if missing')
    return parser.parse_args()


def main() -> None:
    """Export, and say how to test what came out."""
    args = parse_args()
    with cli.command_line():
        config, weights = export_student(cli.read_config(args.config), args.checkpoint, args.out)
        print(f'Wrote {config} and {weights}. Test them with MMDetection alone:')
        print(f'  mim test mmdet {config} --checkpoint {weights}')


if __name__ == '__main__':
    main()
