"""Law 5, proved for each loaded teacher: whatever makes it fast is compared with the plain detector, part by part.

One plain pass over a picture records what each part gets and what it says. Each speed-up is then tried on each part, on
that part's own plain input. Where the part says anything else, beyond rounding, the speed-up is undone for this part.
"""

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import picture_channels
from ..errors import DistillationError
from ..knowledge import (
    AS_IT_COMES,
    MEMORY,
    PartForm,
    box_heads,
    maps_for_rois,
    run_mask_head,
    run_part,
    run_roi_head,
)
from .preprocessing import preprocess_images
from .speed import Speed, SpeedUp

#: Largest relative difference, as :func:`relative_difference` measures it, that passes for rounding.
ROUNDING = {torch.float32: 1e-4, torch.float16: 0.04, torch.bfloat16: 0.3}

_PICTURE = (384, 512)  # height and width, pixels: divisible by 128, and enough for DDOD and the last levels of SSD
_ROIS = 32
_HEAD_OF = {'rpn': 'rpn_head', 'dense': 'bbox_head', 'roi': 'roi_head', 'roi.masks': 'roi_head'}

#: Name of a quantity -> its values.
Answers = dict[str, Tensor]


class Recorded(NamedTuple):
    """A part of the plain detector in the plain pass."""

    maps: Tensor | tuple[Tensor, ...]  # that it got
    answers: Answers  # that it gave


class Outcome(NamedTuple):
    """What became of one speed-up of one part."""

    speed_up: str
    part: str
    problem: str | None  # why it was undone; None where it stays


def speed_up(detector: nn.Module, speed: Speed, asked: Collection[str]) -> tuple[dict[str, PartForm], list[Outcome]]:
    """Apply the configured speed-ups to a detector, each where it changes nothing that is asked, beyond rounding.

    Args:
        detector: frozen, in eval mode, with its weights; its parts are changed or replaced.
        speed: what is to be tried.
        asked: the kinds of knowledge (:data:`mmdet_kd.knowledge.KINDS`) that distillers ask for. Other parts are not
            run, and stay as they are.

    Returns:
        In which form each part is to get its maps, and what became of each speed-up.

    Raises:
        DistillationError: a part that is asked for cannot be run at all.
    """
    steps = list(speed.speed_ups())
    if not steps or not asked:
        return {}, []
    # the encoder of a DETR stays as it is
    forms, outcomes = ({'encoder': speed.plain_form} if MEMORY in asked else {}), []
    with torch.random.fork_rng(devices=[]), full_single_precision():
        for name, plain in _plain_pass(detector, asked).items():
            forms[name] = speed.plain_form
            for step in steps:
                form = forms[name]._replace(**step.form)
                ask = partial(_ask, name, plain.maps, form, asked)
                part, outcome = try_speed_up(step, name, getattr(detector, name), ask, plain.answers, form.dtype)
                setattr(detector, name, part)
                if outcome is not None:
                    outcomes.append(outcome)
                    forms[name] = forms[name] if outcome.problem else form
    return forms, outcomes


def try_speed_up(
    step: SpeedUp,
    name: str,
    part: nn.Module,
    ask: Callable[[nn.Module], Answers],
    expected: Answers,
    dtype: torch.dtype | None = None,
) -> tuple[nn.Module, Outcome | None]:
    """Try a speed-up on a copy of a part.

    Args:
        step: the speed-up.
        name: of the part.
        part: as it is so far; not changed.
        ask: what a part says.
        expected: what the plain part says.
        dtype: precision of the changed part; single if None.

    Returns:
        The part that is to be used, and what became of the speed-up; None where there was nothing to change.
    """
    changed = copy.deepcopy(part)
    try:
        if not step.change(name, changed):
            return part, None
        found = ask(changed)
    except Exception as error:  # whatever an operator raises: the part stays as it is
        message = ' '.join(str(error).split())[:100]  # of some, many lines; of others, none
        return part, Outcome(step.name, name, f'{type(error).__name__}: {message}')
    problem = describe_difference(found, expected, ROUNDING[dtype or torch.float32])
    return (part if problem else changed), Outcome(step.name, name, problem)


def describe_difference(found: Answers, expected: Answers, tolerance: float) -> str | None:
    """The quantity that differs most, and by how much; None where none differs by more than ``tolerance``."""
    if found.keys() != expected.keys():
        return f'it gives {len(found)} outputs instead of {len(expected)}'
    differences = {name: relative_difference(found[name], expected[name]) for name in expected}
    worst = max(differences, key=lambda name: differences[name], default=None)
    if worst is None or differences[worst] <= tolerance:
        return None
    return f'{worst} {_describe_share(differences[worst])}'


def _describe_share(difference: float) -> str:
    if not math.isfinite(difference):
        return 'is of another shape or not finite'
    return f'changes by {100 * difference:{".0f" if difference >= 0.1 else ".2g"}} %'


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """The length of the difference of two tensors relative to that of the expected one.

    It is infinite where either is not finite, or their shapes differ.

    The largest single difference would be a worse measure: rounding makes it grow with the number of values, so that
    its tolerance in half precision would let real faults pass. The length averages rounding, and still shows a fault of
    1 % in one value of a thousand in single precision.
    """
    if found.shape != expected.shape:
        return math.inf
    norm = torch.linalg.vector_norm
    off, size = norm(found.float() - expected.float()).item(), norm(expected.float()).item()
    if off == 0:
        return 0.0
    share = off / size if size > 0 else math.inf
    return share if math.isfinite(share) else math.inf


