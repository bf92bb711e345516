"""What a loss on maps is told of the student's anchors, against the anchors of the student's own head; and FGFI."""

import pytest
import torch
from helpers.architectures import c4, faster
from helpers.distil import build, distilled_cfg, losses_of, raw_batch, soft_part, step_of, taught
from helpers.one_stage import fcos, gfl, retinanet, ssd
from helpers.point_heads import POINT_HEADS
from helpers.tiny import REPO
from helpers.two_stage import REFUSED_RPN_HEADS, RPN_HEADS
from mmdet.registry import HOOKS, MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from torch import nn

from mmdet_kd.adapters import to_grid
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import observe_student, record_calls


@MODELS.register_module()
class AnchorListeningLoss(nn.Module):
    compares, needs_frame, needs_anchors, told = 'maps', True, True, []

    def forward(self, feat_s, feat_t, frame):
        self.told.append((feat_t.shape, frame))
        return feat_s.sum() * 0


def rounded(cfg):
    """A head whose last anchors are 60 pixels apart, on a map whose cells span 64: a stride that a network rounds."""
    cfg = retinanet(cfg)
    cfg.model.bbox_head.anchor_generator.strides = [4, 8, 16, 32, 60]
    return cfg


def as_many_levels_as_the_backbone(cfg):
    """A pyramid and an RPN of four levels."""
    cfg = faster(cfg)
    cfg.model.neck.num_outs = 4
    cfg.model.rpn_head.anchor_generator.strides = [4, 8, 16, 32]
    return cfg


def of_unlike_levels(cfg):
    """Another number of anchors on each level, as SSD has."""
    cfg = ssd(cfg)
    cfg.model.bbox_head.anchor_generator = dict(
        type='SSDAnchorGenerator',
        scale_major=False,
        input_size=96,
        min_sizes=[8, 16, 32, 48, 64],
        max_sizes=[16, 32, 48, 64, 90],
        strides=[4, 8, 16, 32, 64],
        ratios=[[2], [2, 3], [2, 3], [2], [2]],
    )
    return cfg


FAMILIES = {
    'faster': faster,
    'c4': c4,
    'centred': RPN_HEADS['two_scales'],
    'retinanet': retinanet,
    'gfl': gfl,
    'ssd': of_unlike_levels,
    'rounded': rounded,
}


def quick_or_slow(names, quick):
    """Parameters of a test, of which those that are not quick are left to the sweeps."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


def uneven(sizes=((96, 96), (40, 96)), boxes=(3, 2)):
    """Pictures of these heights and widths, their boxes as far as they lie inside."""
    batch = raw_batch(boxes, size=max(max(size) for size in sizes))
    for place, (height, width) in enumerate(sizes):
        batch['inputs'][place] = batch['inputs'][place][:, :height, :width].contiguous()
        sample = batch['data_samples'][place]
        sample.set_metainfo(dict(img_shape=(height, width), ori_shape=(height, width)))
        sample.gt_instances.bboxes = sample.gt_instances.bboxes * (min(height, width) / 96)
    return batch


def generator_of(detector):
    return (detector.rpn_head if hasattr(detector, 'rpn_head') else detector.bbox_head).prior_generator


def listening(**settings):
    settings = dict(adapter=dict(type='ConvAdapter'), loss=dict(type='AnchorListeningLoss')) | settings
    return dict(type='FeatureDistiller', **settings)


@pytest.mark.parametrize('name', quick_or_slow(FAMILIES, quick=('ssd', 'rounded')))
def test_anchors_are_those_of_the_students_own_head(student_cfg, teacher_cfg, name):
    """And how near they come to each true box, where the cells show a picture, is what mmdet's own function says."""
    source = 'backbone' if name == 'c4' else 'neck'
    student = FAMILIES[name](student_cfg)
    cfg = distilled_cfg(student, FAMILIES[name](teacher_cfg), None, hint=listening(source=source))
    detector, batch = build(cfg), uneven()
    AnchorListeningLoss.told.clear()
    losses_of(detector, batch)
    told = AnchorListeningLoss.told
    sizes, generator = [tuple(shape[-2:]) for shape, _ in told], generator_of(detector)
    best = []
    for level, (shape, frame) in enumerate(told):
        stride = {24: 4, 12: 8, 6: 16, 3: 32, 2: 64}[shape[-1]]
        theirs = generator.grid_priors(sizes, device='cpu')[level].view(*sizes[level], -1, 4)
        rows, columns = (torch.arange(extent)[..., None] for extent in sizes[level])
        cells = torch.stack(torch.broadcast_tensors(columns[None, :, 0], rows), dim=-1)
        found = frame.anchors.first + (cells * frame.anchors.spacing).repeat(1, 1, 2)[:, :, None]
        torch.testing.assert_close(found * stride, theirs, rtol=1e-4, atol=1e-3)
        best.append(torch.zeros(2, 3))
        for picture, sample in enumerate(batch['data_samples']):
            height, width = sample.img_shape
            shown = theirs[(rows * stride < height) & (columns[:, 0] * stride < width)].flatten(0, 1)
            overlaps = bbox_overlaps(sample.gt_instances.bboxes, shown)
            best[level][picture, : len(overlaps)] = overlaps.amax(dim=1)
        torch.testing.assert_close(frame.anchors.best, best[level], rtol=1e-3, atol=1e-4)
    for _, frame in told:
        of_all = torch.stack(best).amax(dim=0)
        torch.testing.assert_close(frame.anchors.best_of_all_levels, of_all, rtol=1e-3, atol=1e-4)


