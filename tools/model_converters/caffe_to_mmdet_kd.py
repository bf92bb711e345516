#!/usr/bin/env python
"""Turn the ImageNet weights of a Caffe network into a file that the network here loads, convolutions, fc6 and fc7.

`backbone.init_cfg` and `roi_head.bbox_head.init_cfg` both name it: dict(type='Pretrained', checkpoint=OUT).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmdet_kd.backbones.caffe import KEY_MAPS, convert, read_caffe_weights  # noqa: E402
from mmdet_kd.export import save_student  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402


def parse_args() -> argparse.Namespace:
    """A network, and two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'network',
        choices=KEY_MAPS,
        help='alexnet: bvlc_alexnet; vgg-m: VGG_CNN_M_1024; vgg16: VGG_ILSVRC_16_layers',
    )
    parser.add_argument('source', help="a .caffemodel, or a .npz or .pth with Caffe's names (conv1.weight, ...)")
    parser.add_argument('out', help='the new .pth')
    return parser.parse_args()


def main() -> None:
    """Convert, and say what was written."""
    args = parse_args()
    with cli.command_line():
        cli.require_free(args.out)
        weights = convert(read_caffe_weights(args.source), args.network)
        save_student({'state_dict': weights}, args.out)  # tensors alone, and whole or not at all
        print(f'Wrote {len(weights)} tensors of {args.network} to {args.out}.')


if __name__ == '__main__':
    main()
