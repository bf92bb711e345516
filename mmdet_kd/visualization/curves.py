"""Validation curves of several trainings in one picture."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw_curves(curves: Mapping[str, Mapping[int, float]], path: str | Path, colours: Mapping[str, str]) -> None:
    """Draw AP over the epochs.

    Args:
        curves: title -> epoch -> AP in points.
        path: of the PNG.
        colours: title -> matplotlib's name of a colour.
    """
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for title, curve in curves.items():
        axes.plot(list(curve), list(curve.values()), 'o-', ms=4, color=colours[title], label=title)
    axes.set(xlabel='epoch', ylabel='AP on the validation split', ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
