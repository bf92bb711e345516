"""The teacher-bounded regression loss of Chen et al. against plain loops."""

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.losses.functional import teacher_bounded_l2

INF = float('inf')


def triple(rows=8, seed=0):
    """Student, teacher and target, such that the student is better on some rows and worse on others."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, 4, generator=generator, dtype=torch.float64) for _ in range(3))


def by_loops(pred, teacher, target, margin, weight=None):
    rows, pred = [], pred.detach()
    for i in range(len(pred)):
        error_s = error_t = paid = 0.0
        for k in range(4):
            square = (float(pred[i, k]) - float(target[i, k])) ** 2
            error_s += square
            error_t += (float(teacher[i, k]) - float(target[i, k])) ** 2
            w = 1.0 if weight is None else float(weight[i, k] if weight.dim() == 2 else weight[i])
            paid += w * square
        rows.append(paid if error_s + margin > error_t else 0.0)
    return torch.tensor(rows, dtype=torch.float64)


def weights(kind, rows=8):
    generator = torch.Generator().manual_seed(9)
    shapes = {'rows': (rows,), 'elements': (rows, 4)}
    return None if kind is None else torch.rand(shapes[kind], generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('margin', [0.0, 0.2, 3.0, INF])
@pytest.mark.parametrize('kind', [None, 'rows', 'elements'])
def test_value_and_gradient_are_the_loops(margin, kind):
    pred, teacher, target = triple()
    weight = weights(kind)
    pred.requires_grad_()
    loss = teacher_bounded_l2(pred, teacher, target, margin=margin, weight=weight)
    torch.testing.assert_close(loss.detach(), by_loops(pred, teacher, target, margin, weight), rtol=1e-12, atol=1e-12)
    loss.sum().backward()
    expected = finite_differences(lambda p: by_loops(p, teacher, target, margin, weight).sum(), pred)
    torch.testing.assert_close(pred.grad, expected, rtol=1e-6, atol=1e-8)


def test_the_example_has_rows_on_both_sides_of_the_bound():
    """Without this the tests above would prove nothing."""
    stopped = teacher_bounded_l2(*triple()) == 0
    assert 0 < stopped.sum() < len(stopped)


@pytest.mark.parametrize('margin', [0.0, 0.5, INF])
def test_gradcheck(margin):
    pred, teacher, target = triple(4)
    assert torch.autograd.gradcheck(
        lambda p: teacher_bounded_l2(p, teacher, target, margin=margin), pred.requires_grad_()
    )


def test_by_hand():
    target = torch.zeros(3, 4)
    pred = torch.tensor([[0.3, 0.0, 0.4, 0.0], [0.1, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0]])
    teacher = torch.tensor([[0.4, 0.0, 0.0, 0.0], [0.4, 0.0, 0.0, 0.0], [0.1, 0.1, 0.0, 0.0]])
    # row 0: 0.09 + 0.16 = 0.25; 0.25 + 0.01 > 0.16, paid
    # row 1: 0.01; 0.01 + 0.01 > 0.16 is false, nothing
    # row 2: 0.01; 0.01 + 0.02 > 0.02 with the margin, paid; 0.01 > 0.02 is false without
    assert teacher_bounded_l2(pred, teacher, target, margin=0.02).tolist() == pytest.approx([0.25, 0.0, 0.01])
    assert teacher_bounded_l2(pred, teacher, target, margin=0.0).tolist() == pytest.approx([0.25, 0.0, 0.0])


def test_infinite_margin_is_the_plain_l2():
    pred, teacher, target = triple()
    loss = teacher_bounded_l2(pred, teacher, target, margin=INF)
    torch.testing.assert_close(loss, (pred - target).square().sum(1))
    assert torch.equal(loss, teacher_bounded_l2(pred, target, target, margin=INF)), 'the teacher must not matter'


def test_a_tie_pays_nothing():
    """The comparison is strict: a student as good as its teacher is let go, unless a margin asks for more."""
    target = torch.zeros(2, 4)
    pred = torch.tensor([[1.0, 0, 0, 0], [0, 2.0, 0, 0]], requires_grad=True)
    mirrored = -pred.detach()
    loss = teacher_bounded_l2(pred, mirrored, target)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert pred.grad.abs().sum() == 0
    assert teacher_bounded_l2(pred, mirrored, target, margin=1e-3).tolist() == [1.0, 4.0]


def test_the_teacher_bounds_and_is_never_a_target():
    """The loss and gradient of a paying row depend on the ground truth alone."""
    target = torch.zeros(1, 4)
    results = []
    for teacher in (torch.zeros(1, 4), torch.full((1, 4), 0.4)):
        pred = torch.ones(1, 4, requires_grad=True)
        loss = teacher_bounded_l2(pred, teacher, target)
        loss.sum().backward()
        results.append((loss.item(), pred.grad.tolist()))
    assert results[0] == results[1] == (4.0, [[2.0, 2.0, 2.0, 2.0]])


def test_weight_does_not_enter_the_comparison():
    """A small weight must not let a bad student go."""
    pred, teacher, target = torch.ones(1, 4), torch.full((1, 4), 0.5), torch.zeros(1, 4)
    assert teacher_bounded_l2(pred, teacher, target, weight=torch.full((1,), 0.01)).item() == pytest.approx(0.04)


def test_student_equal_to_teacher_pays_nothing():
    pred, _, target = triple()
    assert teacher_bounded_l2(pred, pred.clone(), target).sum() == 0


def test_only_the_student_gets_gradient():
    pred, teacher, target = (t.requires_grad_() for t in triple())
    teacher_bounded_l2(pred, teacher, target, margin=1.0).sum().backward()
    assert pred.grad.abs().sum() > 0
    assert teacher.grad is None
    assert target.grad is None


def test_a_teacher_that_is_not_a_number_teaches_nothing():
    pred, target = torch.ones(1, 4, requires_grad=True), torch.zeros(1, 4)
    loss = teacher_bounded_l2(pred, torch.full((1, 4), float('nan')), target)
    loss.sum().backward()
    assert loss.item() == 0
    assert pred.grad.abs().sum() == 0


def test_no_rows():
    pred = torch.zeros(0, 4, requires_grad=True)
    loss = teacher_bounded_l2(pred, torch.zeros(0, 4), torch.zeros(0, 4), weight=torch.zeros(0, 4))
    assert loss.shape == (0,)
    assert loss.requires_grad


@pytest.mark.parametrize('wrong', range(3))
def test_shapes_must_agree(wrong):
    tensors = [torch.zeros(3, 4) for _ in range(3)]
    tensors[wrong] = torch.zeros(1, 4)
    with pytest.raises(ValueError, match=r'must all be \(n, 4\)'):
        teacher_bounded_l2(*tensors)
