#!/usr/bin/env python
"""Check every picture and annotation of VOC or COCO, which mmdet reads as they are; changes nothing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.datasets import check_coco, check_voc  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402

CHECKS = {'coco': check_coco, 'voc': check_voc}
ROOTS = {'coco': 'data/coco', 'voc': 'data/VOCdevkit'}


def parse_args() -> argparse.Namespace:
    """A set and its folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('set', choices=sorted(CHECKS))
    parser.add_argument('root', nargs='?', help=f'folder of the set (default: {", ".join(sorted(ROOTS.values()))})')
    return parser.parse_args()


def main() -> None:
    """Check, and say what is there."""
    args = parse_args()
    with cli.command_line():
        print(CHECKS[args.set](args.root or ROOTS[args.set]))


if __name__ == '__main__':
    main()
