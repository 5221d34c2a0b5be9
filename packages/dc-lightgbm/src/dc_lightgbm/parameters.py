"""The parameters of LightGBM that are stored: a closed list, without those of one machine.

Names of files, ports and machines are left out, as are numbers of threads and what to print: they
belong to the program that trained, and a file must not choose them for another.
"""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = """
    boosting objective metric data_sample_strategy num_iterations learning_rate num_leaves seed
    deterministic force_col_wise force_row_wise histogram_pool_size max_depth min_data_in_leaf
    min_sum_hessian_in_leaf bagging_fraction pos_bagging_fraction neg_bagging_fraction bagging_freq
    bagging_seed bagging_by_query feature_fraction feature_fraction_bynode feature_fraction_seed
    extra_trees extra_seed early_stopping_round early_stopping_min_delta first_metric_only
    max_delta_step lambda_l1 lambda_l2 linear_lambda min_gain_to_split drop_rate max_drop skip_drop
    xgboost_dart_mode uniform_drop drop_seed top_rate other_rate min_data_per_group
    max_cat_threshold cat_l2 cat_smooth max_cat_to_onehot top_k monotone_constraints
    monotone_constraints_method monotone_penalty feature_contri refit_decay_rate cegb_tradeoff
    cegb_penalty_split cegb_penalty_feature_lazy cegb_penalty_feature_coupled path_smooth
    interaction_constraints saved_feature_importance_type use_quantized_grad num_grad_quant_bins
    quant_train_renew_leaf stochastic_rounding linear_tree max_bin max_bin_by_feature
    min_data_in_bin bin_construct_sample_cnt data_random_seed is_enable_sparse enable_bundle
    use_missing zero_as_missing feature_pre_filter categorical_feature objective_seed num_class
    is_unbalance scale_pos_weight sigmoid boost_from_average reg_sqrt alpha fair_c
    poisson_max_delta_step tweedie_variance_power lambdarank_truncation_level lambdarank_norm
    label_gain lambdarank_position_bias_regularization eval_at multi_error_top_k auc_mu_weights
"""

STORED: Final = frozenset(_NAMES.split())

ALIASES: Final = frozenset({"early_stopping_rounds", "early_stopping", "cat_column"})
"""Other names under which estimators take parameters."""

_VALUE: Final = re.compile(r"[A-Za-z0-9_.,:+\- \[\]]{0,100000}")


def is_stored(name: str, value: str) -> bool:
    """Tell whether a parameter is in the list, and its value in the form that LightGBM writes."""
    return name in STORED and _VALUE.fullmatch(value) is not None
