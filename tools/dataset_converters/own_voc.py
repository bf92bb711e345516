#!/usr/bin/env python
"""Check your own set in VOC's layout and write a JSON file in COCO's format for each list of ImageSets/Main."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.datasets import convert_voc  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402


def parse_args() -> argparse.Namespace:
    """Two folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder with Annotations, ImageSets/Main and JPEGImages')
    parser.add_argument('--out', help='folder to write to (default: ROOT/annotations)')
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was written."""
    args = parse_args()
    with cli.command_line():
        print(convert_voc(args.root, args.out))


if __name__ == '__main__':
    main()
