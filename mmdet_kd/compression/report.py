"""A decomposition, layer by layer, as a table."""

from collections.abc import Mapping

from rich.table import Table

from .plan import RanksByLayer
from .survey import Survey


def table_of_layers(survey: Survey, ranks: RanksByLayer, errors: Mapping[str, float]) -> Table:
    """Ranks, parameters, FLOPs and error of the kernel of each layer, and why a layer stays as it is.

    Args:
        survey: of the detector.
        ranks: of the layers that are decomposed.
        errors: relative error of the kernel, of those; empty if there are no weights.
    """
    table = Table('layer', 'channels', 'ranks', 'parameters (k)', 'FLOPs (M)', 'error', title='Decomposition')
    table.columns[0].overflow = 'fold'
    for column in table.columns[1:]:
        column.justify = 'right'
    for layer in survey.layers:
        rank = ranks.get(layer.name)
        table.add_row(
            layer.name + ('' if layer.module.weight.requires_grad else ' (frozen)'),
            _pair(layer.full),
            'kept: no gain' if rank is None else _pair(rank),
            _before_and_after(layer.parameters(layer.full), rank and layer.parameters(rank), 1e3),
            _before_and_after(layer.flops(layer.full), rank and layer.flops(rank), 1e6),
            f'{errors[layer.name]:.3f}' if layer.name in errors else '',
        )
    for name, reason in survey.skipped.items():
        table.add_row(name, '', f'skipped: {reason}', '', '', '', style='dim')
    return table


def _pair(numbers: tuple[int, int]) -> str:
    return f'{numbers[0]} x {numbers[1]}'


def _before_and_after(before: int, after: int | None, unit: float) -> str:
    return f'{before / unit:.1f}' if after is None else f'{before / unit:.1f} -> {after / unit:.1f}'
