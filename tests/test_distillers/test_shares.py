"""How labels and teachers share a loss, in numbers; tests/test_detectors/test_hard_and_soft.py has real losses."""

import itertools

import pytest

from mmdet_kd.distillers import Claim, RoIDistiller, Shares


def shares(*claims):
    """Of distillers 'a', 'b', ... with (mu, weight) each, and what each of them and the labels get of the whole."""
    claims = {name: Claim('loss_cls', 'cls', mu, weight) for name, (mu, weight) in zip('abc', claims, strict=False)}
    found = Shares(claims)
    return [found.hard('loss_cls'), *(claim.weight * found.soft(name, 'cls') for name, claim in claims.items())]


def test_all_parts_of_a_loss_add_up_to_one():
    claims = list(itertools.product((0.0, 0.3, 1.0), (0.25, 0.6, 1.0)))
    for count in (1, 2, 3):
        for chosen in itertools.combinations_with_replacement(claims, count):
            assert sum(shares(*chosen)) == pytest.approx(1, abs=1e-12), chosen


def test_a_claim_that_is_alone_mixes_by_its_own_mu_to_the_bit():
    for mu, weight in itertools.product((0.0, 0.1, 0.3, 1.0), (0.1, 0.7, 1.0)):
        assert shares((mu, weight)) == [weight * mu + (1 - weight), weight * (1 - mu)]


@pytest.mark.parametrize('mu', [0.0, 0.4, 1.0])
def test_nothing_jumps_when_a_weight_comes_to_zero(mu):
    """An inactive distiller claims nothing, so what it claims just before must be next to nothing."""
    assert shares((0.2, 1.0), (mu, 1e-9))[:2] == pytest.approx(shares((0.2, 1.0)), abs=1e-8)
    assert shares((0.2, 1e-9), (mu, 1e-9))[0] == pytest.approx(1, abs=1e-8)


def test_weights_that_fall_together_take_from_all_alike():
    whole, half = shares((0.2, 1.0), (0.6, 1.0)), shares((0.2, 0.5), (0.6, 0.5))
    assert whole == pytest.approx([0.4, 0.4, 0.2])
    assert half == pytest.approx([0.7, 0.2, 0.1])


def test_a_loss_that_nobody_claims_is_left_alone():
    found = Shares({'rpn': Claim('loss_rpn_cls', 'cls', 0.5, 1.0)})
    assert (found.hard('loss_cls'), found.hard('loss_rpn_bbox')) == (1.0, 1.0)
    assert (found.soft('rpn', 'bbox'), found.soft('roi', 'cls')) == (1.0, 1.0)
    assert Shares({}).hard('loss_cls') == 1.0


@pytest.mark.parametrize('other', ['loss_cls_aux', 'rpn_loss_cls', 's0.loss_cls_aux', 'd1.loss_cls'])
def test_a_loss_whose_name_is_longer_is_another_one(other):
    found = Shares({'roi': Claim(RoIDistiller.own_loss, 'cls', 0.25, 1.0)})
    assert [found.hard(name) for name in ('loss_cls', 's1.loss_cls', other)] == [0.25, 0.25, 1.0]
    found.check([other, 's0.loss_cls'])
    with pytest.raises(RuntimeError, match=f'the student has only loss_bbox, {other}: leave loss_cls out'):
        found.check(['loss_bbox', other])


def test_two_ways_to_claim_one_loss_are_refused():
    found = Shares({'a': Claim('loss_cls', 'cls', 0.5, 1.0), 'b': Claim(r'loss_.*', 'cls', 0.5, 1.0)})
    with pytest.raises(ValueError, match=r'loss_cls is claimed as loss_cls and as loss_\.\*'):
        found.hard('loss_cls')
