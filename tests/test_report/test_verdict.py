"""What a report says first, its numbers by hand; and what it leaves out."""

import html

import pytest
from helpers.tiny import REPO

from mmdet_kd.errors import DistillationError
from mmdet_kd.report import Cost, Findings, document_of, unlike_rows, write_report
from mmdet_kd.report.alike import require_one_score
from mmdet_kd.report.document import Code, Picture, Table
from mmdet_kd.report.findings import Split
from mmdet_kd.report.verdict import still_rising, verdict


def row(*aps, steps=10, first=0, halfway=False, **more):
    """An arm; halfway it had half of its AP, or was not validated."""
    before = {'1': 0.5} if halfway else {}
    seeds = {
        str(first + seed): dict(
            scores={'AP': ap},
            curve={place: {'AP': share * ap} for place, share in {**before, '2': 1.0}.items()},
            steps=steps,
        )
        for seed, ap in enumerate(aps)
    }
    return dict(seeds=seeds, parameters=1_000_000, **more)


def sections_of(findings):
    return {section.title: section.parts for section in document_of(findings).sections}


class TestTheVerdict:
    def test_of_one_seed_has_no_interval_and_says_so(self):
        (said,) = verdict({'alone': row(30.04), 'taught': row(33.26)})
        assert said == (
            'taught reaches AP 33.3, alone 30.0: a gain of +3.2. '
            'One seed has no interval: with another seed the gain may be another.'
        )

    def test_of_two_seeds_whose_gains_differ_shows_no_difference(self):
        """Gains 6 and 4: 5 and t(0.975, 1) = 12.71 times 1."""
        (said,) = verdict({'alone': row(30.0, 34.0), 'taught': row(36.0, 38.0)})
        assert said == (
            'taught reaches AP 37.0, alone 32.0: a gain of +5.0 (-7.7 to +17.7), 95 % confidence interval over 2 seeds '
            'in brackets. The interval holds 0: no difference is shown.'
        )

    def test_names_who_is_better_whatever_the_order_of_the_arms(self):
        """Gains 1, 2 and 3: 2 and t(0.975, 2) = 4.303 times 1 / sqrt(3), -0.5 to 4.5; of 11, 12, 13: 9.5 to 14.5."""
        arms = {'alone': row(30.0, 30.0, 30.0), 'taught': row(41.0, 42.0, 43.0)}
        (said,) = verdict(arms)
        assert 'a gain of +12.0 (+9.5 to +14.5)' in said
        assert said.endswith('taught is better than alone.')
        (said,) = verdict(dict(reversed(arms.items())))
        assert 'alone reaches AP 30.0, taught 42.0: a gain of -12.0 (-14.5 to -9.5)' in said
        assert said.endswith('alone is worse than taught.')

    def test_takes_means_and_gain_over_the_seeds_in_common(self):
        (said,) = verdict({'alone': row(40.0, 50.0), 'taught': row(42.0)})
        assert said.startswith('taught reaches AP 42.0, alone 40.0: a gain of +2.0. ')

    def test_gives_no_gain_of_scores_that_are_shown_as_nothing(self):
        (said,) = verdict({'alone': row(0.01, 0.02), 'taught': row(0.03, 0.04)})
        assert said == 'taught reaches AP 0.0, alone 0.0. Neither finds anything, so no gain is given.'

    def test_gives_no_gain_without_a_common_seed(self):
        rows = {'alone': row(30.0), 'taught': row(33.0, first=1)}
        (said,) = verdict(rows)
        assert said.endswith('They have no seed in common, so no gain is given.')
        assert unlike_rows(rows) == ['alone has seed 0, taught has seed 1.']

    def test_gives_no_gain_where_nobody_finds_anything(self):
        (said,) = verdict({'alone': row(0.0), 'taught': row(0.0)})
        assert said == 'taught reaches AP 0.0, alone 0.0. Neither finds anything, so no gain is given.'

    def test_of_one_arm_compares_nothing(self):
        assert verdict({'alone': row(30.0)}) == ['alone reaches AP 30.0.']


