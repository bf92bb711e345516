#!/usr/bin/env python
"""Draw the set of shapes that the demo trains on: images and COCO annotations, the same for the same options."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.datasets import ShapesSpec, draw_shapes  # noqa: E402


def parse_args() -> argparse.Namespace:
    """A folder, and an option for each number of the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', nargs='?', default='data/shapes', help='folder of the set; found again if it is whole')
    for field in fields(ShapesSpec):
        option = '--' + field.name.replace('_', '-')
        parser.add_argument(option, type=type(field.default), default=field.default, help='default: %(default)s')
    return parser.parse_args()


def main() -> None:
    """Draw, and say where."""
    options = vars(parse_args())
    root = options.pop('root')
    try:
        print(f'The set is in {draw_shapes(root, ShapesSpec(**options))}.')
    except FileExistsError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
