"""The plugin in an environment where another distribution is damaged."""

from dc_core.testing.fresh import fresh_interpreter


def test_the_plugin_is_imported_although_entry_points_cannot_be_read(tmp_path, monkeypatch):
    info = tmp_path / "damaged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[group]\nno equals sign\n")
    monkeypatch.syspath_prepend(tmp_path)
    code = "from dc_core.plugins import BACKENDS; print(BACKENDS.load('sklearn').__name__)"
    assert fresh_interpreter(code) == "dc_sklearn.plugin\n"
