#!/usr/bin/env python
"""Decompose the layers of a trained detector: DIR/<config>_tucker.py and .pth, which train and test like any other.

The ranks come from the weights (EVBMF), or are a common share of each layer's channels, or are those of another
decomposed config. With --flops they are scaled, all by one factor, to a share of the FLOPs of the whole detector, as
mmengine counts them. Of a distillation, the student is decomposed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if (ROOT / 'mmdet_kd' / '__init__.py').is_file():  # a checkout runs its own package, installed or not
    sys.path.insert(0, str(ROOT))

from mmengine.config import Config, DictAction  # noqa: E402
from rich.console import Console  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from mmdet_kd import compression  # noqa: E402
from mmdet_kd.runtime import cli  # noqa: E402

# What is not a terminal is a file, which may be wide.
CONSOLE = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def parse_args() -> argparse.Namespace:
    """One detector, its ranks, one or two outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the detector, or of a distillation')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='its weights (default: those with which its training begins, a pretrained backbone, say)',
    )
    parser.add_argument('--out', metavar='DIR', help='folder for the config and the weights; made if missing')
    parser.add_argument('--fragment', metavar='FILE', help='write the ranks alone, as a config that inherits CONFIG')
    parser.add_argument('--dry-run', action='store_true', help='print what would be done, and write nothing')
    parser.add_argument('--flops', type=float, metavar='SHARE', help='share of the FLOPs to come to, e.g. 0.375')
    parser.add_argument(
        '--ranks',
        default='evbmf',
        metavar='evbmf|uniform|CONFIG',
        help='evbmf: what variational Bayes finds in the weights (default); uniform: the same share of the channels '
        'of every layer; CONFIG: those of this decomposed config',
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help="pictures to count FLOPs on (default: the scale of the config's test pipeline, else 800 1333)",
    )
    parser.add_argument(
        '--skip',
        type=pattern,
        default=compression.FINAL_PREDICTORS,
        metavar='REGEX',
        help='layers to leave as they are (default: the final predictors, %(default)s)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='change settings of the config first, e.g. model.backbone.frozen_stages=0',
    )
    args = parser.parse_args()
    if not (args.out or args.fragment or args.dry_run):
        parser.error('give --out DIR, --fragment FILE or --dry-run')
    if args.ranks == 'uniform' and args.flops is None:
        parser.error('--ranks uniform needs --flops SHARE')
    if args.ranks not in ('evbmf', 'uniform') and args.flops is not None:
        parser.error('--ranks CONFIG gives the ranks as they are: leave --flops out')
    return args


def pattern(text: str) -> str:
    """A regular expression that is one."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f'{text!r} is no regular expression ({error})') from error
    return text


def main() -> None:
    """Survey, choose, decompose, write, load what was written."""
    args = parse_args()
    with cli.command_line():
        if args.out and not args.dry_run:
            cli.require_free(*compression.files_of(stem_of(args)))
        source = cli.read_config(args.config)
        source.merge_from_dict(args.cfg_options or {})
        cfg = compression.plain_config(source)
        given = cli.read_config(args.ranks).get('model') if args.ranks not in ('evbmf', 'uniform') else None
        weights, meta = find_weights(args, cfg)
        detector = compression.build_detector(cfg, weights)
        survey = compression.survey(detector, tuple(args.shape or compression.shape_of_config(cfg)), args.skip)
        ranks = choose_ranks(args, detector, survey, given)
        layers = {layer.name: layer.written(ranks[layer.name]) for layer in survey.layers if layer.name in ranks}
        errors = compression.decompose_detector(detector, survey, ranks) if want_weights(args) else {}
        CONSOLE.print(compression.table_of_layers(survey, ranks, errors))
        share = survey.flops_at(ranks) / survey.flops
        CONSOLE.print(
            f'{len(ranks)} layers decomposed: {share:.2%} of {survey.flops / 1e9:.2f} GFLOPs on {survey.shape}'
        )
        frozen = [
            layer.name for layer in survey.layers if layer.name in ranks and not layer.module.weight.requires_grad
        ]
        if frozen:
            CONSOLE.print(
                f'{len(frozen)} of them are frozen, and no training will mend what they lose. If the config freezes '
                'stages: --cfg-options model.backbone.frozen_stages=0 (-1 for a ResNet)'
            )
        if args.dry_run:
            return
        if args.fragment:
            command = shlex.join(['python', *sys.argv])
            compression.write_fragment(Path(args.fragment), Path(args.config), source.model, detector, layers, command)
            CONSOLE.print(f'Wrote {args.fragment}')
        if args.out:
            written = compression.write_decomposed(cfg, detector, layers, meta, stem_of(args))
            check_written(*written, survey)


def stem_of(args: argparse.Namespace) -> Path:
    """Of the two files of a decomposed detector."""
    return Path(args.out) / f'{Path(args.config).stem}_tucker'


def find_weights(args: argparse.Namespace, cfg: Config) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The weights, and what is known of them."""
    if args.checkpoint is not None:
        return compression.read_student(args.checkpoint)
    return compression.initial_weights(cfg, pretrained=want_weights(args)), {}


def want_weights(args: argparse.Namespace) -> bool:
    """Whether the weights matter, or the ranks alone are asked for and do not follow from them."""
    return bool(args.checkpoint or args.out or args.ranks == 'evbmf')


def choose_ranks(
    args: argparse.Namespace, detector: nn.Module, survey: compression.Survey, given: dict | None
) -> dict[str, tuple[int, int]]:
    """Ranks of each layer that is to be decomposed; those of the `given` model, if any."""
    if args.ranks not in ('evbmf', 'uniform'):
        return compression.ranks_of_config(detector, survey, given)
    base = compression.evbmf_base(survey) if args.ranks == 'evbmf' else compression.uniform_base(survey)
    if args.flops is None:
        return compression.plan_at(survey, base)
    return compression.plan_for_share(survey, base, args.flops)


def check_written(config: Path, weights: Path, survey: compression.Survey) -> None:
    """Build the detector anew from the two files, and say what it computes and how to use it."""
    detector = compression.build_detector(Config.fromfile(config), compression.read_student(weights)[0])
    flops = compression.measure_flops(compression.ForwardPass(detector, survey.shape))
    CONSOLE.print(
        f'Wrote {config} and {weights}: they load strictly, and compute {flops / survey.flops:.2%} as measured.'
    )
    CONSOLE.print(f'  python tools/test.py {config} {weights}')
    CONSOLE.print(f'  python tools/train.py {config}')


if __name__ == '__main__':
    main()