def curved(*curves, score='AP'):
    """An arm that was validated each epoch, a curve a seed."""
    found = [{str(place): {score: each} for place, each in enumerate(curve, 9)} for curve in curves]
    seeds = {
        str(seed): dict(scores=list(curve.values())[-1], curve=curve, steps=10) for seed, curve in enumerate(found)
    }
    return dict(seeds=seeds, parameters=1)


class TestATrainingThatIsNotAtItsEnd:
    def test_rose_by_more_than_half_a_point_at_the_end_by_the_mean_over_the_seeds(self):
        arms = {'alone': curved([9.0, 20.0, 21.0], [9.0, 20.0, 20.2]), 'taught': curved([30.0, 30.0, 30.0])}
        said = 'AP of alone rose by 0.6 from epoch 10 to epoch 11, the last one.'
        assert still_rising(arms, 'epoch') == f'{said} Longer trainings may reach more, and the gain may be another.'
        _, note = sections_of(Findings(arms))['Training curves']
        assert note.text == still_rising(arms, 'epoch')
        assert still_rising({'alone': arms['alone']}, 'epoch') == f'{said} It may reach more.'

    @pytest.mark.parametrize(
        'alone',
        [
            curved([9.0, 20.0, 20.5]),  # by half a point, no more
            curved([9.0, 20.0, 21.0], [9.0, 20.0, 19.9]),  # one seed alone
            curved([23.0, 20.0, 22.0]),  # it was better before
            curved([20.0]),
            curved([9.0, 20.0, 23.0], score='mine'),  # of a scale that nobody knows
        ],
    )
    def test_or_it_is_at_its_end_as_far_as_is_known(self, alone):
        assert still_rising({'alone': alone, 'taught': curved([1.0, 9.0, 20.0])}, 'epoch') == ''


class TestUnlikeArms:
    def test_are_named_before_anything_else(self):
        rows = {'alone': row(30.0, 31.0), 'taught': row(33.0, steps=20, inherits=True)}
        document = document_of(Findings(rows, unlike=unlike_rows(rows)))
        assert document.warning == (
            'The arms are not alike: alone has seeds 0, 1, taught has seed 0. alone took 10 steps, taught 20. '
            "taught starts with its teacher's neck and heads."
        )
        assert document_of(Findings({'alone': row(30.0), 'taught': row(31.0)})).warning == ''

    def test_of_other_scores_are_refused(self):
        other = dict(seeds={'0': dict(scores={'pascal_voc/mAP': 70.0}, curve={}, steps=10)}, parameters=1)
        with pytest.raises(DistillationError, match=r'alone is judged by AP, voc by pascal_voc/mAP: they cannot be'):
            require_one_score({'alone': row(30.0), 'voc': other})


