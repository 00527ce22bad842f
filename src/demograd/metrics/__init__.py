"""Pure functions of observations (`demograd.statistics`: what is made of their values).

Each is one decorated function (`metric`); `METRICS` has all of them by name. NaN is *missing*: counted, and never
averaged in. An infinite value *diverged*: there is no mean of which it is part.
"""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.metrics.attention_logits import alpha as alpha
    from demograd.metrics.attention_logits import sim_am as sim_am
    from demograd.metrics.attention_logits import sim_am_centred as sim_am_centred
    from demograd.metrics.attention_logits import sim_am_delta as sim_am_delta
    from demograd.metrics.attention_logits import sim_am_delta_centred as sim_am_delta_centred
    from demograd.metrics.attention_output import layer_by_layer_sim_aou as layer_by_layer_sim_aou
    from demograd.metrics.attention_output import random_sim_aou as random_sim_aou
    from demograd.metrics.attention_output import random_sim_aou_centred as random_sim_aou_centred
    from demograd.metrics.attention_output import random_sim_aou_mean_removed as random_sim_aou_mean_removed
    from demograd.metrics.attention_output import random_sim_aou_minus_zsl as random_sim_aou_minus_zsl
    from demograd.metrics.attention_output import sim_aou as sim_aou
    from demograd.metrics.attention_output import sim_aou_mean_removed as sim_aou_mean_removed
    from demograd.metrics.attention_output import sim_aou_norm as sim_aou_norm
    from demograd.metrics.attention_output import sim_aou_norm_mean_removed as sim_aou_norm_mean_removed
    from demograd.metrics.attention_to_demonstrations import AttentionAgreement as AttentionAgreement
    from demograd.metrics.attention_to_demonstrations import attention_to_demonstrations as attention_to_demonstrations
    from demograd.metrics.attention_to_demonstrations import (
        random_attention_to_demonstrations as random_attention_to_demonstrations,
    )
    from demograd.metrics.comparisons import noise_ceiling as noise_ceiling
    from demograd.metrics.comparisons import specificity as specificity
    from demograd.metrics.implicit_update import implicit_update as implicit_update
    from demograd.metrics.implicit_update import implicit_update_validity as implicit_update_validity
    from demograd.metrics.implicit_update import implicit_update_weighted as implicit_update_weighted
    from demograd.metrics.label_changes import sim_labels as sim_labels
    from demograd.metrics.label_changes import sim_labels_mean_removed as sim_labels_mean_removed
    from demograd.metrics.learning_gates import Change as Change
    from demograd.metrics.learning_gates import Gains as Gains
    from demograd.metrics.learning_gates import Learning as Learning
    from demograd.metrics.learning_gates import LearningCheck as LearningCheck
    from demograd.metrics.learning_gates import check_fine_tuning as check_fine_tuning
    from demograd.metrics.learning_gates import check_in_context_learning as check_in_context_learning
    from demograd.metrics.learning_gates import learned as learned
    from demograd.metrics.next_token import OrderSensitivity as OrderSensitivity
    from demograd.metrics.next_token import order_sensitivity as order_sensitivity
    from demograd.metrics.next_token import overlap_cosine_similarity as overlap_cosine_similarity
    from demograd.metrics.next_token import token_overlap as token_overlap
    from demograd.metrics.observations import resolution as resolution
    from demograd.metrics.predictions import accuracy as accuracy
    from demograd.metrics.predictions import auc as auc
    from demograd.metrics.predictions import calibrated_accuracy as calibrated_accuracy
    from demograd.metrics.predictions import calibrated_correct as calibrated_correct
    from demograd.metrics.predictions import correct as correct
    from demograd.metrics.predictions import credit as credit
    from demograd.metrics.predictions import format_log_likelihood as format_log_likelihood
    from demograd.metrics.predictions import label_log_likelihood as label_log_likelihood
    from demograd.metrics.predictions import macro_f1 as macro_f1
    from demograd.metrics.predictions import normalised_label_log_likelihood as normalised_label_log_likelihood
    from demograd.metrics.predictions import resampled_auc as resampled_auc
    from demograd.metrics.rec2ftp import rec2ftp as rec2ftp
    from demograd.metrics.rec2ftp import rec2ftp_above_base_rate as rec2ftp_above_base_rate
    from demograd.metrics.rec2ftp import rec2ftp_base_rate as rec2ftp_base_rate
    from demograd.metrics.rec2ftp import selected as selected
    from demograd.metrics.registry import METRICS as METRICS
    from demograd.metrics.registry import Metric as Metric
    from demograd.metrics.registry import compute as compute
    from demograd.metrics.registry import metric as metric
    from demograd.metrics.update_size import median_size_ratio as median_size_ratio
    from demograd.metrics.update_size import relative_update_size as relative_update_size
    from demograd.metrics.update_size import update_size_ratio as update_size_ratio
    from demograd.metrics.validity import ResolutionCheck as ResolutionCheck
    from demograd.metrics.validity import SeedsCheck as SeedsCheck
    from demograd.metrics.validity import UpdateSizeCheck as UpdateSizeCheck
    from demograd.metrics.validity import check_resolution as check_resolution
    from demograd.metrics.validity import check_seeds as check_seeds
    from demograd.metrics.validity import check_update_size as check_update_size
    from demograd.metrics.weights import parameter_distance as parameter_distance
    from demograd.metrics.weights import sparsity_ratio as sparsity_ratio

make_lazy(__name__)
