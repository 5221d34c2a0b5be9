"""The converter ``skops``: estimators in the format of skops, which names the types in a file.

Types that skops trusts are built; a file that names others has to be trusted as a whole.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from dc_core import hookimpl
from dc_core.errors import ConversionError, UntrustedFile
from dc_core.plugins import Foreign
from dc_sklearn.joblib_files import foreign

try:
    from skops import io as skops
except ImportError:
    skops = None


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the estimator in a file of skops."""
    if skops is None:
        raise ConversionError(
            "The file is one of skops, which is not installed.",
            hint='Run: pip install "dc-sklearn[skops]"',
        )
    unknown = skops.get_untrusted_types(file=path)
    if unknown and not trusted:
        raise UntrustedFile(
            f"The file names types that skops does not trust: {', '.join(sorted(unknown)[:5])}.",
            hint="If you trust whoever wrote it: trust=True, --i-trust-this-file.",
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = skops.load(path, trusted=unknown)
    return foreign(content, "skops", [warning.message for warning in caught])