class TestTheSections:
    def test_of_numbers_alone_have_nothing_that_is_not_known(self):
        assert list(sections_of(Findings({'alone': row(30.0), 'taught': row(33.0)}))) == ['Scores']

    def test_a_class_that_an_arm_does_not_have_is_left_out(self):
        classes = {
            'alone': {'0': {'car': 10.0, 'bus': 20.0}, '1': {'car': 14.0, 'bus': 22.0}},
            'taught': {'0': {'car': 16.0}, '1': {'car': 18.0, 'tram': 1.0}},
        }
        findings = Findings({'alone': row(30.0, 31.0), 'taught': row(33.0, 34.0)}, classes=classes)
        ((table,),) = [sections_of(findings)['By class']]
        assert table.cells == [
            ['', 'alone', 'taught', 'gain of taught'],
            ['car', '12.0 ± 2.8', '17.0 ± 1.4', '+5.0 (-7.7 to +17.7)'],
            ['bus', '21.0 ± 1.4', '', ''],
            ['tram', '', '1.0', ''],
        ]

    def test_a_class_that_nobody_finds_has_no_gain(self):
        classes = {'alone': {'0': {'car': 0.0, 'bus': 0.04}}, 'taught': {'0': {'car': 0.0, 'bus': 0.06}}}
        ((table,),) = [sections_of(Findings({'alone': row(0.0), 'taught': row(0.0)}, classes=classes))['By class']]
        assert table.cells[1:] == [['car', '0.0', '0.0', ''], ['bus', '0.0', '0.1', '+0.0']]

    def test_the_data_have_a_column_a_split(self):
        data = {
            'training': Split(frozenset('abc'), {'small': 4, 'large': 1}, {'car': 2, 'bus': 3}),
            'validation': Split(frozenset('d'), {'small': 1}, {'car': 1}),
        }
        table, _ = sections_of(Findings({'alone': row(30.0)}, data=data))['The data']
        assert table.cells == [
            ['', 'training', 'validation'],
            ['pictures', '3', '1'],
            ['objects', '5', '1'],
            ['small objects', '4', '1'],
            ['large objects', '1', '0'],
            ['car', '2', '1'],
            ['bus', '3', '0'],
        ]

    def test_what_a_reader_must_know_stands_under_the_scores(self):
        _, note = sections_of(Findings({'alone': row(30.0)}, notes=['teacher knows them.']))['Scores']
        assert note.text == 'teacher knows them.'

    def test_models_beside_have_no_gain(self):
        rows = {'alone': row(30.0), 'taught': row(33.0)}
        table, *_ = sections_of(Findings(rows, beside={'teacher': row(50.0)}))['Scores']
        assert [cells[:3] for cells in table.cells] == [
            ['', 'AP', 'gain in AP'],
            ['alone', '30.0', ''],
            ['taught', '33.0', '+3.0'],
            ['teacher', '50.0', ''],
        ]

    def test_a_step_costs_what_the_logs_say(self):
        rows = {'alone': row(30.0, steps=100), 'taught': row(60.0, steps=100, halfway=True)}
        table, _ = sections_of(Findings(rows, costs={'alone': Cost(0.5), 'taught': Cost(0.65)}))['What a step cost']
        assert table.cells == [
            ['', 'a step, s', 'beyond alone', "steps to alone's AP"],
            ['alone', '0.5', '', ''],
            ['taught', '0.65', '+30 %', '50'],  # half of 60 is reached halfway
        ]

    def test_configs_are_compared_without_where_they_were_trained(self):
        texts = {'alone': 'a = 1\nwork_dir = "x"\n', 'taught': 'a = 2\nwork_dir = "y"\n'}
        ((code,),) = [
            sections_of(Findings({'alone': row(1.0), 'taught': row(2.0)}, configs=texts))['What differs in the configs']
        ]
        assert isinstance(code, Code)
        assert code.text.splitlines()[3:] == ['-a = 1', '+a = 2']

    def test_versions_stand_once_where_they_are_the_same(self):
        rows = {'alone': row(1.0), 'taught': row(2.0)}
        same = {'alone': {'torch': '2.1'}, 'taught': {'torch': '2.1'}}
        assert sections_of(Findings(rows, versions=same))['Versions'] == [
            Table([['', 'all trainings'], ['torch', '2.1']])
        ]
        other = {'alone': {'torch': '2.1'}, 'taught': {'torch': '2.2'}}
        (table,) = sections_of(Findings(rows, versions=other))['Versions']
        assert table.cells == [['', 'alone', 'taught'], ['torch', '2.1', '2.2']]

    def test_written_do_not_say_where_they_lay(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        about, commands = [f'Trained on {tmp_path}/set/train.json.'], [f'python {REPO}/tools/compare.py a.py']
        configs = {'alone': 'a = 1', 'taught': f"a = '{tmp_path}/set/'"}
        rows = {'alone': row(1.0), 'taught': row(2.0)}
        write_report(Findings(rows, about=about, commands=commands, configs=configs), 'out')
        for path in (tmp_path / 'out').iterdir():
            text = html.unescape(path.read_text())
            assert str(tmp_path) not in text
            assert all(part in text for part in ('on set/train.json', 'python tools/compare.py a.py', "+a = 'set/'"))

    def test_curves_are_pictures(self):
        losses = {'alone': [{1: 2.0, 2: 1.0}], 'taught': [{1: 3.0, 2: 1.0}]}
        rows = {'alone': row(1.0, halfway=True), 'taught': row(2.0, halfway=True)}
        pictures = sections_of(Findings(rows, losses=losses))['Training curves']
        assert [picture.words.partition(',')[0] for picture in pictures] == [
            'AP on the validation set',
            'The loss that was minimised',
        ]
        assert all(isinstance(each, Picture) and each.data.startswith(b'\x89PNG') for each in pictures)