def describe(model: nn.Module, outcomes: Collection[Outcome]) -> str:
    """What became of the speed-ups of a teacher, in one line."""
    return f'To make the teacher ({type(model).__name__}) faster: {list_outcomes(outcomes)}.'


def list_outcomes(outcomes: Collection[Outcome]) -> str:
    """The speed-ups that stay, with the parts they are of; and those that were undone, with the reasons."""
    kept: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.problem is None:
            kept.setdefault(outcome.speed_up, []).append(outcome.part)
    done = '; '.join(f'{name} ({", ".join(parts)})' for name, parts in kept.items()) or 'nothing'
    undone = '; '.join(
        f'{outcome.speed_up} of {outcome.part}: {outcome.problem}' for outcome in outcomes if outcome.problem
    )
    return f'{done}. Undone, for it fails or changes what the teacher says: {undone}' if undone else done


# The plain pass.


def _plain_pass(detector: nn.Module, asked: Collection[str]) -> dict[str, Recorded]:
    """Run the parts that are asked for, and those before them, on one picture."""
    heads = list(dict.fromkeys(head for kind, head in _HEAD_OF.items() if kind in asked))
    maps, recorded = picture_for(detector, _PICTURE), {}
    for name in ('backbone', 'neck', *heads):
        if name == 'neck' and not (detector.with_neck and (heads or {'neck', MEMORY} & set(asked))):
            continue
        try:
            recorded[name] = Recorded(maps, _ask(name, maps, AS_IT_COMES, asked, getattr(detector, name)))
            _refuse_what_is_not_finite(name, recorded[name].answers)
            if name in ('backbone', 'neck'):
                maps = tuple(recorded[name].answers.values())
        except DistillationError:
            raise
        except Exception as error:
            what = f"the teacher's {name} ({type(getattr(detector, name, None)).__name__})"
            raise DistillationError(
                [
                    f'{what} cannot be run on a picture of {_PICTURE[1]}x{_PICTURE[0]} pixels, and a distiller asks '
                    f'for what it says ({type(error).__name__}: {error}): leave that distiller out, or take another '
                    'teacher'
                ]
            ) from error
    return recorded


def _refuse_what_is_not_finite(name: str, answers: Answers) -> None:
    bad = [what for what, answer in answers.items() if not torch.isfinite(answer).all()]
    if bad:
        raise DistillationError(
            [
                f"the teacher's {name} gives values that are not finite ({', '.join(bad[:3])}), with nothing changed: "
                'its training diverged. Take an earlier checkpoint of it'
            ]
        )


def _ask(
    name: str, maps: Tensor | tuple[Tensor, ...], form: PartForm, asked: Collection[str], part: nn.Module
) -> Answers:
    """All that a part says, whatever of it a distiller reads. It gets copies of the maps, which it may change.

    Of a RoI head, what its box heads and its mask heads say, as far as these are asked for.
    """
    maps = maps.clone() if isinstance(maps, Tensor) else tuple(feat.clone() for feat in maps)
    if name != 'roi_head':
        return dict(_quantities(run_part(part, maps, form), '', _names_of(name)))
    rois, answers = _rois(maps[0].device), {}
    for stage in range(len(box_heads(part))):
        if 'roi' in asked:
            outputs = run_roi_head(part, stage, maps_for_rois(maps), rois, form)
            answers |= dict(_quantities(outputs, f'stage {stage}', (('scores', 'box deltas'),)))
        if 'roi.masks' in asked:
            answers[f'stage {stage}, masks'] = run_mask_head(part, stage, maps_for_rois(maps), rois, form)
    return answers


def _names_of(part: str) -> tuple[tuple[str, ...], ...]:
    if part in ('backbone', 'neck'):
        return (('level {}',),)
    return (('scores', 'boxes', 'output {}'), ('level {}',))


def _quantities(outputs: Any, name: str, names: tuple[tuple[str, ...], ...]) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested outputs, each with a name that says where it was."""
    if isinstance(outputs, Tensor):
        yield name, outputs
    elif isinstance(outputs, (Mapping, list, tuple)):
        here = names[0] if names else ('{}',)
        items = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs)
        for place, output in items:
            word = here[min(place, len(here) - 1)] if isinstance(place, int) else '{}'
            yield from _quantities(output, f'{name}, {word}'.lstrip(', ').format(place), names[1:])


def picture_for(model: nn.Module, size: tuple[int, int]) -> Tensor:
    """A picture (1, C, height, width) as a model sees it: blobs and noise, more like a real one than noise."""
    generator = torch.Generator().manual_seed(0)
    channels = picture_channels(model.backbone)
    blobs = torch.rand(1, channels, 9, 12, generator=generator)
    blobs = F.interpolate(blobs, size=size, mode='bicubic', align_corners=False)
    picture = blobs + 0.1 * torch.randn(1, channels, *size, generator=generator)
    raw = (255 * picture[0]).clamp(0, 255).to(torch.uint8)
    return preprocess_images(model.data_preprocessor, [raw.to(next(model.parameters()).device)])


def _rois(device: torch.device) -> Tensor:
    """Boxes (n, 5) of all sizes and shapes on that picture, some of them across its border."""
    generator = torch.Generator().manual_seed(0)
    height, width = _PICTURE
    extent = torch.tensor([width, height])
    centres = torch.rand(_ROIS, 2, generator=generator) * extent
    sizes = extent * 2 ** -(5 * torch.rand(_ROIS, 2, generator=generator))  # from the whole to 12 pixels
    corners = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    return F.pad(corners, (1, 0)).to(device)


@contextmanager
def full_single_precision() -> Iterator[None]:
    """Have GPUs multiply without TF32, whose 10 bits would pass for a fault."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
