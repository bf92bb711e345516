"""Curves of several trainings in one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: Place in a training (epoch or step) -> number.
Curve = Mapping[int, float]


def draw_curves(
    curves: Mapping[str, Curve | Sequence[Curve]],
    path: str | Path | IO[bytes],
    colours: Mapping[str, str],
    place: str = 'epoch',
    number: str = 'AP on the validation split',
    log: bool = False,
) -> None:
    """Draw numbers over the place in a training.

    Args:
        curves: title -> its curve, or one a seed, which are drawn in one colour.
        path: of the PNG, or an open file.
        colours: title -> matplotlib's name of a colour.
        place: what the horizontal axis counts.
        number: what the vertical axis shows.
        log: whether it has a logarithmic scale; otherwise it begins at 0.
    """
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for title, found in curves.items():
        of_seeds = [found] if isinstance(found, Mapping) else found
        for index, curve in enumerate(of_seeds):
            line = dict(marker='o', ms=4) if len(curve) <= 40 else dict(lw=1)
            label = title if index == 0 else None
            axes.plot(list(curve), list(curve.values()), color=colours[title], label=label, **line)
    axes.set(xlabel=place, ylabel=number)
    if log:
        axes.set_yscale('log')
    else:
        axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130, format='png')
