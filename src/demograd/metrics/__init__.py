"""Pure functions of observations, and the statistics over them. NaN is *missing*: counted, and never averaged in."""

from demograd.metrics.aggregation import Aggregate as Aggregate
from demograd.metrics.aggregation import SeedScore as SeedScore
from demograd.metrics.aggregation import aggregate as aggregate
from demograd.metrics.aggregation import mean_over_heads as mean_over_heads
from demograd.metrics.aggregation import over_seeds as over_seeds
from demograd.metrics.aggregation import per_layer as per_layer
from demograd.metrics.aggregation import stack_seeds as stack_seeds
from demograd.metrics.am import sim_am as sim_am
from demograd.metrics.am import sim_am_centred as sim_am_centred
from demograd.metrics.am import sim_am_delta as sim_am_delta
from demograd.metrics.am import sim_am_delta_centred as sim_am_delta_centred
from demograd.metrics.aou import sim_aou as sim_aou
from demograd.metrics.aou import sim_aou_norm as sim_aou_norm
from demograd.metrics.attention_to_demonstrations import AttentionAgreement as AttentionAgreement
from demograd.metrics.attention_to_demonstrations import attention_to_demonstrations as attention_to_demonstrations
from demograd.metrics.attention_to_demonstrations import (
    random_attention_to_demonstrations as random_attention_to_demonstrations,
)
from demograd.metrics.decision import SEEDS_TO_DECIDE as SEEDS_TO_DECIDE
from demograd.metrics.decision import Decision as Decision
from demograd.metrics.decision import Verdict as Verdict
from demograd.metrics.decision import decide as decide
from demograd.metrics.mean_removed import sim_aou_mean_removed as sim_aou_mean_removed
from demograd.metrics.mean_removed import sim_aou_norm_mean_removed as sim_aou_norm_mean_removed
from demograd.metrics.performance import accuracy as accuracy
from demograd.metrics.performance import auc as auc
from demograd.metrics.performance import calibrated_accuracy as calibrated_accuracy
from demograd.metrics.performance import calibrated_correct as calibrated_correct
from demograd.metrics.performance import correct as correct
from demograd.metrics.performance import label_log_likelihood as label_log_likelihood
from demograd.metrics.performance import macro_f1 as macro_f1
from demograd.metrics.performance import normalised_label_log_likelihood as normalised_label_log_likelihood
from demograd.metrics.performance import resampled_auc as resampled_auc
from demograd.metrics.random_aou import random_sim_aou as random_sim_aou
from demograd.metrics.random_aou import random_sim_aou_mean_removed as random_sim_aou_mean_removed
from demograd.metrics.resolution import resolution as resolution
from demograd.metrics.selection import selected as selected
from demograd.metrics.specificity import specificity as specificity
from demograd.metrics.statistics import Interval as Interval
from demograd.metrics.statistics import Over as Over
from demograd.metrics.statistics import conditional_interval as conditional_interval
from demograd.metrics.statistics import interval_over_demonstrations as interval_over_demonstrations
from demograd.metrics.statistics import statistic_interval as statistic_interval
from demograd.metrics.table import METRICS as METRICS
from demograd.metrics.table import Metric as Metric
from demograd.metrics.update_size import relative_update_size as relative_update_size
from demograd.metrics.update_size import update_size_ratio as update_size_ratio
from demograd.metrics.validity import Improvement as Improvement
from demograd.metrics.validity import InContextLearningCheck as InContextLearningCheck
from demograd.metrics.validity import ResolutionCheck as ResolutionCheck
from demograd.metrics.validity import SeedsCheck as SeedsCheck
from demograd.metrics.validity import check_in_context_learning as check_in_context_learning
from demograd.metrics.validity import check_resolution as check_resolution
from demograd.metrics.validity import check_seeds as check_seeds
