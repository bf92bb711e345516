"""The registered losses: thin modules over the functions, in full precision, strict about their arguments."""

from inspect import signature

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_kd import losses
from mmdet_kd.losses import ClassWeightedSoftCrossEntropyLoss, HintLoss, TeacherBoundedL2Loss
from mmdet_kd.losses.functional import (
    class_weighted_soft_cross_entropy,
    hint_loss,
    teacher_bounded_l2,
    weighted_average,
)
from mmdet_kd.losses.precision import in_full_precision, widen_arguments

HALF = [torch.float16, torch.bfloat16]
LOSSES = {  # name -> (module, shape of each tensor that it compares)
    'soft': (ClassWeightedSoftCrossEntropyLoss(), [(6, 4)] * 2),
    'bounded': (TeacherBoundedL2Loss(margin=0.1), [(6, 4)] * 3),
    'plain': (TeacherBoundedL2Loss(margin=float('inf')), [(6, 4)] * 3),
    'hint_l2': (HintLoss(), [(2, 3, 4, 4)] * 2),
    'hint_l1': (HintLoss(norm='l1'), [(2, 3, 4, 4)] * 2),
}


def tensors(shapes, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) * scale for shape in shapes]


@pytest.mark.parametrize(
    'name', [name for name in losses.__all__ if issubclass(getattr(losses, name), torch.nn.Module)]
)
def test_registered_with_mmdet_under_its_own_name(name):
    kind = getattr(losses, name)
    channels = {parameter: 4 for parameter in signature(kind).parameters if parameter.endswith('channels')}
    module = MODELS.build({'type': name, **channels})
    assert type(module) is kind
    assert bool(module.state_dict()) == bool(channels), 'what is told the channels of its level trains something'


def test_defaults_are_the_contract():
    soft, bounded, hint = ClassWeightedSoftCrossEntropyLoss(), TeacherBoundedL2Loss(), HintLoss()
    assert (soft.background_weight, soft.temperature, soft.loss_weight) == (1.5, 1.0, 1.0)
    assert (bounded.margin, bounded.loss_weight) == (0.0, 0.5)
    assert (hint.norm, hint.loss_weight) == ('l2', 0.5)


@pytest.mark.parametrize('loss_weight', [0.0, 0.3, 2.0])
@pytest.mark.parametrize('avg_factor', [None, 4.0, torch.tensor(4.0)])
def test_soft_module_is_the_function_times_the_weight(loss_weight, avg_factor):
    z_s, z_t = tensors([(6, 4)] * 2)
    weight = torch.rand(6, generator=torch.Generator().manual_seed(1))
    module = ClassWeightedSoftCrossEntropyLoss(background_weight=2.0, temperature=3.0, loss_weight=loss_weight)
    rows = class_weighted_soft_cross_entropy(z_s, z_t, background_weight=2.0, temperature=3.0)
    expected = loss_weight * weighted_average(rows, weight, avg_factor)
    torch.testing.assert_close(module(z_s, z_t, weight, avg_factor=avg_factor), expected)
    torch.testing.assert_close(module(z_s, z_t), loss_weight * rows.mean())


@pytest.mark.parametrize('loss_weight', [0.0, 0.3, 2.0])
@pytest.mark.parametrize('avg_factor', [None, 4.0, torch.tensor(4.0)])
@pytest.mark.parametrize('weight_shape', [(6,), (6, 4)])
def test_bounded_module_is_the_function_times_the_weight(loss_weight, avg_factor, weight_shape):
    deltas = tensors([(6, 4)] * 3)
    weight = torch.rand(weight_shape, generator=torch.Generator().manual_seed(1))
    module = TeacherBoundedL2Loss(margin=0.5, loss_weight=loss_weight)
    rows = teacher_bounded_l2(*deltas, margin=0.5, weight=weight)
    expected = loss_weight * weighted_average(rows, avg_factor=avg_factor)
    torch.testing.assert_close(module(*deltas, weight, avg_factor=avg_factor), expected)
    torch.testing.assert_close(module(*deltas), loss_weight * teacher_bounded_l2(*deltas, margin=0.5).mean())


@pytest.mark.parametrize('norm', ['l2', 'l1'])
def test_hint_module_is_the_function_times_the_weight(norm):
    maps = tensors([(2, 3, 4, 4)] * 2)
    torch.testing.assert_close(HintLoss(norm=norm, loss_weight=0.3)(*maps), 0.3 * hint_loss(*maps, norm=norm))


@pytest.mark.parametrize('loss', [ClassWeightedSoftCrossEntropyLoss(), TeacherBoundedL2Loss()])
def test_no_rows_give_an_attached_zero(loss):
    """Law 6: a batch with no positive trains on, and DDP sees a gradient for every parameter."""
    layer = torch.nn.Linear(3, 4)
    empty = torch.zeros(0, 4)
    count = 1 if isinstance(loss, ClassWeightedSoftCrossEntropyLoss) else 2
    value = loss(layer(torch.zeros(0, 3)), *[empty] * count, weight=torch.zeros(0), avg_factor=1.0)
    value.backward()
    assert value.item() == 0
    assert all((p.grad == 0).all() for p in layer.parameters())


