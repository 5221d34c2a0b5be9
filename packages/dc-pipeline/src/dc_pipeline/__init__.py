"""The steps around a model: loaders, featurizers, splitters, transformers, metrics and pipelines.

All public names are listed here and imported on first use: ``import dc_pipeline`` loads neither
NumPy, RDKit nor scikit-learn.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_pipeline import benchmarks as benchmarks
    from dc_pipeline.disk import DatasetWriter as DatasetWriter
    from dc_pipeline.disk import DiskDataset as DiskDataset
    from dc_pipeline.disk.failures import stored_failures as stored_failures
    from dc_pipeline.featurizers.alignments import Alignment as Alignment
    from dc_pipeline.featurizers.alignments import read_alignment as read_alignment
    from dc_pipeline.featurizers.atom_grid import AtomGrid as AtomGrid
    from dc_pipeline.featurizers.atom_pairs import AtomPairs as AtomPairs
    from dc_pipeline.featurizers.avalon import AvalonFingerprint as AvalonFingerprint
    from dc_pipeline.featurizers.binaries import MoleculeBinary as MoleculeBinary
    from dc_pipeline.featurizers.composite import Concatenated as Concatenated
    from dc_pipeline.featurizers.composite import FeatureColumns as FeatureColumns
    from dc_pipeline.featurizers.conformers import Conformer as Conformer
    from dc_pipeline.featurizers.coulomb import CoulombEigenvalues as CoulombEigenvalues
    from dc_pipeline.featurizers.coulomb import CoulombMatrix as CoulombMatrix
    from dc_pipeline.featurizers.descriptors import RDKitDescriptors as RDKitDescriptors
    from dc_pipeline.featurizers.ecfp import ECFP as ECFP
    from dc_pipeline.featurizers.functions import FunctionFeaturizer as FunctionFeaturizer
    from dc_pipeline.featurizers.functions import register_function as register_function
    from dc_pipeline.featurizers.graph_expansion import GraphExpansion as GraphExpansion
    from dc_pipeline.featurizers.graphs import MolecularGraph as MolecularGraph
    from dc_pipeline.featurizers.interactions import (
        InteractionFingerprint as InteractionFingerprint,
    )
    from dc_pipeline.featurizers.maccs import MACCSKeys as MACCSKeys
    from dc_pipeline.featurizers.materials import CompositionFeaturizer as CompositionFeaturizer
    from dc_pipeline.featurizers.materials import SineCoulombEigenvalues as SineCoulombEigenvalues
    from dc_pipeline.featurizers.molecules import Level as Level
    from dc_pipeline.featurizers.molecules import Molecules as Molecules
    from dc_pipeline.featurizers.molecules import parse_smiles as parse_smiles
    from dc_pipeline.featurizers.mordred import MordredDescriptors as MordredDescriptors
    from dc_pipeline.featurizers.one_hot import OneHot as OneHot
    from dc_pipeline.featurizers.profiles import AlignmentProfile as AlignmentProfile
    from dc_pipeline.featurizers.profiles import JackhmmerProfile as JackhmmerProfile
    from dc_pipeline.featurizers.rdkit_fingerprint import RDKitFingerprint as RDKitFingerprint
    from dc_pipeline.featurizers.sequences import KmerCounts as KmerCounts
    from dc_pipeline.featurizers.sequences import SequenceTokens as SequenceTokens
    from dc_pipeline.featurizers.smiles_tokens import SmilesTokens as SmilesTokens
    from dc_pipeline.featurizers.torsions import TopologicalTorsions as TopologicalTorsions
    from dc_pipeline.flows.acquisitions import UCB as UCB
    from dc_pipeline.flows.acquisitions import Acquisition as Acquisition
    from dc_pipeline.flows.acquisitions import Candidates as Candidates
    from dc_pipeline.flows.acquisitions import DiverseBatch as DiverseBatch
    from dc_pipeline.flows.acquisitions import DiversitySampling as DiversitySampling
    from dc_pipeline.flows.acquisitions import ExpectedImprovement as ExpectedImprovement
    from dc_pipeline.flows.acquisitions import Greedy as Greedy
    from dc_pipeline.flows.acquisitions import RandomSampling as RandomSampling
    from dc_pipeline.flows.acquisitions import ThompsonSampling as ThompsonSampling
    from dc_pipeline.flows.acquisitions import UncertaintySampling as UncertaintySampling
    from dc_pipeline.flows.active_learning import ActiveLearner as ActiveLearner
    from dc_pipeline.flows.cross_validation import CrossValidationResult as CrossValidationResult
    from dc_pipeline.flows.cross_validation import FoldResult as FoldResult
    from dc_pipeline.flows.cross_validation import cross_validate as cross_validate
    from dc_pipeline.flows.ensembles import Ensemble as Ensemble
    from dc_pipeline.flows.ensembles import PredictionInterval as PredictionInterval
    from dc_pipeline.flows.generation import HillClimbing as HillClimbing
    from dc_pipeline.flows.generation import Round as Round
    from dc_pipeline.flows.generation import canonical_smiles as canonical_smiles
    from dc_pipeline.flows.learning_rounds import LearningRound as LearningRound
    from dc_pipeline.flows.transfer import FineTuning as FineTuning
    from dc_pipeline.flows.transfer import Transfer as Transfer
    from dc_pipeline.flows.transfer import transfer_weights as transfer_weights
    from dc_pipeline.generator_pipeline import GeneratorPipeline as GeneratorPipeline
    from dc_pipeline.loaders.csv import CSVLoader as CSVLoader
    from dc_pipeline.loaders.deepchem import DeepChemLoader as DeepChemLoader
    from dc_pipeline.loaders.fasta import FASTALoader as FASTALoader
    from dc_pipeline.loaders.frames import DataFrameLoader as DataFrameLoader
    from dc_pipeline.loaders.frames import ParquetLoader as ParquetLoader
    from dc_pipeline.loaders.images import ImageLoader as ImageLoader
    from dc_pipeline.loaders.json_lines import JSONLinesLoader as JSONLinesLoader
    from dc_pipeline.loaders.sdf import SDFLoader as SDFLoader
    from dc_pipeline.loaders.smiles_file import SMILESLoader as SMILESLoader
    from dc_pipeline.loaders.structures import StructureLoader as StructureLoader
    from dc_pipeline.metrics.classification import F1 as F1
    from dc_pipeline.metrics.classification import MCC as MCC
    from dc_pipeline.metrics.classification import PRCAUC as PRCAUC
    from dc_pipeline.metrics.classification import ROCAUC as ROCAUC
    from dc_pipeline.metrics.classification import Accuracy as Accuracy
    from dc_pipeline.metrics.classification import AveragePrecision as AveragePrecision
    from dc_pipeline.metrics.classification import BalancedAccuracy as BalancedAccuracy
    from dc_pipeline.metrics.classification import BrierScore as BrierScore
    from dc_pipeline.metrics.classification import CalibrationError as CalibrationError
    from dc_pipeline.metrics.classification import LogLoss as LogLoss
    from dc_pipeline.metrics.intervals import Comparison as Comparison
    from dc_pipeline.metrics.intervals import Interval as Interval
    from dc_pipeline.metrics.intervals import compare as compare
    from dc_pipeline.metrics.intervals import score_intervals as score_intervals
    from dc_pipeline.metrics.regression import MAE as MAE
    from dc_pipeline.metrics.regression import R2 as R2
    from dc_pipeline.metrics.regression import RMSE as RMSE
    from dc_pipeline.metrics.regression import ConcordanceIndex as ConcordanceIndex
    from dc_pipeline.metrics.regression import ExplainedVariance as ExplainedVariance
    from dc_pipeline.metrics.regression import KendallTau as KendallTau
    from dc_pipeline.metrics.regression import MaxError as MaxError
    from dc_pipeline.metrics.regression import PearsonR as PearsonR
    from dc_pipeline.metrics.regression import SpearmanR as SpearmanR
    from dc_pipeline.metrics.screening import BEDROC as BEDROC
    from dc_pipeline.metrics.screening import EnrichmentFactor as EnrichmentFactor
    from dc_pipeline.metrics.uncertainty import GaussianNLL as GaussianNLL
    from dc_pipeline.metrics.uncertainty import (
        RegressionCalibrationError as RegressionCalibrationError,
    )
    from dc_pipeline.metrics.weighted import WeightedMetric as WeightedMetric
    from dc_pipeline.pipeline import Pipeline as Pipeline
    from dc_pipeline.reporting.chemical_space import chemical_space_plot as chemical_space_plot
    from dc_pipeline.reporting.classification import confusion_plot as confusion_plot
    from dc_pipeline.reporting.classification import precision_recall_plot as precision_recall_plot
    from dc_pipeline.reporting.classification import reliability_plot as reliability_plot
    from dc_pipeline.reporting.classification import roc_plot as roc_plot
    from dc_pipeline.reporting.failures import failure_tables as failure_tables
    from dc_pipeline.reporting.molecules import MoleculeCard as MoleculeCard
    from dc_pipeline.reporting.molecules import MoleculeCards as MoleculeCards
    from dc_pipeline.reporting.molecules import molecule_svg as molecule_svg
    from dc_pipeline.reporting.page import Report as Report
    from dc_pipeline.reporting.regression import interval_coverage_plot as interval_coverage_plot
    from dc_pipeline.reporting.regression import parity_plot as parity_plot
    from dc_pipeline.reporting.regression import residual_plot as residual_plot
    from dc_pipeline.reporting.run import report as report
    from dc_pipeline.reporting.scaffolds import ScaffoldErrors as ScaffoldErrors
    from dc_pipeline.reporting.scaffolds import errors_by_scaffold as errors_by_scaffold
    from dc_pipeline.reporting.scaffolds import scaffold_cards as scaffold_cards
    from dc_pipeline.reporting.scaffolds import scaffold_plot as scaffold_plot
    from dc_pipeline.reporting.tables import Table as Table
    from dc_pipeline.reporting.training import learning_curve_plot as learning_curve_plot
    from dc_pipeline.reporting.worst import worst_predictions as worst_predictions
    from dc_pipeline.scale.featurizing import featurize as featurize
    from dc_pipeline.scale.predicting import Predictions as Predictions
    from dc_pipeline.scale.predicting import predict_to as predict_to
    from dc_pipeline.splitters.clusters import ButinaClusters as ButinaClusters
    from dc_pipeline.splitters.clusters import KMeansClusters as KMeansClusters
    from dc_pipeline.splitters.clusters import SphereClusters as SphereClusters
    from dc_pipeline.splitters.diversity import FingerprintSplitter as FingerprintSplitter
    from dc_pipeline.splitters.diversity import MaxMinSplitter as MaxMinSplitter
    from dc_pipeline.splitters.grouping import Grouping as Grouping
    from dc_pipeline.splitters.grouping import Groups as Groups
    from dc_pipeline.splitters.grouping import GroupSplitter as GroupSplitter
    from dc_pipeline.splitters.index import IndexSplitter as IndexSplitter
    from dc_pipeline.splitters.kfold import Fold as Fold
    from dc_pipeline.splitters.kfold import KFold as KFold
    from dc_pipeline.splitters.kfold import LeaveGroupOut as LeaveGroupOut
    from dc_pipeline.splitters.leakage import Leakage as Leakage
    from dc_pipeline.splitters.leakage import leakage as leakage
    from dc_pipeline.splitters.random import RandomSplitter as RandomSplitter
    from dc_pipeline.splitters.scaffolds import Scaffolds as Scaffolds
    from dc_pipeline.splitters.scaffolds import ScaffoldSplitter as ScaffoldSplitter
    from dc_pipeline.splitters.scaffolds import scaffold_smiles as scaffold_smiles
    from dc_pipeline.splitters.stratified import StratifiedSplitter as StratifiedSplitter
    from dc_pipeline.splitters.time import TimeSplitter as TimeSplitter
    from dc_pipeline.storing import store as store
    from dc_pipeline.transformers.balancing import BalancingTransformer as BalancingTransformer
    from dc_pipeline.transformers.clipping import ClippingTransformer as ClippingTransformer
    from dc_pipeline.transformers.duplicates import Merged as Merged
    from dc_pipeline.transformers.duplicates import merge_duplicates as merge_duplicates
    from dc_pipeline.transformers.imputation import ImputationTransformer as ImputationTransformer
    from dc_pipeline.transformers.logarithm import LogTransformer as LogTransformer
    from dc_pipeline.transformers.normalization import (
        NormalizationTransformer as NormalizationTransformer,
    )
    from dc_pipeline.transformers.power import PowerTransformer as PowerTransformer
    from dc_pipeline.transformers.quantile import QuantileTransformer as QuantileTransformer
    from dc_pipeline.transformers.scaling import MinMaxTransformer as MinMaxTransformer
    from dc_pipeline.tuning.bayesian import OptunaTuner as OptunaTuner
    from dc_pipeline.tuning.domains import Choice as Choice
    from dc_pipeline.tuning.domains import Domain as Domain
    from dc_pipeline.tuning.domains import Integer as Integer
    from dc_pipeline.tuning.domains import LogUniform as LogUniform
    from dc_pipeline.tuning.domains import Uniform as Uniform
    from dc_pipeline.tuning.grid import GridTuner as GridTuner
    from dc_pipeline.tuning.plots import plot_history as plot_history
    from dc_pipeline.tuning.plots import plot_importance as plot_importance
    from dc_pipeline.tuning.plots import plot_parallel as plot_parallel
    from dc_pipeline.tuning.plots import plot_slices as plot_slices
    from dc_pipeline.tuning.random import RandomTuner as RandomTuner
    from dc_pipeline.tuning.result import TuningResult as TuningResult
    from dc_pipeline.tuning.trials import Trial as Trial
    from dc_pipeline.tuning.tuner import Tuner as Tuner

_EXPORTS = {
    "dc_pipeline.benchmarks": ["benchmarks"],
    "dc_pipeline.featurizers.alignments": ["Alignment", "read_alignment"],
    "dc_pipeline.featurizers.atom_grid": ["AtomGrid"],
    "dc_pipeline.featurizers.interactions": ["InteractionFingerprint"],
    "dc_pipeline.featurizers.materials": ["CompositionFeaturizer", "SineCoulombEigenvalues"],
    "dc_pipeline.featurizers.mordred": ["MordredDescriptors"],
    "dc_pipeline.featurizers.profiles": ["AlignmentProfile", "JackhmmerProfile"],
    "dc_pipeline.featurizers.smiles_tokens": ["SmilesTokens"],
    "dc_pipeline.featurizers.sequences": ["KmerCounts", "SequenceTokens"],
    "dc_pipeline.featurizers.one_hot": ["OneHot"],
    "dc_pipeline.featurizers.functions": ["FunctionFeaturizer", "register_function"],
    "dc_pipeline.featurizers.coulomb": ["CoulombEigenvalues", "CoulombMatrix"],
    "dc_pipeline.featurizers.conformers": ["Conformer"],
    "dc_pipeline.featurizers.graph_expansion": ["GraphExpansion"],
    "dc_pipeline.featurizers.graphs": ["MolecularGraph"],
    "dc_pipeline.flows.generation": ["HillClimbing", "Round", "canonical_smiles"],
    "dc_pipeline.flows.transfer": ["FineTuning", "Transfer", "transfer_weights"],
    "dc_pipeline.generator_pipeline": ["GeneratorPipeline"],
    "dc_pipeline.pipeline": ["Pipeline"],
    "dc_pipeline.flows.acquisitions": [
        "UCB",
        "Acquisition",
        "Candidates",
        "DiverseBatch",
        "DiversitySampling",
        "ExpectedImprovement",
        "Greedy",
        "RandomSampling",
        "ThompsonSampling",
        "UncertaintySampling",
    ],
    "dc_pipeline.flows.active_learning": ["ActiveLearner"],
    "dc_pipeline.flows.cross_validation": [
        "CrossValidationResult",
        "FoldResult",
        "cross_validate",
    ],
    "dc_pipeline.flows.ensembles": ["Ensemble", "PredictionInterval"],
    "dc_pipeline.flows.learning_rounds": ["LearningRound"],
    "dc_pipeline.loaders.csv": ["CSVLoader"],
    "dc_pipeline.loaders.deepchem": ["DeepChemLoader"],
    "dc_pipeline.loaders.images": ["ImageLoader"],
    "dc_pipeline.loaders.structures": ["StructureLoader"],
    "dc_pipeline.loaders.fasta": ["FASTALoader"],
    "dc_pipeline.loaders.frames": ["DataFrameLoader", "ParquetLoader"],
    "dc_pipeline.loaders.json_lines": ["JSONLinesLoader"],
    "dc_pipeline.loaders.sdf": ["SDFLoader"],
    "dc_pipeline.loaders.smiles_file": ["SMILESLoader"],
    "dc_pipeline.disk": ["DatasetWriter", "DiskDataset"],
    "dc_pipeline.disk.failures": ["stored_failures"],
    "dc_pipeline.scale.predicting": ["Predictions", "predict_to"],
    "dc_pipeline.featurizers.binaries": ["MoleculeBinary"],
    "dc_pipeline.featurizers.molecules": ["Level", "Molecules", "parse_smiles"],
    "dc_pipeline.featurizers.atom_pairs": ["AtomPairs"],
    "dc_pipeline.featurizers.avalon": ["AvalonFingerprint"],
    "dc_pipeline.featurizers.composite": ["Concatenated", "FeatureColumns"],
    "dc_pipeline.featurizers.maccs": ["MACCSKeys"],
    "dc_pipeline.featurizers.rdkit_fingerprint": ["RDKitFingerprint"],
    "dc_pipeline.featurizers.torsions": ["TopologicalTorsions"],
    "dc_pipeline.featurizers.descriptors": ["RDKitDescriptors"],
    "dc_pipeline.featurizers.ecfp": ["ECFP"],
    "dc_pipeline.metrics.classification": [
        "F1",
        "MCC",
        "PRCAUC",
        "ROCAUC",
        "Accuracy",
        "AveragePrecision",
        "BalancedAccuracy",
        "BrierScore",
        "CalibrationError",
        "LogLoss",
    ],
    "dc_pipeline.metrics.intervals": ["Comparison", "Interval", "compare", "score_intervals"],
    "dc_pipeline.metrics.regression": [
        "MAE",
        "R2",
        "RMSE",
        "ConcordanceIndex",
        "ExplainedVariance",
        "KendallTau",
        "MaxError",
        "PearsonR",
        "SpearmanR",
    ],
    "dc_pipeline.metrics.screening": ["BEDROC", "EnrichmentFactor"],
    "dc_pipeline.metrics.uncertainty": ["GaussianNLL", "RegressionCalibrationError"],
    "dc_pipeline.metrics.weighted": ["WeightedMetric"],
    "dc_pipeline.reporting.chemical_space": ["chemical_space_plot"],
    "dc_pipeline.reporting.classification": [
        "confusion_plot",
        "precision_recall_plot",
        "reliability_plot",
        "roc_plot",
    ],
    "dc_pipeline.reporting.failures": ["failure_tables"],
    "dc_pipeline.reporting.molecules": ["MoleculeCard", "MoleculeCards", "molecule_svg"],
    "dc_pipeline.reporting.page": ["Report"],
    "dc_pipeline.reporting.regression": ["interval_coverage_plot", "parity_plot", "residual_plot"],
    "dc_pipeline.reporting.run": ["report"],
    "dc_pipeline.reporting.scaffolds": [
        "ScaffoldErrors",
        "errors_by_scaffold",
        "scaffold_cards",
        "scaffold_plot",
    ],
    "dc_pipeline.reporting.tables": ["Table"],
    "dc_pipeline.reporting.training": ["learning_curve_plot"],
    "dc_pipeline.reporting.worst": ["worst_predictions"],
    "dc_pipeline.scale.featurizing": ["featurize"],
    "dc_pipeline.splitters.clusters": ["ButinaClusters", "KMeansClusters", "SphereClusters"],
    "dc_pipeline.splitters.diversity": ["FingerprintSplitter", "MaxMinSplitter"],
    "dc_pipeline.splitters.grouping": ["GroupSplitter", "Grouping", "Groups"],
    "dc_pipeline.splitters.index": ["IndexSplitter"],
    "dc_pipeline.splitters.kfold": ["Fold", "KFold", "LeaveGroupOut"],
    "dc_pipeline.splitters.leakage": ["Leakage", "leakage"],
    "dc_pipeline.splitters.random": ["RandomSplitter"],
    "dc_pipeline.splitters.scaffolds": ["ScaffoldSplitter", "Scaffolds", "scaffold_smiles"],
    "dc_pipeline.splitters.stratified": ["StratifiedSplitter"],
    "dc_pipeline.splitters.time": ["TimeSplitter"],
    "dc_pipeline.storing": ["store"],
    "dc_pipeline.tuning.bayesian": ["OptunaTuner"],
    "dc_pipeline.tuning.domains": ["Choice", "Domain", "Integer", "LogUniform", "Uniform"],
    "dc_pipeline.tuning.grid": ["GridTuner"],
    "dc_pipeline.tuning.plots": [
        "plot_history",
        "plot_importance",
        "plot_parallel",
        "plot_slices",
    ],
    "dc_pipeline.tuning.random": ["RandomTuner"],
    "dc_pipeline.tuning.result": ["TuningResult"],
    "dc_pipeline.tuning.trials": ["Trial"],
    "dc_pipeline.tuning.tuner": ["Tuner"],
    "dc_pipeline.transformers.balancing": ["BalancingTransformer"],
    "dc_pipeline.transformers.clipping": ["ClippingTransformer"],
    "dc_pipeline.transformers.duplicates": ["Merged", "merge_duplicates"],
    "dc_pipeline.transformers.imputation": ["ImputationTransformer"],
    "dc_pipeline.transformers.logarithm": ["LogTransformer"],
    "dc_pipeline.transformers.normalization": ["NormalizationTransformer"],
    "dc_pipeline.transformers.power": ["PowerTransformer"],
    "dc_pipeline.transformers.quantile": ["QuantileTransformer"],
    "dc_pipeline.transformers.scaling": ["MinMaxTransformer"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
