"""Which of the sessions in a work dir belong to the training that was begun last, and what of them counts."""

import json

from mmdet_kd.runtime.results import last_validation, unscored_validation, validation_curve
from mmdet_kd.runtime.sessions import sessions_of


def session(work_dir, name, *records, resumes=False, more=''):
    """A session as mmengine leaves it; a test has no records, and then no file of them."""
    folder = work_dir / name / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'config.py').write_text(f'{more}resume = {resumes}\n')
    if records:
        (folder / 'scalars.json').write_text(''.join(f'{json.dumps(record)}\n' for record in records))


def step(number):
    return {'loss': 1.0, 'time': 0.1, 'epoch': 1, 'iter': number, 'step': number}


def val(place, score):
    return {'mine/score': score, 'data_time': 0.1, 'time': 0.1, 'step': place}


def scores(work_dir):
    return {place: found['mine/score'] for place, found in validation_curve(work_dir).items()}


def test_a_training_that_begins_anew_takes_the_place_of_the_one_before(tmp_path):
    session(tmp_path, '1', step(10), val(1, 0.5), step(20), val(2, 0.6), step(30), val(3, 0.9))
    session(tmp_path, '2', step(10), step(20), val(2, 0.2))
    assert scores(tmp_path) == {2: 0.2}
    assert last_validation(tmp_path) == {'mine/score': 0.2}


def test_a_training_that_goes_on_has_all_its_sessions(tmp_path):
    session(tmp_path, '1', step(10), val(1, 0.1))
    session(tmp_path, '2', step(20), val(2, 0.2), resumes=True)
    session(tmp_path, '3', val(2, 0.3), resumes=True)  # at its end, and validates once more
    assert scores(tmp_path) == {1: 0.1, 2: 0.3}


def test_what_is_trained_again_from_an_earlier_checkpoint_counts_once(tmp_path):
    """Of the steps that were dropped the later session may validate fewer."""
    session(tmp_path, '1', step(10), val(1, 0.1), step(20), val(2, 0.8), step(30), val(3, 0.9))
    session(tmp_path, '2', step(20), step(30), val(3, 0.3), resumes=True)
    assert scores(tmp_path) == {1: 0.1, 3: 0.3}


def test_a_test_is_no_session(tmp_path):
    session(tmp_path, '1', step(10), val(1, 0.1))
    session(tmp_path, '2')
    assert [each.folder.name for each in sessions_of(tmp_path)] == ['1']


def test_the_last_validation_is_the_last_one_where_all_are_logged_as_that_of_epoch_0(tmp_path):
    """As mmengine does for a training by iterations; a detector that finds nothing has no score."""
    session(tmp_path, '1', step(10), val(0, 0.1), step(20), {'time': 0.1, 'step': 0})
    assert unscored_validation(tmp_path) == 0
