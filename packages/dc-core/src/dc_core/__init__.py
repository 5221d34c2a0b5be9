"""The Model hierarchy, weights as named arrays, datasets and plugins.

Everything public is named here and imported when first used: ``import dc_core`` loads neither
NumPy nor any framework. The conformance kit, :mod:`dc_core.testing`, is imported by its own name,
because it needs pytest.
"""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_core import distributions as distributions
    from dc_core import dtypes as dtypes
    from dc_core import engines as engines
    from dc_core import errors as errors
    from dc_core import lazy as lazy
    from dc_core import onnx_graph as onnx_graph
    from dc_core import plugins as plugins
    from dc_core import registry as registry
    from dc_core import structures as structures
    from dc_core import training as training
    from dc_core.arrays import to_array as to_array
    from dc_core.balancing import balanced_factors as balanced_factors
    from dc_core.balancing import class_totals as class_totals
    from dc_core.balancing import weigh_classes as weigh_classes
    from dc_core.budget import byte_budget as byte_budget
    from dc_core.budget import charge as charge
    from dc_core.calls import explained as explained
    from dc_core.columns import Column as Column
    from dc_core.columns import Columns as Columns
    from dc_core.columns import Ragged as Ragged
    from dc_core.columns import concatenate_rows as concatenate_rows
    from dc_core.columns import dense_array as dense_array
    from dc_core.columns import row_count as row_count
    from dc_core.columns import take_rows as take_rows
    from dc_core.columns import to_columns as to_columns
    from dc_core.component import Component as Component
    from dc_core.dataset import PARTS as PARTS
    from dc_core.dataset import Batch as Batch
    from dc_core.dataset import Dataset as Dataset
    from dc_core.dataset import NumpyDataset as NumpyDataset
    from dc_core.dataset import check_dataset as check_dataset
    from dc_core.dataset import check_parts as check_parts
    from dc_core.digests import dataset_digest as dataset_digest
    from dc_core.display import html_table as html_table
    from dc_core.dtypes import dtype_from_name as dtype_from_name
    from dc_core.dtypes import dtype_name as dtype_name
    from dc_core.dtypes import raw_bits as raw_bits
    from dc_core.errors import DCError as DCError
    from dc_core.failures import Failure as Failure
    from dc_core.failures import FailureReport as FailureReport
    from dc_core.files import sync_directory as sync_directory
    from dc_core.files import sync_file as sync_file
    from dc_core.holders import WeightHolder as WeightHolder
    from dc_core.interrupts import DeferredSignals as DeferredSignals
    from dc_core.interrupts import deferred_signals as deferred_signals
    from dc_core.interrupts import uninterrupted as uninterrupted
    from dc_core.mapped import MappedDataset as MappedDataset
    from dc_core.metric import Metric as Metric
    from dc_core.metric import check_metrics as check_metrics
    from dc_core.metric import score_all as score_all
    from dc_core.model import Model as Model
    from dc_core.origins import origins_of as origins_of
    from dc_core.origins import set_origins as set_origins
    from dc_core.output import escape_controls as escape_controls
    from dc_core.output import json_line as json_line
    from dc_core.parameters import check_choice as check_choice
    from dc_core.parameters import check_count as check_count
    from dc_core.parameters import check_flag as check_flag
    from dc_core.parameters import check_names as check_names
    from dc_core.parameters import check_number as check_number
    from dc_core.parameters import check_positive as check_positive
    from dc_core.parameters import construct as construct
    from dc_core.parameters import copy_arguments as copy_arguments
    from dc_core.parameters import guess as guess
    from dc_core.parameters import plain as plain
    from dc_core.plugins.hookspecs import hookimpl as hookimpl
    from dc_core.plugins.info import BackendInfo as BackendInfo
    from dc_core.prefetching import prefetch as prefetch
    from dc_core.registry import register_component as register_component
    from dc_core.registry import register_model as register_model
    from dc_core.replacing import with_parameters as with_parameters
    from dc_core.roles import Estimator as Estimator
    from dc_core.roles import Generator as Generator
    from dc_core.roles import Metalearner as Metalearner
    from dc_core.roles import NormalDistribution as NormalDistribution
    from dc_core.roles import Policy as Policy
    from dc_core.roles import StructuredOutputLearner as StructuredOutputLearner
    from dc_core.roles import UnsupervisedLearner as UnsupervisedLearner
    from dc_core.steps import Features as Features
    from dc_core.steps import Featurizer as Featurizer
    from dc_core.steps import Loaded as Loaded
    from dc_core.steps import Loader as Loader
    from dc_core.steps import Split as Split
    from dc_core.steps import Splitter as Splitter
    from dc_core.steps import Transformer as Transformer
    from dc_core.tables import make_table as make_table
    from dc_core.tabular import Table as Table
    from dc_core.tabular import class_labels as class_labels
    from dc_core.tabular import flat_rows as flat_rows
    from dc_core.tabular import to_table as to_table
    from dc_core.warning import DCWarning as DCWarning
    from dc_core.warning import PluginWarning as PluginWarning
    from dc_core.warning import warn as warn
    from dc_core.weights import WeightInfo as WeightInfo
    from dc_core.weights import check_weights as check_weights
    from dc_core.weights import model_name as model_name
    from dc_core.weights import number_by_layer as number_by_layer

