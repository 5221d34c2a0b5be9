"""Load images as arrays."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from dc_core import Columns, check_count, check_flag
from dc_core.errors import LoaderError, ParameterError
from dc_pipeline.loaders.files import FilesLoader, Row, Unusable
from dc_pipeline.loaders.sources import Source

_CHANNELS: Final = {"L": 0, "RGB": 3, "RGBA": 4}
_FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


class ImageLoader(FilesLoader):
    """Reads images by Pillow: one file, or a list, each of which is a row.

    X is ``(n, height, width)`` of uint8 for ``mode="L"`` (grey), and ``(n, height, width, 3 or 4)``
    for ``"RGB"`` and ``"RGBA"``; other modes of a file are converted. The ids are the names of the
    files. The formats are BMP, GIF, JPEG, PNG, TIFF and WebP.

    An image of another size fails (status ``size``), unless ``resize`` is set: then it is scaled by
    bicubic interpolation. One of more than ``max_pixels`` fails before it is decoded. A file fails
    (status ``parse``) if it is damaged, cut or of another format, if it has several frames, or more
    than 8 bits a channel, which uint8 cannot hold.

    Reading needs Pillow: ``pip install "dc-pipeline[images]"``.

    Raises :class:`LoaderError` if a single file cannot be read, and :class:`ParameterError` for
    other modes and for sizes below 1.
    """

    requires = ("pillow",)

    def __init__(
        self,
        height: int,
        width: int,
        mode: str = "RGB",
        resize: bool = False,
        max_pixels: int = 50_000_000,
    ) -> None:
        if mode not in _CHANNELS:
            raise ParameterError(f"mode={mode!r} must be one of {', '.join(_CHANNELS)}.")
        self.height = check_count("height", height, minimum=1)
        self.width = check_count("width", width, minimum=1)
        self.mode = mode
        self.resize = check_flag("resize", resize)
        self.max_pixels = check_count("max_pixels", max_pixels, minimum=1)

    def _rows(self, file: Source, data: bytes) -> Sequence[Row]:
        try:
            from PIL import Image
        except ImportError as error:
            raise LoaderError(
                f"{file} is an image, and Pillow is not installed.",
                hint='pip install "dc-pipeline[images]"',
            ) from error
        name = PurePosixPath(file.name.replace("\\", "/")).name
        try:
            with warnings.catch_warnings():
                # The size is checked here, against our own limit.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                    return [Row(name, self._array(image))]
        except Unusable:
            raise
        except Image.DecompressionBombError as error:
            raise Unusable("size", f"the image is too large: {error}") from error
        except Exception as error:
            raise Unusable("parse", f"{name} is not a whole image: {error}") from error

    def _array(self, image: Any) -> np.ndarray:
        """Return the pixels; raises :class:`Unusable`."""
        width, height = image.size
        if width * height > self.max_pixels:
            raise Unusable(
                "size",
                f"the image has {width * height} pixels; the limit is max_pixels={self.max_pixels}",
            )
        if getattr(image, "n_frames", 1) > 1:
            raise Unusable("parse", f"the image has {image.n_frames} frames")
        if image.mode[0] in "IF":
            raise Unusable("parse", f"the pixels are of mode {image.mode}, which has above 8 bits")
        if (height, width) != (self.height, self.width):
            if not self.resize:
                raise Unusable(
                    "size",
                    f"the image is {height} × {width} pixels, not {self.height} × {self.width}",
                )
            image = image.convert(self.mode).resize((self.width, self.height))
        return np.asarray(image.convert(self.mode))

    def _X(self, values: Sequence[Any]) -> Columns:
        channels = _CHANNELS[self.mode]
        shape = (self.height, self.width, *([channels] if channels else []))
        return np.array(values, np.uint8).reshape(len(values), *shape)
