"""The recorder observes methods for the length of a block, and leaves no trace."""

import gc
import weakref

import pytest
import torch
from torch import nn

from mmdet_kd.knowledge import record_calls


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, first, second=None, *, third=0):
        return (first + (0 if second is None else second) + third) * self.scale

    def twice(self, first):
        return self(self(first))

    def fail(self, first):
        raise ValueError(f'no {first}')


def test_arguments_have_their_names_however_they_are_passed():
    module, a, b = Adder(), torch.ones(2), torch.full((2,), 2.0)
    with record_calls({'add': (module, 'forward')}) as calls:
        module(a, b)
        module(second=b, first=a, third=3)
        module(a)
    names = [set(call.arguments) for call in calls['add']]
    assert names == [{'first', 'second'}, {'first', 'second', 'third'}, {'first'}]
    assert calls['add'][1].arguments['third'] == 3


def test_what_is_recorded_are_the_very_tensors():
    module, a = Adder(), torch.ones(2)
    with record_calls({'add': (module, 'forward')}) as calls:
        result = module(a)
    assert calls['add'][0].arguments['first'] is a
    assert calls['add'][0].result is result
    assert result.grad_fn is not None


def test_the_calls_of_a_module_by_itself_are_seen_in_order():
    module = Adder()
    with record_calls({'add': (module, 'forward'), 'twice': (module, 'twice')}) as calls:
        module.twice(torch.ones(2))
    assert len(calls['twice']) == 1
    first, second = calls['add']
    assert second.arguments['first'] is first.result
    assert calls['twice'][0].result is second.result


def test_the_methods_are_restored():
    module = Adder()
    before = dict(module.__dict__)
    with record_calls({'add': (module, 'forward')}) as calls:
        assert 'forward' in module.__dict__
    assert module.__dict__ == before
    module(torch.ones(2))
    assert calls['add'] == []


def test_the_methods_are_restored_after_an_exception():
    module = Adder()
    before = dict(module.__dict__)
    with (
        pytest.raises(ValueError, match='no 3'),
        record_calls({'add': (module, 'forward'), 'fail': (module, 'fail')}) as calls,
    ):
        module.fail(3)
    assert module.__dict__ == before
    assert calls['fail'] == []


def test_nothing_is_shadowed_where_a_point_does_not_exist():
    module = Adder()
    before = dict(module.__dict__)
    with pytest.raises(AttributeError), record_calls({'add': (module, 'forward'), 'none': (module, 'absent')}):
        pass
    assert module.__dict__ == before


def test_only_this_instance_is_observed():
    watched, other = Adder(), Adder()
    with record_calls({'add': (watched, 'forward')}) as calls:
        other(torch.ones(2))
    assert calls['add'] == []
    assert 'forward' not in Adder.__dict__.get('__dict__', {})


def test_a_method_that_the_instance_already_shadows_comes_back():
    module = Adder()
    own = module.__dict__['forward'] = lambda first: first * 7
    with record_calls({'add': (module, 'forward')}) as calls:
        assert module(torch.ones(1)).item() == 7
    assert module.__dict__['forward'] is own
    assert len(calls['add']) == 1


def test_blocks_nest():
    module = Adder()
    with record_calls({'add': (module, 'forward')}) as outer:
        with record_calls({'add': (module, 'forward')}) as inner:
            module(torch.ones(1))
        module(torch.ones(1))
    assert (len(outer['add']), len(inner['add'])) == (2, 1)
    assert 'forward' not in module.__dict__


def test_the_state_dict_and_children_do_not_change_inside():
    module = Adder()
    names = list(module.state_dict()), [name for name, _ in module.named_modules()]
    with record_calls({'add': (module, 'forward')}):
        assert (list(module.state_dict()), [name for name, _ in module.named_modules()]) == names


def test_the_module_holds_nothing_after():
    module = Adder()
    with record_calls({'add': (module, 'forward')}) as calls:
        result = weakref.ref(module(torch.ones(2)))
        assert result() is not None
    del calls
    gc.collect()
    assert result() is None
