"""What the scores of a comparison say: who is better, and whether the trainings were too short."""

from collections.abc import Mapping, Sequence
from statistics import mean

from ..comparison import Row, bounds, form_of, gains, interval, paired

#: Points that a last validation gains over the one before where a training is not at its end.
_STILL_RISING = 0.5


def verdict(rows: Mapping[str, Row]) -> list[str]:
    """Who is better, by how much, and how sure that is: a sentence or two for each arm but the first."""
    first, *others = rows
    score = main_score_of(rows[first])
    form = form_of(score)
    if not others:
        return [f'{first} reaches {score} {_mean(list(rows[first]["seeds"].values()), score):{form}}.']
    said = []
    for title in others:
        pairs = paired(rows[title], rows[first])
        values = gains(rows[title], rows[first], score)
        # of the seeds that both have, so that the gain is the difference of the means
        runs = list(zip(*pairs, strict=True)) or [list(rows[each]['seeds'].values()) for each in (title, first)]
        own, alone = (_mean(each, score) for each in runs)
        start = f'{title} reaches {score} {own:{form}}, {first} {alone:{form}}'
        if not values:
            said.append(f'{start}. They have no seed in common, so no gain is given.')
        elif not any(float(f'{run["scores"][score]:{form}}') for pair in pairs for run in pair):
            said.append(f'{start}. Neither finds anything, so no gain is given.')
        elif len(values) == 1:
            ends = 'One seed has no interval: with another seed the gain may be another.'
            said.append(f'{start}: a gain of {interval(values, form)}. {ends}')
        else:
            low, high = bounds(values)
            ends = f'{title} is better than {first}.' if low > 0 else f'{title} is worse than {first}.'
            if low <= 0 <= high:
                ends = 'The interval holds 0: no difference is shown.'
            seeds = f'95 % confidence interval over {len(values)} seeds in brackets'
            said.append(f'{start}: a gain of {interval(values, form)}, {seeds}. {ends}')
    return said


def _mean(runs: Sequence[Row], score: str) -> float:
    return mean(run['scores'][score] for run in runs)


def main_score_of(row: Row) -> str:
    """The score by which an arm is judged: the first one of any seed."""
    return next(iter(next(iter(row['seeds'].values()))['scores']))


def still_rising(rows: Mapping[str, Row], place: str) -> str:
    """That the training of the first arm is unfinished, in two sentences; nothing where it is not.

    The rule: in the mean over the seeds, the last validation is the best one, and it is more than half a point above
    the one before. Only scores in points are judged, since of another scale it is not known what half a point is.

    Args:
        rows: title -> what it reached; the first one is what the others are compared with.
        place: what the curves count, 'epoch' or 'step'.
    """
    first = next(iter(rows))
    score = main_score_of(rows[first])
    curves = [{int(at): scores[score] for at, scores in run['curve'].items()} for run in rows[first]['seeds'].values()]
    places = sorted(set.intersection(*map(set, curves)))
    if form_of(score) != '.1f' or len(places) < 2:
        return ''
    means = [mean(curve[at] for curve in curves) for at in places]
    rise = means[-1] - means[-2]
    if means[-1] < max(means) or rise <= _STILL_RISING:
        return ''
    *_, before, last = places
    more = (
        'Longer trainings may reach more, and the gain may be another' if rows.keys() - {first} else 'It may reach more'
    )
    return f'{score} of {first} rose by {rise:.1f} from {place} {before} to {place} {last}, the last one. {more}.'