_EXPORTS = {
    "dc_core.arrays": ["to_array"],
    "dc_core.balancing": ["balanced_factors", "class_totals", "weigh_classes"],
    "dc_core.budget": ["byte_budget", "charge"],
    "dc_core.calls": ["explained"],
    "dc_core.columns": [
        "Column",
        "Columns",
        "Ragged",
        "concatenate_rows",
        "dense_array",
        "row_count",
        "take_rows",
        "to_columns",
    ],
    "dc_core.component": ["Component"],
    "dc_core.dataset": [
        "PARTS",
        "Batch",
        "Dataset",
        "NumpyDataset",
        "check_dataset",
        "check_parts",
    ],
    "dc_core.digests": ["dataset_digest"],
    "dc_core.display": ["html_table"],
    "dc_core.origins": ["origins_of", "set_origins"],
    "dc_core.distributions": ["distributions"],
    "dc_core.dtypes": ["dtype_from_name", "dtype_name", "dtypes", "raw_bits"],
    "dc_core.engines": ["engines"],
    "dc_core.errors": ["DCError", "errors"],
    "dc_core.failures": ["Failure", "FailureReport"],
    "dc_core.files": ["sync_directory", "sync_file"],
    "dc_core.holders": ["WeightHolder"],
    "dc_core.interrupts": ["DeferredSignals", "deferred_signals", "uninterrupted"],
    "dc_core.lazy": ["lazy"],
    "dc_core.mapped": ["MappedDataset"],
    "dc_core.metric": ["Metric", "check_metrics", "score_all"],
    "dc_core.model": ["Model"],
    "dc_core.onnx_graph": ["onnx_graph"],
    "dc_core.output": ["escape_controls", "json_line"],
    "dc_core.parameters": [
        "check_choice",
        "check_count",
        "check_flag",
        "check_names",
        "check_number",
        "check_positive",
        "construct",
        "copy_arguments",
        "guess",
        "plain",
    ],
    "dc_core.plugins": ["plugins"],
    "dc_core.plugins.hookspecs": ["hookimpl"],
    "dc_core.plugins.info": ["BackendInfo"],
    "dc_core.prefetching": ["prefetch"],
    "dc_core.registry": ["register_component", "register_model", "registry"],
    "dc_core.replacing": ["with_parameters"],
    "dc_core.roles": [
        "Estimator",
        "Generator",
        "Metalearner",
        "NormalDistribution",
        "Policy",
        "StructuredOutputLearner",
        "UnsupervisedLearner",
    ],
    "dc_core.steps": [
        "Features",
        "Featurizer",
        "Loaded",
        "Loader",
        "Split",
        "Splitter",
        "Transformer",
    ],
    "dc_core.structures": ["structures"],
    "dc_core.tables": ["make_table"],
    "dc_core.tabular": ["Table", "class_labels", "flat_rows", "to_table"],
    "dc_core.training": ["training"],
    "dc_core.warning": ["DCWarning", "PluginWarning", "warn"],
    "dc_core.weights": ["WeightInfo", "check_weights", "model_name", "number_by_layer"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
