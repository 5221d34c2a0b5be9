"""The contract of a backend: one short docstring per hook.

A backend is a module in the entry-point group ``dc.backends.v1`` whose functions are decorated with
``dc_core.hookimpl``. It may leave out hooks and so lack a capability, and its functions may take
fewer arguments than the hooks. The names of weights are relative, ``<layer>/<i>``, in the backend's
own stable order. An object that the backend does not serve is declined with ``NotClaimed``.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import numpy as np

    from dc_core.plugins.foreign import Foreign
    from dc_core.plugins.info import BackendInfo
    from dc_core.weights import WeightInfo

hookspec = pluggy.HookspecMarker("dc")
hookimpl = pluggy.HookimplMarker("dc")


class BackendHooks:
    """The hooks of a backend. All are optional."""

    @hookspec
    def dc_backend_info(self) -> BackendInfo:
        """Return the versions of the distributions that the backend needs, and its capabilities."""

    @hookspec
    def dc_describe_weights(self, obj: Any) -> Mapping[str, WeightInfo]:
        """Describe every array that the predictions of ``obj`` depend on, without allocating any.

        Tied weights appear once. An object that is not fitted yet has no weights: ``{}``.
        """

    @hookspec
    def dc_export_weights(
        self, obj: Any, names: Collection[str] | None, copy: bool
    ) -> Mapping[str, np.ndarray]:
        """Return the weights in ``names`` (None: all) as C-ordered arrays, bit for bit.

        ``obj`` is unchanged. With ``copy`` the arrays share no memory with it.
        """

    @hookspec
    def dc_import_weights(
        self,
        obj: Any,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str],
        copy: bool,
    ) -> Any:
        """Return ``obj`` with these weights, all or nothing; without ``copy`` it may keep them.

        An object that can change is changed and returned; of an immutable one, a new object is
        returned, which replaces it.

        A missing name not in ``allow_missing``, a surplus name, another shape or dtype, or a
        contradictory structure raises ``WeightsMismatch`` or ``StructureError`` and leaves ``obj``
        unchanged, as does a Ctrl-C (see ``dc_core.uninterrupted``). An object that is not fitted
        takes the complete fitted state.
        """

    @hookspec
    def dc_skeleton(self, build: Callable[[], Any]) -> Any:
        """Return ``build()`` made without allocating or initialising weights where possible."""

    @hookspec
    def dc_describe_component(self, obj: Any) -> tuple[str, Mapping[str, Any]] | None:
        """Return the stored name and constructor arguments of the framework's object, or None.

        The name begins with the backend's: ``sklearn/Ridge``.
        """

    @hookspec
    def dc_build_component(self, name: str, params: Mapping[str, Any]) -> Any:
        """Build the framework's object from what ``dc_describe_component`` returned.

        ``name`` and ``params`` come from a file. A name outside the backend's closed set raises
        ``UnknownClass``; an unknown parameter or an impossible value raises ``ParameterError``.
        """

    @hookspec
    def dc_wrap(self, obj: Any) -> Any:
        """Return a ``dc_core.Model`` around the framework's object."""

    @hookspec
    def dc_export_onnx(self, model: Any, X: Any) -> bytes:
        """Return an ONNX model whose one output is what ``model.predict`` returns for rows of X.

        ``X`` are some rows: an array, or arrays by the name of the column. The inputs have the
        columns' names, or ``X``, and any number of rows. ``model`` is unchanged. A model that ONNX
        cannot express raises ``NotSerializable``.
        """


class PretrainedHooks:
    """The hooks of a store of models, which dc-hub implements in the group ``dc.pretrained``."""

    @hookspec
    def dc_publish(self, model: Any, where: Any, options: Mapping[str, Any]) -> Any:
        """Store ``model``: ``model.to_pretrained(where, **options)``."""

    @hookspec
    def dc_fetch(self, cls: type[Any], name: Any, options: Mapping[str, Any]) -> Any:
        """Return a stored model of class ``cls``: ``cls.from_pretrained(name, **options)``."""

    @hookspec
    def dc_checkpoints(self, where: Any, options: Mapping[str, Any]) -> Any:
        """Return the :class:`dc_core.training.CheckpointStore` in the place ``where``.

        ``options`` are those of ``dc_publish``. Nothing is read or written yet.
        """


class HubHooks:
    """The hook of a kind of hub, in the entry-point group ``dc.hubs``.

    The entry point's name is the scheme of the URLs of such hubs: ``https``, ``s3``.
    """

    @hookspec
    def dc_open_hub(self, url: str, options: Mapping[str, Any]) -> Any:
        """Return the hub at ``url``, which need not be asked anything yet.

        Unknown options raise ``ParameterError``.
        """


class ConverterHooks:
    """The hooks of a converter, which reads one kind of file, in the group ``dc.converters``.

    The entry point's name is the kind of file: ``torch``, ``keras``. The hooks are called in a
    confined process that ends afterwards, and the plugin is imported before the process is
    confined. ``path`` comes from a stranger.
    """

    @hookspec
    def dc_recognize_file(self, path: Path) -> str | None:
        """Return a description of the file in a few words, None if it is not of this kind.

        Kinds that dc-hub itself recognizes need not implement it. Nothing of the file is executed.
        """

    @hookspec
    def dc_calls_libraries(self) -> bool:
        """Return whether reading calls libraries by ``ctypes``, which is refused otherwise.

        Only a plugin that executes nothing of a file, trusted or not, may implement it.
        """

    @hookspec
    def dc_read_file(self, path: Path, trusted: bool) -> Foreign:
        """Return the content of the file.

        What can execute code of the file, such as pickle, is used only if the file is ``trusted``,
        and raises ``UntrustedFile`` otherwise. ``ConversionError`` says what else is wrong.
        """


class EngineHooks:
    """The hooks of an engine, in the entry-point group ``dc.engines``."""

    @hookspec
    def dc_engine(self, options: Mapping[str, Any]) -> Any:
        """Return a new :class:`dc_core.engines.Engine`: ``engine(name, **options)``.

        It connects to its cluster when it is started. Unknown options raise ``ParameterError``.
        """

    @hookspec
    def dc_engine_for(self, client: Any) -> Any:
        """Return an engine on the cluster of ``client``, or None if it is not of this framework.

        Objects of all kinds are asked about, so the framework must not be imported to answer.
        """
