"""The table of a comparison, its numbers by hand. Means, gains and intervals of COCO's AP: test_gain.py."""

from io import StringIO

from rich.console import Console

from mmdet_kd.comparison import comparison_cells, markdown, reach, shown


def row(*scores, **more):
    seeds = {str(seed): dict(scores=each, curve={'1': each}, steps=10) for seed, each in enumerate(scores)}
    return dict(seeds=seeds, parameters=1_234_567, **more)


def coco(ap):
    return {'AP': ap, 'AP50': 2 * ap, 'AP75': ap}


def test_of_one_seed():
    rows = {'student': row(coco(30.0)), 'distilled': row(coco(33.25), inherits=True)}
    assert comparison_cells(rows) == [
        ['', 'AP', 'AP50', 'AP75', 'gain in AP', 'parameters'],
        ['student', '30.0', '60.0', '30.0', '', '1.23 M'],
        ['distilled (inherits)', '33.2', '66.5', '33.2', '+3.2', '1.23 M'],
    ]


def test_of_two_seeds_each_paired_with_its_own():
    rows = {'student': row(coco(30.0), coco(34.0)), 'distilled': row(coco(36.0), coco(38.0))}
    heads, alone, taught = comparison_cells(rows)
    assert heads[-2:] == ['parameters', 'seeds']
    # standard deviations of two: difference / sqrt(2); gains 6 and 4: 5 and t(0.975, 1) = 12.71 times 1
    assert alone == ['student', '32.0 ± 2.8', '64.0 ± 5.7', '32.0 ± 2.8', '', '1.23 M', '2']
    assert taught == ['distilled', '37.0 ± 1.4', '74.0 ± 2.8', '37.0 ± 1.4', '+5.0 (-7.7 to +17.7)', '1.23 M', '2']


def test_no_gain_is_given_where_nobody_finds_anything():
    cells = comparison_cells({'student': row(coco(0.0)), 'distilled': row(coco(0.03)), 'other': row(coco(4.0))})
    assert [line[4] for line in cells] == ['gain in AP', '', '', '+4.0']
    equal = comparison_cells({'student': row(coco(30.0)), 'distilled': row(coco(30.0))})
    assert equal[2][4] == '+0.0'


def test_of_other_metrics():
    """VOC's mAP is known to be in points; of a metric that nobody knows three digits count."""
    voc = {'student': row({'pascal_voc/mAP': 70.0}), 'distilled': row({'pascal_voc/mAP': 71.04})}
    assert [cells[1:3] for cells in comparison_cells(voc)] == [
        ['pascal_voc/mAP', 'gain in pascal_voc/mAP'],
        ['70.0', ''],
        ['71.0', '+1.0'],
    ]
    mine = {'student': row({'mine': 0.12345}), 'distilled': row({'mine': 0.13})}
    assert [cells[1:3] for cells in comparison_cells(mine)][1:] == [['0.123', ''], ['0.13', '+0.00655']]


def test_steps_until_a_score_that_is_not_ap():
    run = dict(scores={'m': 3.0}, curve={'100': {'m': 1.0}, '200': {'m': 2.0}, '300': {'m': 3.0}}, steps=300)
    alone = dict(scores={'m': 2.0}, curve={'300': {'m': 2.0}}, steps=300)
    assert reach([(run, alone)], 'm') == 200
    assert reach([({**run, 'curve': {'0': run['scores']}}, alone)], 'm') is None  # mmengine's log of iterations


def test_markdown_and_terminal_have_the_same_cells():
    cells = [['', 'AP'], ['a [b]', '1.0'], ['c', '22.0']]
    assert markdown(cells) == '|  | AP |\n| --- | ---: |\n| a [b] | 1.0 |\n| c | 22.0 |'
    assert markdown(cells, words=2).splitlines()[1] == '| --- | --- |'
    file = StringIO()
    Console(file=file, width=60).print(shown(cells, 'Title [x]'))
    text = file.getvalue()
    assert all(word in text for word in ('Title [x]', 'a [b]', ' 1.0', '22.0'))
