#!/usr/bin/env python
"""Check ILSVRC's object detection set (DET) and write annotations/{train,val1,val2}.json in COCO's format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.datasets import convert_ilsvrc_det  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402


def parse_args() -> argparse.Namespace:
    """A folder, and which pictures of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'root',
        nargs='?',
        default='data/ILSVRC',
        help='folder with Annotations, Data, ImageSets and devkit (default: %(default)s)',
    )
    for half in ('val1', 'val2'):
        parser.add_argument(f'--{half}', help=f'list of the ids of {half} (default: ImageSets/DET/{half}.txt)')
    parser.add_argument(
        '--halve-val',
        action='store_true',
        help='without these lists: every other picture of val.txt, a split that is not the one of the literature',
    )
    parser.add_argument(
        '--train-per-class',
        type=int,
        default=1000,
        metavar='N',
        help='at most so many positive training pictures of each class; 0 for all (default: %(default)s)',
    )
    parser.add_argument(
        '--leave-out-broken', action='store_true', help='leave out broken pictures instead of refusing the set'
    )
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was written."""
    with cli.command_line():
        print(convert_ilsvrc_det(**vars(parse_args())))


if __name__ == '__main__':
    main()
