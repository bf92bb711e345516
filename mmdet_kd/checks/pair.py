"""A student and its teachers in a few lines: what each of them is, what is compared, and how the two sides meet."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from ..compression.config import ranks_of_model
from ..detectors import KnowledgeDistillationMixin
from ..distillers import BaseDistiller, Model, ModelPair
from ..distillers.sources import map_shapes_of
from ..export import DISTILLERS_PREFIX
from ..heads import DenseView, RoIView, RPNView
from ..hooks import LossWeightRampHook
from ..runtime.run_changes import differences
from ..teachers import BaseTeacher, ClassifierTeacher
from ..teachers.verification import list_outcomes
from ..unknown_names import some

_PARTS = (
    *('backbone', 'neck', 'encoder', 'decoder', 'rpn_head', 'roi_head'),
    *('bbox_head', 'mask_head', 'panoptic_head', 'semantic_head'),
)
#: Kind of knowledge -> the part of a detector that says it, beside its backbone and its neck.
_HEADS = {'memory': 'encoder', 'rpn': 'rpn_head', 'roi': 'roi_head', 'dense': 'bbox_head'}
_MOST_NAMES = 5


def describe_pair(model: nn.Module, hooks: Iterable[Hook] = ()) -> list[str]:
    """What is distilled from whom, a fact a line: ``'subject: fact'``.

    Nothing is run and nothing is changed.

    Args:
        model: a distilled detector whose teachers are loaded, and which was told its classes.
        hooks: of the training; those that move numbers of the model are told.

    Returns:
        For one teacher and the three distillers of Chen et al. some 14 lines.
    """
    pairs = {name: model.pair_with(name) for name in model.teachers}
    callings = {name: 'teacher' if len(pairs) == 1 else f'teachers.{name}' for name in pairs}
    learners: dict[str, list[BaseDistiller]] = {name: [] for name in pairs}
    for name, of in model.teacher_of.items():
        learners[of].append(model.distillers[name])
    lines = [f'student: {_describe_network(next(iter(pairs.values())).student)}']
    lines += [f'{callings[name]}: {_describe_teacher(model.teachers[name], pair)}' for name, pair in pairs.items()]
    for name, distiller in model.distillers.items():
        of = model.teacher_of[name]
        from_whom = '' if len(pairs) == 1 else f' from {callings[of]}'
        lines.append(f'distillers.{name}: {_describe_losses(distiller)}{from_whom}')
        lines += [f'distillers.{name}: {fact}' for fact in _what_is_compared(distiller, pairs[of])]
    for name, who in callings.items():
        teacher, pair = model.teachers[name], pairs[name]
        compared = any(distiller.compares_classes for distiller in learners[name])
        lines.append(f'classes of {who}: {_describe_classes(model.class_names, teacher, compared)}')
        lines.append(f'pictures for {who}: {_describe_pictures(model, teacher, pair)}')
        lines.append(f'{who} at work: {_describe_work(teacher, pair, learners[name])}')
        if teacher.outcomes:
            lines.append(f'{who} made faster: {list_outcomes(teacher.outcomes)}')
        if teacher.inherit:
            lines.append(f'start: {", ".join(_parts_of(model)[1:])} with the weights of {who} (inherit=True)')
    adapters = sum(parameter.numel() for parameter in model.distillers.parameters())
    if adapters:
        lines.append(f'adapters: {_millions(adapters)}, trained with the student and left out of its export')
    return lines + [f'ramp: {_describe_ramp(hook)}' for hook in hooks if isinstance(hook, LossWeightRampHook)]


# The two networks.


def _describe_network(side: Model) -> str:
    """Class, backbone and neck, decomposed layers, and the number of parameters."""
    kind = type(side.detector)
    if issubclass(kind, KnowledgeDistillationMixin):
        kind = kind.plain_class()
    own = [p.numel() for name, p in side.detector.named_parameters() if not name.startswith(DISTILLERS_PREFIX)]
    parts = [_describe_backbone(side)]
    if getattr(side.detector, 'neck', None) is not None:
        parts.append(type(side.detector.neck).__name__)
    decomposed = len(ranks_of_model(side.model_cfg))
    if decomposed:
        parts.append(f'{decomposed} layers decomposed')
    return f'{kind.__name__} of {", ".join(parts)}; {_millions(sum(own))}'


def _describe_backbone(side: Model) -> str:
    cfg = side.model_cfg.backbone
    depth = f'-{cfg.depth}' if 'depth' in cfg else ''
    width = f' of base width {cfg.base_channels}' if 'base_channels' in cfg else ''
    return f'{type(side.detector.backbone).__name__}{depth}{width}'


def _describe_teacher(teacher: BaseTeacher, pair: ModelPair) -> str:
    weights = 'untrained' if teacher.checkpoint is None else f'weights of {Path(teacher.checkpoint).name}'
    return f'{_describe_network(pair.teacher)}; {weights}'


def _millions(count: int) -> str:
    return f'{count / 1e6:.3g} million parameters'


def _parts_of(detector: nn.Module) -> list[str]:
    return [part for part in _PARTS if getattr(detector, part, None) is not None]


# What is compared.


def _describe_losses(distiller: BaseDistiller) -> str:
    """Its class, its losses and what they weigh."""
    said = [
        f'{type(loss).__name__} (loss_weight {getattr(loss, "loss_weight", 1.0):g})'
        for loss in map(_one_of, _losses_of(distiller).values())
    ]
    if not said:  # without modules of their own
        said = [f'{part} ({part}_weight {getattr(distiller, f"{part}_weight", 1.0):g})' for part in distiller.parts]
    if distiller.claim is not None:
        said.append(f'the labels count {distiller.claim.mu:g} (mu)')
    if distiller.weight != 1:
        said.append(f'all of it times {distiller.weight:g} at the start (weight)')
    if distiller.stop is not None:
        said.append(f'until it stops ({distiller.stop})')
    return f'{type(distiller).__name__} with {", ".join(said)}'


def _losses_of(distiller: BaseDistiller) -> dict[str, nn.Module]:
    return {name: module for name, module in distiller.named_children() if name.startswith('loss')}


def _one_of(module: nn.Module) -> nn.Module:
    """One of the losses, or the adapters, of all levels."""
    return module[0] if isinstance(module, nn.ModuleList) else module


def _what_is_compared(distiller: BaseDistiller, pair: ModelPair) -> Iterator[str]:
    """The maps that it compares, and the heads."""
    maps = distiller.compared_maps
    if maps is not None:
        shapes = [[of_side[level] for level in levels] for of_side, levels in _by_side(pair, maps)]
        strides, channels = (
            _from_to(*([getattr(shape, what) for shape in of_side] for of_side in shapes))
            for what in ('stride', 'channels')
        )
        adapters = [_describe_adapter(each) for each in (maps.adapter, maps.teacher_adapter) if each is not None]
        by = f' by {" and, of the teacher, ".join(adapters)}' if adapters else ''
        yield f'maps of {maps.source}, strides {strides}, channels {channels}{by}'
    kinds = {kind if kind == 'roi.masks' else kind.partition('.')[0] for kind in distiller.kinds}
    for kind, describe in _DESCRIBED.items():
        if kind not in kinds:
            continue
        head = kind.partition('.')[0]
        ours = describe(getattr(pair.student, head))
        if hasattr(pair.teacher.detector, _HEADS[head]):
            theirs = describe(getattr(pair.teacher, head))
            yield f'{ours}, on both sides' if ours == theirs else f"the student's {ours}; the teacher's {theirs}"
        else:
            yield f"the student's {ours}; the classifier has {pair.teacher.detector.num_classes} classes"


def _describe_adapter(adapter: nn.Module) -> str:
    idle = not any(True for _ in adapter.parameters())
    return type(adapter).__name__ + (', which trains nothing here' if idle else '')


def _by_side(pair: ModelPair, maps: Any) -> Iterator[tuple[Sequence[Any], Sequence[int]]]:
    return zip(map_shapes_of(pair, maps.source), zip(*maps.levels, strict=True), strict=True)


def _from_to(ours: Sequence[int], theirs: Sequence[int]) -> str:
    """'64', '16, 32', or '16, 32 to 64': the numbers of the levels of both sides, said once where they are alike."""
    sides = [list(dict.fromkeys(side)) if len(set(side)) == 1 else side for side in (ours, theirs)]
    said = [', '.join(map(str, side)) for side in sides]
    return said[0] if said[0] == said[1] else ' to '.join(said)


def _describe_rpn(view: RPNView) -> str:
    anchors = len(_one_cell(view)[0])
    score = 'a sigmoid' if view.score_channels == 1 else 'a softmax'
    return f'{view.name}: {anchors} anchors a cell, object or not by {score}, boxes by {_describe_coder(view.coder)}'


def _describe_roi(view: RoIView) -> str:
    said = []
    for stage in view.stages:
        facts = []
        if stage.why_not('scores') is None:
            facts.append(f'{stage.num_classes} classes by {"sigmoids" if stage.use_sigmoid else "a softmax"}')
        if stage.why_not('deltas') is None:
            facts.append(f'boxes by {_describe_coder(stage.coder)}')
        said.append(f'{type(stage.head).__name__}: {", ".join(facts)}')
    several = f'{len(said)} stages, ' if len(said) > 1 else ''
    return several + ', then '.join(dict.fromkeys(said))


def _describe_masks(view: RoIView) -> str:
    said = []
    for stage in view.mask_stages:
        classes = stage.num_classes
        masks = 'one mask for any class' if classes is None else f'a mask of each of {classes} classes'
        said.append(f'{type(stage.head).__name__}: {masks}')
    several = f'{len(said)} stages, ' if len(said) > 1 else ''
    return several + ', then '.join(dict.fromkeys(said))


def _describe_dense(view: DenseView) -> str:
    score = 'sigmoids' if view.use_sigmoid else 'a softmax'
    places = _one_cell(view)
    priors = 'points' if view.why_not('anchors') else f'{len(places[0])} anchors a cell'
    boxes = f', boxes by {_describe_coder(view.coder)}' if view.coder is not None else ''
    return f'{view.name}: {view.num_classes} classes by {score}, {priors}{boxes}'


#: Kind of knowledge -> what describes the head that it comes from.
_DESCRIBED: dict[str, Callable[[Any], str]] = {
    'rpn': _describe_rpn,
    'roi': _describe_roi,
    'roi.masks': _describe_masks,
    'dense': _describe_dense,
}


def _one_cell(view: RPNView | DenseView) -> list[Tensor]:
    """The anchors of one cell of each level; empty of a head on points."""
    if view.why_not('anchors'):
        return []
    return view.anchors([(1, 1)] * len(view.strides), torch.device('cpu'))


def _describe_coder(coder: object) -> str:
    stds = getattr(coder, 'stds', None)
    return type(coder).__name__ + (f' of std {", ".join(f"{each:g}" for each in stds)}' if stds is not None else '')


# How the two sides meet.


def _describe_classes(names: Sequence[str] | None, teacher: BaseTeacher, compared: bool) -> str:
    """How the student's classes are found among the teacher's, and which of these are not taught."""
    others = [name for name in teacher.classes or () if name not in (names or ())]
    if not compared:
        return 'nobody compares them' + (f'; it knows {some(teacher.classes, _MOST_NAMES)}' if others else '')
    listed = some(names or (), _MOST_NAMES)
    if teacher.classes_by_name:
        untaught = f'; not taught, and background: {some(others, _MOST_NAMES)}' if others else ''
        return f"{listed}, found by name among the teacher's {len(teacher.classes or ())}{untaught}"
    if teacher.classes is None:
        return f'{listed}; it names none, so their number alone was compared'
    return f'{listed}: the same on both sides, in this order'


def _describe_pictures(model: nn.Module, teacher: BaseTeacher, pair: ModelPair) -> str:
    """Whether both sides see the same, and what is done where they do not."""
    if isinstance(teacher, ClassifierTeacher):
        size = pair.teacher.detector.crop_size
        return f"cut out of the student's own at the boxes, {size}x{size} pixels"
    scale = pair.student_scale
    larger = '' if scale is None else f'; the student sees them at {scale:g} of the size'
    if not teacher.wants_loaded_pictures(model.data_preprocessor):
        return f'the same as for the student{larger}'
    ours, theirs = (_settings(side.model_cfg.data_preprocessor) for side in (pair.student, pair.teacher))
    said = ', '.join(words for _, words in differences('', ours, theirs)) or 'as its own data_preprocessor makes them'
    return f"in its own normalisation, from the loaded ones (the student's -> its: {said}){larger}"


def _settings(preprocessor: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how pictures are normalised and padded, in plain types."""
    named = {key: value for key, value in preprocessor.items() if key not in ('_scope_', 'batch_augments')}
    named['bgr_to_rgb'] = bool(named.get('bgr_to_rgb') or named.pop('rgb_to_bgr', False))  # one exchange, two names
    return named


def _describe_work(teacher: BaseTeacher, pair: ModelPair, learners: Sequence[BaseDistiller]) -> str:
    """Which of its parts run in a step; those that no distiller asks for do not."""
    if isinstance(teacher, ClassifierTeacher):
        return f'looks at {teacher.chunk} crops at once, at most'
    kinds = {kind.partition('.')[0] for distiller in learners for kind in distiller.kinds}
    parts = _parts_of(pair.teacher.detector)
    asked = {'backbone', *(_HEADS[kind] for kind in kinds & set(_HEADS))} | (
        {'neck'} if kinds - {'backbone'} else set()
    )
    idle = [part for part in parts if part not in asked]
    never = f'; {", ".join(idle)} never run' if idle else ''
    return f'its {", ".join(part for part in parts if part in asked)} run once a step{never}'


def _describe_ramp(hook: LossWeightRampHook) -> str:
    unit = 'epoch' if hook.by_epoch else 'iteration'
    if hook.begin == hook.end:
        return f'{hook.path} is {hook.start:g}, and {hook.stop:g} from {unit} {hook.end} on'
    return f'{hook.path} goes from {hook.start:g} to {hook.stop:g} between {unit} {hook.begin} and {hook.end}'
