"""Naive Bayes, discriminant analysis, mixtures, and the baselines."""

from __future__ import annotations

from typing import Final

from dc_sklearn.schema import schema

_COUNTS: Final = schema(
    "n_features_in_ classes_ class_count_ feature_count_ feature_log_prob_ class_log_prior_"
)
_MIXTURE: Final = schema("n_features_in_ weights_ means_ covariances_ precisions_cholesky_")

SCHEMAS: Final = {
    "discriminant_analysis.LinearDiscriminantAnalysis": schema(
        "n_features_in_ classes_ coef_ intercept_ priors_", "_max_components _n_features_out"
    ),
    "discriminant_analysis.QuadraticDiscriminantAnalysis": schema(
        "n_features_in_ classes_ means_ priors_ rotations_ scalings_"
    ),
    "dummy.DummyClassifier": schema("classes_ n_classes_ n_outputs_", "_strategy n_features_in_"),
    "dummy.DummyRegressor": schema("constant_ n_outputs_", "n_features_in_"),
    "mixture.BayesianGaussianMixture": _MIXTURE,
    "mixture.GaussianMixture": _MIXTURE,
    "naive_bayes.BernoulliNB": _COUNTS,
    "naive_bayes.CategoricalNB": schema(
        "n_features_in_ classes_ class_count_ category_count_ feature_log_prob_ class_log_prior_ "
        "n_categories_"
    ),
    "naive_bayes.ComplementNB": schema(
        "n_features_in_ classes_ class_count_ feature_count_ feature_log_prob_"
    ),
    "naive_bayes.GaussianNB": schema("n_features_in_ classes_ theta_ var_ class_prior_"),
    "naive_bayes.MultinomialNB": _COUNTS,
}
