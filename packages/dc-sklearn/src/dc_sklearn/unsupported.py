"""Why some of scikit-learn's estimators cannot be stored, by the name of the class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_GROUPS: Final = {
    "it has no method for rows that it was not fitted to": (
        "AgglomerativeClustering ClassicalMDS DBSCAN HDBSCAN MDS OPTICS SpectralBiclustering "
        "SpectralClustering SpectralCoclustering SpectralEmbedding TSNE"
    ),
    "it is a search: store its best_estimator_": (
        "GridSearchCV HalvingGridSearchCV HalvingRandomSearchCV RandomizedSearchCV"
    ),
    "it reads text, images or dictionaries, which datasets do not hold": (
        "CountVectorizer DictVectorizer FeatureHasher HashingVectorizer PatchExtractor "
        "TfidfVectorizer"
    ),
    "it wraps estimators in objects that have no schema yet": (
        "CalibratedClassifierCV FixedThresholdClassifier FrozenEstimator GaussianProcessClassifier "
        "OutputCodeClassifier SelfTrainingClassifier SequentialFeatureSelector "
        "TunedThresholdClassifierCV"
    ),
    "its state has no schema yet": (
        "AdditiveChi2Sampler AffinityPropagation BernoulliRBM Birch BisectingKMeans "
        "DictionaryLearning EllipticEnvelope EmpiricalCovariance FeatureAgglomeration "
        "GraphicalLasso GraphicalLassoCV Isomap IterativeImputer KNeighborsTransformer "
        "KernelDensity LabelPropagation LabelSpreading LatentDirichletAllocation LedoitWolf "
        "LocallyLinearEmbedding MeanShift MinCovDet MiniBatchDictionaryLearning MiniBatchNMF "
        "MiniBatchSparsePCA MultiLabelBinarizer NeighborhoodComponentsAnalysis OAS PLSSVD "
        "PolynomialCountSketch RadiusNeighborsTransformer RandomTreesEmbedding SGDOneClassSVM "
        "ShrunkCovariance SparseCoder SparsePCA SplineTransformer TargetEncoder TfidfTransformer"
    ),
}

REASONS: Final[Mapping[str, str]] = {
    name: reason for reason, names in _GROUPS.items() for name in names.split()
}
