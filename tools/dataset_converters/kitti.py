#!/usr/bin/env python
"""Check KITTI's object detection set and write annotations/{train,val}.json in COCO's format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.datasets import convert_kitti  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402


def parse_args() -> argparse.Namespace:
    """A folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'root',
        nargs='?',
        default='data/kitti',
        help='folder with training/image_2, training/label_2 and ImageSets/{train,val}.txt (default: %(default)s)',
    )
    parser.add_argument(
        '--leave-out-broken', action='store_true', help='leave out broken pictures instead of refusing the set'
    )
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was written."""
    args = parse_args()
    with cli.command_line():
        print(convert_kitti(args.root, args.leave_out_broken))


if __name__ == '__main__':
    main()
