"""Trainings that are compared: the same seeds for each config, their progress, and the table of what they reached.

A command that compares, trains and exports goes through these steps, under one lock of its folder::

    with alone_in(args.out) as lock:
        trainings = compare(configs, args, tools, console, lock)  # what is finished is not trained again
        exported = export(trainings[-1], out / 'exported', tools, lock)
        scores = exported_scores(trainings[-1], exported, tools, console, lock)
"""

from .arms import arms_of, notes_on, number_of_parameters, rows_of, train_all, trainings_of, write_comparison
from .command import add_options, compare, console_of_command, given_options, run_command
from .delivery import export, exported_scores
from .progress import Watch, bar
from .recipe import Recipe, annotations_of, direction_problems, preferred_score, teachers_in_files
from .stages import Lock, alone_in, run, running
from .tables import (
    Row,
    bounds,
    comparison_cells,
    form_of,
    gain_cell,
    gains,
    interval,
    markdown,
    name_of,
    paired,
    reach,
    shown,
    spread,
)
from .training import Training, clear, train

__all__ = [
    'Lock',
    'Recipe',
    'Row',
    'Training',
    'Watch',
    'add_options',
    'alone_in',
    'annotations_of',
    'arms_of',
    'bar',
    'bounds',
    'clear',
    'compare',
    'comparison_cells',
    'console_of_command',
    'direction_problems',
    'export',
    'exported_scores',
    'form_of',
    'gain_cell',
    'gains',
    'given_options',
    'interval',
    'markdown',
    'name_of',
    'notes_on',
    'number_of_parameters',
    'paired',
    'preferred_score',
    'reach',
    'rows_of',
    'run',
    'run_command',
    'running',
    'shown',
    'spread',
    'teachers_in_files',
    'train',
    'train_all',
    'trainings_of',
    'write_comparison',
]
