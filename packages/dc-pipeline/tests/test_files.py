"""What is particular to structures and images."""

import gzip
import io
import re
import struct
import sys
import zlib

import numpy as np
import pytest

from dc_core.errors import LoaderError, ParameterError
from dc_pipeline import ImageLoader, StructureLoader

gemmi = pytest.importorskip("gemmi", reason="structures are read by gemmi")
Image = pytest.importorskip("PIL.Image", reason="images are read by Pillow")


def atom(serial, name, residue, chain, number, xyz, element, *, alt=" ", code=" ", het=False):
    x, y, z = xyz
    return (
        f"{'HETATM' if het else 'ATOM  '}{serial:5d} {name:<4}{alt}{residue:>3} {chain}{number:4d}"
        f"{code}   {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00          {element:>2}\n"
    )


ATOMS = (
    atom(1, " N", "GLY", "A", -3, (1, 2, 3), "N")
    + atom(2, " CA", "GLY", "A", -3, (1.5, 2, -3), "C", alt="A")
    + atom(3, " CA", "GLY", "A", -3, (9, 9, 9), "C", alt="B")
    + atom(4, "ZN", "ZN", "B", 200, (100.125, 0, 0), "ZN", code="C", het=True)
)


@pytest.fixture(params=["pdb", "mmcif"])
def file(request, tmp_path):
    text = ATOMS + "END\n"
    if request.param == "mmcif":
        text = "# a comment\n" + gemmi.read_pdb_string(text).make_mmcif_document().as_string()
    path = tmp_path / "1abc.any"
    path.write_text(text)
    return path


def test_atoms_are_ragged_columns_in_either_format(file):
    dataset, report = StructureLoader().load(file)
    assert (len(dataset), len(report), dataset.ids.tolist()) == (1, 0, ["1abc"])
    X = {name: column[0] for name, column in dataset.X.items()}
    np.testing.assert_array_equal(X["coordinates"], [[1, 2, 3], [1.5, 2, -3], [100.125, 0, 0]])
    assert X["coordinates"].dtype == np.float32
    assert X["elements"].tolist() == [7, 6, 30]
    for name, expected in {
        "atom_names": [b"N", b"CA", b"ZN"],
        "residue_names": [b"GLY", b"GLY", b"ZN"],
        "chains": [b"A", b"A", b"B"],
    }.items():
        assert X[name].view("S8").ravel().tolist() == expected
    assert X["residue_numbers"].tolist() == [-3, -3, 200]
    assert bytes(X["insertion_codes"]) == b"  C"
    assert X["hetero"].tolist() == [False, False, True]


def test_every_model_is_a_row(tmp_path):
    models = [
        f"MODEL     {n:4d}\n{atom(1, ' C', 'ALA', 'A', 1, (n, 0, 0), 'C')}ENDMDL\n"
        for n in (1, 2, 7)
    ]
    (tmp_path / "nmr.pdb").write_text("".join(models))
    dataset, _ = StructureLoader().load(tmp_path / "nmr.pdb")
    assert dataset.ids.tolist() == ["nmr/1", "nmr/2", "nmr/7"]
    assert dataset.X["coordinates"].values[:, 0].tolist() == [1, 2, 7]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no atoms"),
        ("junk\njunk\n", "has no atoms"),
        ("data_x\n_cell.length_a 1\n", "has no atoms"),
        ("data_x\nloop_\n_atom_site.id\n'1\n", "not a PDB or mmCIF file: .*unterminated"),
        ("ATOM      1  N   ALA A   1      xx.0", "not a PDB or mmCIF file: Problem in line 1"),
        ("\xff\xfe", "not a PDB or mmCIF file"),
        ("data_\n", "has no atoms|not a PDB"),
    ],
    ids=range(7),
)
def test_what_is_not_a_structure_is_a_reported_row(file, tmp_path, text, reason):
    bad = tmp_path / "bad.pdb"
    bad.write_text(text, encoding="latin-1")
    dataset, report = StructureLoader().load([bad, file])
    assert dataset.ids.tolist() == ["1abc"]
    (failure,) = report
    assert (failure.row, failure.input, failure.status) == (0, str(bad), "parse")
    assert re.search(reason, failure.message)


