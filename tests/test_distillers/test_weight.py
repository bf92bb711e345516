"""The weight of a distiller: from all of the distillation down to none."""

import copy

import pytest
from helpers.distil import METHOD, build, distilled_cfg, losses_of, raw_batch, soft_part, total

from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import TeacherKnowledge


@pytest.fixture
def detector(student_cfg, teacher_cfg, teacher_checkpoint):
    return build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))


def set_weights(detector, weight, *names):
    for name in names or METHOD:
        detector.distillers[name].weight = weight


def as_number(loss):
    """Of a scalar, or of a list with one a level."""
    return sum(level.item() for level in loss) if isinstance(loss, list) else loss.item()


def test_a_weight_scales_the_soft_losses_and_gives_the_labels_the_rest(detector, student_cfg):
    batch = raw_batch()
    whole, alone = losses_of(detector, batch), losses_of(build(student_cfg), batch)
    set_weights(detector, 0.25)
    part = losses_of(detector, batch)
    for name, loss in soft_part(whole).items():
        assert part[name].item() == pytest.approx(0.25 * loss.item())
        assert loss > 0
    # mu is 0.5: a quarter of the distillation takes an eighth from the labels
    assert part['loss_cls'].item() == pytest.approx(0.875 * alone['loss_cls'].item())
    assert part['loss_rpn_cls'][0].item() == pytest.approx(0.875 * alone['loss_rpn_cls'][0].item())
    assert part['loss_bbox'].item() == pytest.approx(alone['loss_bbox'].item())


@pytest.mark.parametrize('weight', [0.0, 1.0])
def test_a_teacher_is_made_ready_also_for_who_asks_later(student_cfg, teacher_cfg, teacher_checkpoint, weight):
    """A weight may be 0 when the teacher is loaded, and be ramped up in the training."""
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
    for distiller in cfg.model.distillers.values():
        distiller.weight = weight
    assert build(cfg).teacher.forms.keys() == {'backbone', 'neck', 'rpn_head', 'roi_head'}


def test_without_weight_the_student_trains_as_if_alone_and_the_teacher_is_not_asked(detector, student_cfg, monkeypatch):
    def asked(*_):
        raise AssertionError('the teacher was asked')

    monkeypatch.setattr(TeacherKnowledge, '__init__', asked)
    set_weights(detector, 0.0)
    batch = raw_batch()
    losses, alone = losses_of(detector, batch), losses_of(build(student_cfg), batch)
    assert {name: as_number(loss) for name, loss in alone.items()}.items() <= {
        n: as_number(v) for n, v in losses.items()
    }.items()
    assert set(soft_part(losses)) == {f'{n}.loss_{p}' for n, d in detector.distillers.items() for p in d.parts}
    assert not any(soft_part(losses).values())
    total(losses).backward()  # with several ranks, DDP would stop at a parameter without a gradient
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ('numbers', 'needed'),
    [
        ({'hint.loss.loss_weight': 0}, {'rpn', 'roi'}),
        ({'rpn.weight': 0, 'roi.weight': 0}, {'neck'}),
        ({'roi.mu': 1.0}, {'neck', 'rpn', 'roi'}),  # the regression still counts
        ({'roi.mu': 1.0, 'roi.loss_bbox.loss_weight': 0}, {'neck', 'rpn'}),
    ],
)
def test_only_what_counts_is_computed(detector, monkeypatch, numbers, needed):
    asked = set()
    original = {name: getattr(TeacherKnowledge, name) for name in ('features', 'roi')}
    rpn = TeacherKnowledge.rpn.func
    monkeypatch.setattr(TeacherKnowledge, 'features', lambda s, k: asked.add(k) or original['features'](s, k))
    monkeypatch.setattr(TeacherKnowledge, 'roi', lambda s, *a: asked.add('roi') or original['roi'](s, *a))
    monkeypatch.setattr(TeacherKnowledge, 'rpn', property(lambda s: asked.add('rpn') or rpn(s)))
    for path, value in numbers.items():
        owner, _, name = path.rpartition('.')
        setattr(detector.distillers.get_submodule(owner), name, value)
    losses = losses_of(detector, raw_batch())
    assert asked == needed
    total(losses).backward()
    assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)


@pytest.mark.parametrize('weight', [-0.1, 1.5, None])
@pytest.mark.parametrize('name', list(METHOD))
def test_an_impossible_weight_is_refused_at_build(student_cfg, teacher_cfg, name, weight):
    method = copy.deepcopy(METHOD)
    method[name]['weight'] = weight
    with pytest.raises(DistillationError, match=rf'distillers.{name}: .*weight must lie in \[0, 1\]'):
        build(distilled_cfg(student_cfg, teacher_cfg, None, **method), init=False)
