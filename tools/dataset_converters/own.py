#!/usr/bin/env python
"""Check your own set, say what is in it, and write a JSON file in COCO's format for each of its splits.

Layouts: VOC's folders; LabelImg's XML files beside the pictures; COCO's, also a JSON a folder as Roboflow exports it;
YOLO's text files. Where there is no split to validate on, one is drawn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.datasets.own import LAYOUTS, convert_own  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402


def parse_args() -> argparse.Namespace:
    """A folder, and how to read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', help='folder of the set')
    parser.add_argument('--out', help='folder to write to (default: ROOT/coco)')
    parser.add_argument('--layout', choices=list(LAYOUTS), help='of the set (default: looked for)')
    parser.add_argument(
        '--val-share',
        type=float,
        help='of the pictures, drawn where the set has no split to validate on (default: 0.2; needed where names of '
        'folders or lists leave open what they are for)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of that draw (default: %(default)s)')
    parser.add_argument(
        '--leave-out-broken', action='store_true', help='leave out broken pictures instead of refusing the set'
    )
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was found and written."""
    args = parse_args()
    with cli.command_line():
        found = convert_own(args.root, args.out, args.layout, args.val_share, args.seed, args.leave_out_broken)
        print(found.said)
        print(f'classes: {tuple(found.classes)}')


if __name__ == '__main__':
    main()