@pytest.mark.parametrize('dtype', HALF)
@pytest.mark.parametrize('name', LOSSES)
def test_half_precision_is_widened_before_anything_is_computed(name, dtype):
    """Under autocast and without, the result and gradient are those of the same numbers in float32."""
    module, shapes = LOSSES[name]
    halves = [t.to(dtype) for t in tensors(shapes, scale=3.0)]
    results = []
    for enabled, inputs in ((True, halves), (False, halves), (False, [t.float() for t in halves])):
        student = inputs[0].clone().requires_grad_()
        with torch.autocast('cpu', dtype=dtype, enabled=enabled):
            loss = module(student, *inputs[1:])
        assert loss.dtype == torch.float32
        loss.backward()
        results.append((loss.item(), student.grad.to(dtype)))
    assert results[0][0] == results[1][0] == results[2][0]
    assert torch.equal(results[0][1], results[2][1])


@pytest.mark.parametrize('name', LOSSES)
def test_what_overflows_in_half_precision_is_finite(name):
    """The squares of 300 and the sum of a map of 60000 exceed 65504, the greatest float16."""
    module, shapes = LOSSES[name]
    shapes = [(1, 8, 16, 16)] * 2 if name.startswith('hint') else shapes
    student = torch.full(shapes[0], 300.0, dtype=torch.float16, requires_grad=True)
    others = [torch.zeros(shape, dtype=torch.float16) for shape in shapes[1:]]
    assert not student.square().sum().isfinite()
    with torch.autocast('cpu', dtype=torch.float16):
        loss = module(student, *others)
    loss.backward()
    assert loss.isfinite()
    assert loss.item() == module(student.float(), *(t.float() for t in others)).item()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize('name', LOSSES)
def test_double_precision_stays(name):
    module, shapes = LOSSES[name]
    assert module(*(t.double() for t in tensors(shapes))).dtype == torch.float64


class Product(torch.nn.Module):
    @in_full_precision
    def forward(self, first, *, second):
        """A matrix product of the two."""
        return first @ second


@pytest.mark.parametrize('dtype', HALF)
def test_autocast_is_off_inside(dtype):
    """Widening alone would not do: autocast narrows a matrix product again."""
    first, second = torch.full((1, 64), 255.0), torch.full((64, 1), 257.0)
    with torch.autocast('cpu', dtype=dtype):
        product = Product()(first.to(dtype), second=second)
        assert torch.is_autocast_enabled('cpu')
    assert product.dtype == torch.float32
    assert product.item() == 64 * torch.tensor(255.0).to(dtype).item() * 257


def test_half_precision_weights_and_factors_are_widened_too():
    z_s, z_t = tensors([(6, 4)] * 2)
    weight, avg_factor = torch.full((6,), 60000.0), torch.tensor(2.0)
    loss = ClassWeightedSoftCrossEntropyLoss()
    assert loss(z_s.half(), z_t.half(), weight.half(), avg_factor=avg_factor.half()).isfinite()


@pytest.mark.parametrize(
    ('build', 'match'),
    [
        (lambda: ClassWeightedSoftCrossEntropyLoss(temperature=0), 'temperature must be greater than 0, not 0'),
        (lambda: ClassWeightedSoftCrossEntropyLoss(temperature=-1), 'temperature must be greater than 0, not -1'),
        (lambda: ClassWeightedSoftCrossEntropyLoss(temperature=float('nan')), 'temperature must be a number, not nan'),
        (lambda: ClassWeightedSoftCrossEntropyLoss(background_weight=-0.1), 'background_weight must be at least 0'),
        (lambda: ClassWeightedSoftCrossEntropyLoss(loss_weight=-1), 'loss_weight must be at least 0, not -1'),
        (lambda: TeacherBoundedL2Loss(margin=-0.01), r'margin must be at least 0, not -0\.01'),
        (lambda: TeacherBoundedL2Loss(margin=float('nan')), 'margin must be a number, not nan'),
        (lambda: TeacherBoundedL2Loss(loss_weight=-0.5), 'loss_weight must be at least 0'),
        (lambda: HintLoss(loss_weight=-0.5), 'loss_weight must be at least 0'),
        (lambda: HintLoss(loss_weight=float('nan')), 'loss_weight must be a number, not nan'),
        (lambda: HintLoss(norm='L2'), r"norm must be 'l2' or 'l1', not 'L2'"),
    ],
)
def test_bad_arguments_are_named(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_zero_weights_are_allowed():
    """A part may be switched off, and a ramp may begin at 0."""
    ClassWeightedSoftCrossEntropyLoss(background_weight=0, loss_weight=0)
    TeacherBoundedL2Loss(loss_weight=0)
    HintLoss(loss_weight=0)


@pytest.mark.parametrize('dtype', HALF)
def test_a_loss_that_is_not_ours_gets_all_its_arguments_widened(dtype):
    half = torch.ones(2, dtype=dtype)
    args, kwargs = widen_arguments(torch.nn.Identity(), (half, 'mean'), dict(weight=half, labels=torch.tensor([1])))
    assert (args[0].dtype, args[1]) == (torch.float32, 'mean')
    assert (kwargs['weight'].dtype, kwargs['labels'].dtype) == (torch.float32, torch.int64)