@pytest.mark.parametrize("name", ["1jld_protein.pdb", "1iep_receptorH.pdb"])
def test_real_proteins_have_the_atoms_of_their_records(real, name):
    path = real(name)
    lines = [s for s in path.read_text().splitlines() if s[:6] in ("ATOM  ", "HETATM")]
    lines = [line for line in lines if line[16] in " A"]
    dataset, _ = StructureLoader().load(path)
    X = {key: column[0] for key, column in dataset.X.items()}
    expected = np.array([[float(line[i : i + 8]) for i in (30, 38, 46)] for line in lines])
    theirs, ours = np.lexsort(expected.T), np.lexsort(X["coordinates"].T)
    np.testing.assert_allclose(X["coordinates"][ours], expected[theirs], atol=1e-4)
    names = np.array([line[12:16].strip().encode() for line in lines], "S8")
    assert X["atom_names"].view("S8").ravel()[ours].tolist() == names[theirs].tolist()
    numbers = np.array([int(line[22:26]) for line in lines])
    assert X["residue_numbers"][ours].tolist() == numbers[theirs].tolist()


def test_structures_without_gemmi_name_the_command_to_install_it(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "gemmi", None)
    with pytest.raises(LoaderError, match=r'pip install "dc-pipeline\[structures\]"'):
        StructureLoader().load(file)


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def save(path, pixels=PIXELS, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff"])
def test_pixels_are_those_of_the_file(tmp_path, ending):
    dataset, report = ImageLoader(6, 8).load(save(tmp_path / f"a.{ending}"))
    np.testing.assert_array_equal(dataset.X, PIXELS[None])
    assert (dataset.X.dtype, dataset.ids.tolist(), len(report)) == (np.uint8, [f"a.{ending}"], 0)


@pytest.mark.parametrize(
    ("mode", "shape"), [("L", (6, 8)), ("RGB", (6, 8, 3)), ("RGBA", (6, 8, 4))]
)
def test_the_mode_sets_the_channels_whatever_the_file_has(tmp_path, mode, shape):
    files = [save(tmp_path / "grey.png", PIXELS[..., 0]), save(tmp_path / "colour.png")]
    assert ImageLoader(6, 8, mode).load(files).dataset.X.shape == (2, *shape)


def test_an_image_of_another_size_fails_or_is_scaled(tmp_path):
    files = [save(tmp_path / "a.png"), save(tmp_path / "b.png", PIXELS[:3])]
    dataset, report = ImageLoader(6, 8).load(files)
    assert len(dataset) == 1
    assert (report[0].status, report[0].message) == ("size", "the image is 3 × 8 pixels, not 6 × 8")
    assert len(ImageLoader(6, 8, resize=True).load(files).dataset) == 2


def png_of(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize("side", [7_100, 12_000, 30_000])
def test_a_decompression_bomb_fails_before_it_is_decoded(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_of(side, side))
    _, report = ImageLoader(6, 8, resize=True).load([tmp_path / "bomb.png"])
    assert report[0].status == "size"


def test_what_is_not_a_whole_image_of_a_known_format_is_a_reported_row(tmp_path):
    whole = save(tmp_path / "whole.png")
    (tmp_path / "junk.png").write_bytes(b"junk")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "vector.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n")
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1].copy())]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(PIXELS[..., 0].astype(np.uint16)).save(tmp_path / "deep.png")
    names = ["junk.png", "cut.png", "vector.eps", "two.gif", "deep.png", "nowhere.png"]
    dataset, report = ImageLoader(6, 8).load([tmp_path / name for name in names])
    assert (len(dataset), [failure.row for failure in report]) == (0, list(range(6)))
    for failure, words in zip(
        report,
        ["whole image", "whole image", "whole image", "2 frames", "8 bits", "No such file"],
        strict=True,
    ):
        assert words in failure.message


def test_images_may_be_compressed_and_modes_are_checked(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    (tmp_path / "a.png.gz").write_bytes(gzip.compress(buffer.getvalue()))
    assert len(ImageLoader(6, 8).load(tmp_path / "a.png.gz").dataset) == 1
    for options in ({"mode": "CMYK"}, {"height": 0}, {"resize": 1}):
        with pytest.raises(ParameterError):
            ImageLoader(**{"height": 6, "width": 8, **options})


def test_images_without_pillow_name_the_command_to_install_it(tmp_path, monkeypatch):
    file = save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(LoaderError, match=r'pip install "dc-pipeline\[images\]"'):
        ImageLoader(6, 8).load(file)
