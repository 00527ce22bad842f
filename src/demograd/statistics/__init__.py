"""Statistics of scores, whatever they are scores of: this room knows no model.

NaN is *missing*: counted, and never averaged in. An infinite value *diverged*: there is no mean of which it is part.
"""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.statistics.aggregate import Aggregate as Aggregate
    from demograd.statistics.aggregate import SeedScore as SeedScore
    from demograd.statistics.aggregate import aggregate as aggregate
    from demograd.statistics.aggregate import difference as difference
    from demograd.statistics.aggregate import diverged as diverged
    from demograd.statistics.aggregate import mean_over_heads as mean_over_heads
    from demograd.statistics.aggregate import only as only
    from demograd.statistics.aggregate import over_seeds as over_seeds
    from demograd.statistics.aggregate import per_layer as per_layer
    from demograd.statistics.aggregate import stack_seeds as stack_seeds
    from demograd.statistics.bootstrap import times_resampled as times_resampled
    from demograd.statistics.crossed import mean_of_parts as mean_of_parts
    from demograd.statistics.equal_size import at_equal_size as at_equal_size
    from demograd.statistics.equal_size import common_sizes as common_sizes
    from demograd.statistics.equal_size import mean_over_sizes as mean_over_sizes
    from demograd.statistics.equal_size import neighbours_of_size as neighbours_of_size
    from demograd.statistics.estimated_mean import EstimatedMean as EstimatedMean
    from demograd.statistics.intervals import ResampledInterval as ResampledInterval
    from demograd.statistics.intervals import conditional_interval as conditional_interval
    from demograd.statistics.intervals import conditional_intervals as conditional_intervals
    from demograd.statistics.intervals import interval_over_demonstrations as interval_over_demonstrations
    from demograd.statistics.intervals import mean_over_seeds as mean_over_seeds
    from demograd.statistics.intervals import statistic_interval as statistic_interval
    from demograd.statistics.intervals import statistic_intervals as statistic_intervals
    from demograd.statistics.matching import MARGIN as MARGIN
    from demograd.statistics.matching import MatchingTest as MatchingTest
    from demograd.statistics.matching import double_difference as double_difference
    from demograd.statistics.matching import match as match
    from demograd.statistics.matching import match_layers as match_layers
    from demograd.statistics.matching import pool as pool
    from demograd.statistics.matching import share_of as share_of
    from demograd.statistics.matching_decision import decide_matching as decide_matching
    from demograd.statistics.number import Number as Number
    from demograd.statistics.parts import parts_of_ratio as parts_of_ratio
    from demograd.statistics.ranges import RangeTest as RangeTest
    from demograd.statistics.ranges import decide_ranges as decide_ranges
    from demograd.statistics.ratio import Ratio as Ratio
    from demograd.statistics.significance import ClaimDecision as ClaimDecision
    from demograd.statistics.significance import Corrected as Corrected
    from demograd.statistics.significance import PairedTest as PairedTest
    from demograd.statistics.significance import decide_all as decide_all
    from demograd.statistics.significance import hedges_g as hedges_g
    from demograd.statistics.significance import holm as holm
    from demograd.statistics.significance import paired_test as paired_test
    from demograd.statistics.two_runs import paired_by_query as paired_by_query
    from demograd.statistics.two_runs import paired_by_set as paired_by_set
    from demograd.statistics.two_runs import paired_specificities as paired_specificities
    from demograd.statistics.two_runs import unpaired as unpaired
    from demograd.statistics.two_runs import unpaired_specificities as unpaired_specificities
    from demograd.statistics.verdict import SEEDS_FOR_SPECIFICITY as SEEDS_FOR_SPECIFICITY
    from demograd.statistics.verdict import SEEDS_TO_DECIDE as SEEDS_TO_DECIDE
    from demograd.statistics.verdict import Decision as Decision
    from demograd.statistics.verdict import Finding as Finding
    from demograd.statistics.verdict import Interval as Interval
    from demograd.statistics.verdict import Over as Over
    from demograd.statistics.verdict import Verdict as Verdict
    from demograd.statistics.verdict import decide as decide

make_lazy(__name__)