def coordinates_of(generator, level, size):
    """A map of a level of the student whose channels say where its anchors lie, and which cell it is."""
    sizes = [size if i == level else (1, 1) for i in range(generator.num_levels)]
    anchors = generator.grid_priors(sizes, device='cpu')[level].view(*size, -1).permute(2, 0, 1)
    rows, columns = torch.meshgrid(*(torch.arange(extent, dtype=torch.float) for extent in size), indexing='ij')
    return torch.cat([anchors, columns[None], rows[None]])[None]


@pytest.mark.parametrize(
    ('scale', 'levels', 'teacher_levels'),
    [
        (0.37, (0, 2), None),
        (None, (1,), (2,)),
        pytest.param(0.5, (0,), None, marks=pytest.mark.slow),
        pytest.param(0.5, (1,), (2,), marks=pytest.mark.slow),
        pytest.param(None, (2,), (1,), marks=pytest.mark.slow),
    ],
)
def test_on_another_grid_anchors_lie_where_the_students_map_is_read(
    student_cfg, teacher_cfg, scale, levels, teacher_levels
):
    """A map that holds the places of its own anchors says the same, brought to the teacher's grid as any map is."""
    hint = listening(levels=levels, teacher_levels=teacher_levels)
    cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint=hint)
    cfg.model.student_scale = scale
    detector = build(cfg)
    batch = detector.data_preprocessor(uneven(((128, 128), (101, 117))), training=True)
    with observe_student(detector, ('neck',)) as student:
        detector.extract_feat(batch['inputs'])
        knowledge = taught(detector, batch) if scale else detector.teacher.knowledge_of(batch['inputs'])
        step, distiller = step_of(batch, knowledge), detector.distillers['hint']
        AnchorListeningLoss.told.clear()
        distiller(student, knowledge, step)
        for place, (shape, frame) in enumerate(AnchorListeningLoss.told):
            feat_s = student.features('neck')[levels[place]]
            coordinates = coordinates_of(generator_of(detector), levels[place], tuple(feat_s.shape[-2:]))
            feat_t = knowledge.features('neck')[distiller.teacher_levels[place]]
            there, _ = distiller._same_region(place, coordinates.expand(2, -1, -1, -1), feat_t, step)
            there = to_grid(there, shape[-2:])
            *_, height, width = feat_s.shape
            # beyond the centres of the student's cells its map is repeated, and tells of no other place
            columns, rows = there[:, -2], there[:, -1]
            inside = (columns > 1) & (columns < width - 2) & (rows > 1) & (rows < height - 2)
            stride = 4 * 2 ** distiller.teacher_levels[place]
            ratios = torch.ones(2, 2) if step.ratios is None else step.ratios
            expected = there[:, :-2].unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2)
            expected = expected * ratios.repeat(1, 2)[:, None, None, None]
            cells = torch.stack(torch.meshgrid(*map(torch.arange, reversed(shape[-2:])), indexing='xy'), dim=-1)
            first, spacing = frame.anchors[:2]
            found = first[:, None, None] + (cells * spacing).repeat(1, 1, 2)[..., None, :]
            found = found.expand_as(expected)
            assert inside.flatten(1).sum(dim=1).min() >= 4
            torch.testing.assert_close(found[inside] * stride, expected[inside], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(('family', 'maximum'), [(faster, 'all levels'), (retinanet, 'level')])
def test_fgfi_of_a_whole_step_by_the_anchors_of_the_head(student_cfg, family, maximum):
    loss = dict(type='FGFILoss', maximum=maximum, loss_weight=0.02)
    cfg = distilled_cfg(
        family(student_cfg), family(student_cfg), None, fgfi=dict(type='FeatureDistiller', loss=loss, reduction='sum')
    )
    detector, batch = build(cfg), uneven()
    necks = {'student': (detector.neck, 'forward'), 'teacher': (detector.teacher.detector.neck, 'forward')}
    with record_calls(necks) as calls:
        found = soft_part(losses_of(detector, batch))['fgfi.loss_feat'].item()
    maps_s, maps_t = (calls[side][0].result for side in ('student', 'teacher'))
    grids = generator_of(detector).grid_priors([tuple(feat.shape[-2:]) for feat in maps_s], device='cpu')
    overlaps = {}  # (picture, level) -> of each true box, each cell and each anchor; 0 where there is no picture
    for picture, sample in enumerate(batch['data_samples']):
        for level, (grid, feat) in enumerate(zip(grids, maps_s, strict=True)):
            height, width = feat.shape[-2:]
            of_level = bbox_overlaps(sample.gt_instances.bboxes, grid).unflatten(1, (height, width, -1))
            of_level[:, -(-sample.img_shape[0] // 2 ** (level + 2)) :] = 0
            of_level[:, :, -(-sample.img_shape[1] // 2 ** (level + 2)) :] = 0
            overlaps[picture, level] = of_level
    expected, some_off = 0.0, False
    for level, (feat_s, feat_t) in enumerate(zip(maps_s, maps_t, strict=True)):
        total, count = 0.0, 0
        for picture in range(2):
            taken = range(5) if maximum == 'all levels' else [level]
            best = torch.stack([overlaps[picture, of].flatten(1).amax(dim=1) for of in taken]).amax(dim=0)
            on = (overlaps[picture, level] > 0.5 * best[:, None, None, None]).any(dim=3).any(dim=0)
            total += ((feat_s - feat_t)[picture].square().sum(dim=0)[on]).sum().item()
            count += on.sum().item()
        some_off |= count == 0
        expected += 0.02 / (2 * max(count, 1)) * total
    assert some_off == (maximum == 'all levels'), 'the small boxes were to leave out the coarsest level'
    assert found == pytest.approx(expected, rel=1e-4)


REFUSED = {
    'points': (
        fcos,
        'neck',
        "FGFILoss: the student's FCOSHead does not say where its anchors are: its priors are points",
    ),
    'points of another head': (POINT_HEADS['reppoints'], 'neck', 'its priors are points, which have no size'),
    'anchors made anew': (REFUSED_RPN_HEADS['guided'][0], 'neck', 'it predicts its anchors anew in each step'),
    'a point head for an RPN': (REFUSED_RPN_HEADS['fcos'][0], 'neck', 'FCOSHead does not say where its anchors are'),
    'another map': (
        faster,
        'backbone',
        "the student's RPNHead has them on the 5 levels of its neck, not on the 4 of its backbone: set source='neck'",
    ),
    'as many other maps': (
        as_many_levels_as_the_backbone,
        'backbone',
        'levels of its neck, not on the 4 of its backbone',
    ),
    'another map of a dense head': (retinanet, 'backbone', "RetinaHead has them on the 5 levels .* set source='neck'"),
}


def test_a_loss_that_asks_for_anchors_and_for_no_frame_is_refused(student_cfg, teacher_cfg):
    kind = type('Frameless', (AnchorListeningLoss,), {'needs_frame': False, 'forward': lambda _, s, t: s.sum() * 0})
    cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint=listening(loss=dict(type=kind)))
    with pytest.raises(DistillationError, match='set needs_frame = True in Frameless as well'):
        build(cfg, init=False)


@pytest.mark.parametrize('name', REFUSED)
def test_a_student_without_anchors_on_these_maps_is_refused_at_build(student_cfg, teacher_cfg, name):
    family, source, message = REFUSED[name]
    hint = listening(source=source, loss=dict(type='FGFILoss'))
    with pytest.raises(DistillationError, match=message) as refused:
        build(distilled_cfg(family(student_cfg), teacher_cfg, None, fgfi=hint), init=False)
    assert all('such as FGDLoss' in problem for problem in refused.value.problems)


@pytest.mark.parametrize(
    ('student', 'teacher'), [(faster, faster), (retinanet, fcos), pytest.param(gfl, gfl, marks=pytest.mark.slow)]
)
def test_the_fragment_trains(student_cfg, teacher_cfg, student, teacher):
    """From iteration 400 on, from a teacher without anchors too; a checkpoint holds the adapters, and no anchors."""
    fragment = Config.fromfile(REPO / 'configs/_base_/distillers/fgfi.py')
    cfg = distilled_cfg(student(student_cfg), teacher(teacher_cfg), None, **fragment.distillers)
    detector = build(cfg)
    first = soft_part(losses_of(detector, raw_batch()))['fgfi.loss_feat']
    first.backward()
    trained = dict(detector.named_parameters())
    assert all(p.grad is not None for name, p in trained.items() if name.startswith('distillers'))
    assert trained['distillers.fgfi.adapters.0.conv.weight'].grad.abs().sum() > 0
    assert trained['neck.lateral_convs.0.conv.weight'].grad.abs().sum() > 0
    added = {key for key in detector.state_dict() if key.startswith('distillers')}
    assert added == {f'distillers.fgfi.adapters.{i}.conv.{part}' for i in range(5) for part in ('weight', 'bias')}
    (hook,) = (HOOKS.build(dict(each)) for each in fragment.custom_hooks)
    assert [hook.value_at(iteration) for iteration in (0, 399, 400, 401)] == [0, 0, 1, 1]
    assert hook.path == 'distillers.fgfi.weight'
    detector.distillers['fgfi'].weight = 0.0
    assert soft_part(losses_of(detector, raw_batch()))['fgfi.loss_feat'].item() == 0
