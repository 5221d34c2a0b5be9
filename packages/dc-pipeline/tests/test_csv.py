"""CSVLoader: every row is in the dataset or the report; an invalid file is a typed error."""

import gzip
import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dc_core.errors import FeaturizationError, LoaderError, ParameterError
from dc_pipeline import ECFP, CSVLoader
from dc_pipeline.loaders import delimited, sources

TABLE = """\
name,smiles,expt,calc
ethanol,CCO,-5.0,-4.5
benzene,c1ccccc1,-0.9,
water,O,,NA
"""


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_rows_are_inputs_labels_weights_and_ids(write):
    dataset, failures = CSVLoader("smiles", ["expt", "calc"], id="name").load(write(TABLE))
    assert dataset.X.tolist() == ["CCO", "c1ccccc1", "O"]
    np.testing.assert_array_equal(dataset.y, [[-5.0, -4.5], [-0.9, np.nan], [np.nan, np.nan]])
    assert dataset.w.tolist() == [[1, 1], [1, 0], [0, 0]]
    assert dataset.ids.tolist() == ["ethanol", "benzene", "water"]
    assert dataset.tasks == ("expt", "calc")
    assert len(failures) == 0


def test_the_inputs_are_the_ids_unless_a_column_is_named(write):
    dataset, _ = CSVLoader(tasks="expt").load(write(TABLE))
    assert dataset.ids.tolist() == dataset.X.tolist()
    assert dataset.tasks == ("expt",)


def test_a_file_without_labels_is_a_dataset_without_tasks(write):
    dataset, _ = CSVLoader().load(write(TABLE))
    assert dataset.y.shape == (3, 0)


@pytest.mark.parametrize(("columns", "expected"), [("w", [[2, 2]]), (["w", "v"], [[2, 0.5]])])
def test_weights_are_for_all_tasks_or_one_for_each(write, columns, expected):
    file = write("smiles,a,b,w,v\nC,1,2,2,0.5\n")
    dataset, _ = CSVLoader(tasks=["a", "b"], weights=columns).load(file)
    assert dataset.w.tolist() == expected


def test_gzip_is_read_whatever_the_name_of_the_file(write):
    plain, _ = CSVLoader(tasks="expt").load(write(TABLE))
    packed, _ = CSVLoader(tasks="expt").load(write(gzip.compress(TABLE.encode()), "table"))
    assert packed.X.tolist() == plain.X.tolist()


def test_byte_order_mark_crlf_quotes_and_blank_lines_are_not_data(write):
    file = write('\ufeff"smiles","expt"\r\n"CCO"," 1.5 "\r\n\r\n')
    dataset, failures = CSVLoader(tasks="expt").load(file)
    assert dataset.X.tolist() == ["CCO"]
    assert dataset.y.tolist() == [[1.5]]
    assert len(failures) == 0


def test_another_delimiter_and_encoding_are_read(write):
    file = write("name;smiles\nBenzaldéhyde;O=Cc1ccccc1\n".encode("latin-1"))
    dataset, _ = CSVLoader(id="name", delimiter=";", encoding="latin-1").load(file)
    assert dataset.ids.tolist() == ["Benzaldéhyde"]


@pytest.mark.parametrize(
    ("row", "input_", "message"),
    [
        ("CCO,1,-1", "CCO", "the weight w is -1"),
        ("CCO,1,", "CCO", "the weight w is missing"),
        (",1,1", "", "the input is missing"),
        ("CCO,1", "CCO", "the row has 2 fields and the header has 3"),
        ("CCO,1,1,1", "CCO", "the row has 4 fields and the header has 3"),
        ('"CCO,1,1', '"CCO,1,1', "a quote is not closed"),
        ('"C"CO,1,1', '"C"CO,1,1', "text follows a closing quote"),
        ("C" * 131_073 + ",1,1", "C" * 131_073, "more than 131072 characters"),
        ('"' + "C" * 131_073 + '",1,1', '"' + "C" * 999, "more than 131072 characters"),
    ],
)
def test_a_bad_row_is_reported_and_the_rest_goes_on(write, caplog, row, input_, message):
    file = write(f"smiles,expt,w\nC,1,1\n{row}\nCC,2,1\n")
    dataset, report = CSVLoader(tasks="expt", weights="w").load(file)
    assert dataset.X.tolist() == ["C", "CC"]
    (failure,) = report.failures
    assert (failure.row, failure.input, failure.status) == (1, input_, "parse")
    assert message in failure.message
    assert message in caplog.text


def test_strict_raises_at_a_bad_row(write):
    file = write("smiles,expt\nCCO,much\n")
    with pytest.raises(FeaturizationError, match=r"row 0 \('CCO', task 'expt'\): expt is 'much'"):
        CSVLoader(tasks="expt").load(file, strict=True)


@pytest.mark.parametrize(
    ("label", "status"),
    [
        ("about 5", "label"),
        ("inf", "label"),
        ("-nan", "label"),
        ("1_000", "label"),
        (">5", "censored"),
        ("< 0.1", "censored"),
        (">=1e3", "censored"),
        ("≤-.5", "censored"),
    ],
)
def test_a_label_that_is_not_a_number_loses_its_task_and_not_the_row(write, label, status):
    file = write(f"smiles,a,b\nC,1,2\nCCO,{label},3\n")
    dataset, report = CSVLoader(tasks=["a", "b"]).load(file)
    assert dataset.X.tolist() == ["C", "CCO"]
    np.testing.assert_array_equal(dataset.y, [[1, 2], [np.nan, 3]])
    assert dataset.w.tolist() == [[1, 1], [0, 1]]
    (failure,) = report
    assert (failure.row, failure.input, failure.task, failure.status) == (1, "CCO", "a", status)
    assert repr(label) in failure.message


def test_labels_may_be_the_names_of_classes(write):
    file = write("smiles,activity,y\nC,active,1\nCC,inactive,2\nCCC,NA,3\nCCCC, active ,4\n")
    dataset, report = CSVLoader(tasks=["activity", "y"], classes="activity").load(file)
    assert dataset.classes == {"activity": ("active", "inactive")}
    np.testing.assert_array_equal(dataset.y, [[0, 1], [1, 2], [np.nan, 3], [0, 4]])
    assert dataset.w.tolist() == [[1, 1], [1, 1], [0, 1], [1, 1]]
    assert len(report) == 0


def test_classes_keep_the_order_given_and_other_names_are_reported(write):
    file = write("smiles,activity\nC,active\nC1CC,odd\nCC,odd\nCCC,inactive\n")
    loader = CSVLoader(tasks="activity", classes={"activity": ["inactive", "active"]})
    dataset, report = loader.load(file)
    assert dataset.classes == {"activity": ("inactive", "active")}
    np.testing.assert_array_equal(dataset.y.ravel(), [1, np.nan, np.nan, 0])
    assert [(failure.row, failure.status, failure.task) for failure in report] == [
        (1, "label", "activity"),
        (2, "label", "activity"),
    ]
    assert "'odd' is not a class of activity" in str(report)


def test_an_unclosed_quote_ends_at_its_line(write):
    lines = ["smiles,y", "C,1", '"CC,2', "CCC,3", '"CCCC",4', '"CCCCC,5']
    dataset, report = CSVLoader(tasks="y").load(write("\n".join(lines)))
    assert dataset.X.tolist() == ["C", "CCC", "CCCC"]
    assert [failure.row for failure in report] == [1, 4]


def test_a_quoted_field_may_hold_line_breaks_unless_it_is_the_input(write):
    file = write('smiles,name,y\nC,"two\nlines, and ""quotes""",1\n"C\nC",x,2\nCCC,"z",3\n')
    dataset, report = CSVLoader(tasks="y", id="name").load(file)
    assert dataset.X.tolist() == ["C", "CCC"]
    assert dataset.ids.tolist() == ['two\nlines, and "quotes"', "z"]
    (failure,) = report
    assert (failure.row, failure.input) == (1, "C\nC")
    assert "line break" in failure.message


def test_many_unclosed_quotes_take_time_in_proportion_to_the_file(write):
    file = write("smiles,y\n" + '"CC,2\n' * 20_000)
    started = time.process_time()
    _, report = CSVLoader(tasks="y").load(file)
    assert len(report) == 20_000
    assert time.process_time() - started < 20


def test_one_long_text_does_not_multiply_by_the_number_of_rows(write):
    file = write("smiles,y\n" + "CCO,1\n" * 100_000 + "C" * 100_000 + ",2\n")
    tracemalloc.start()
    dataset, _ = CSVLoader(tasks="y").load(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(dataset) == 100_001
    assert peak < 150e6


def test_rows_are_the_same_in_plain_blocks_and_in_those_with_quotes(write):
    smiles = ["C" * (i % 61 + 1) for i in range(30_000)]
    labels = [i / 8 for i in range(30_000)]
    rows = [f"{s},{y},n{i}" for i, (s, y) in enumerate(zip(smiles, labels, strict=True))]
    quoted = [row.replace(f"n{i}", f'"n{i}"') if i > 20_000 else row for i, row in enumerate(rows)]
    accented = [*rows[:15_000], "CC,1,é", *rows[15_000:]]
    loader = CSVLoader(tasks="y", id="id")
    plain, _ = loader.load(write("\n".join(["smiles,y,id", *rows])))
    mixed, _ = loader.load(write("\n".join(["smiles,y,id", *quoted])))
    other, report = loader.load(write("\n".join(["smiles,y,id", "C,1", *accented])))
    assert plain.X.tolist() == mixed.X.tolist() == smiles
    assert plain.y.ravel().tolist() == mixed.y.ravel().tolist() == labels
    assert plain.ids.tolist() == mixed.ids.tolist()
    assert other.ids[[14_999, 15_000, 15_001]].tolist() == ["n14999", "é", "n15000"]
    assert [failure.row for failure in report] == [0]


@pytest.mark.parametrize("name", ["a\0", "\0", "", "x" * 64, "x" * 65, "é", "\x1fa"], ids=ascii)
def test_text_of_any_kind_is_kept(write, name):
    rows = [f"C,1,n{i}" for i in range(40)]
    file = write("\n".join(["smiles,y,id", *rows, f"CC,2,{name}", *rows]))
    dataset, report = CSVLoader(tasks="y", id="id").load(file)
    assert dataset.ids.tolist() == [*dataset.ids[:40], name.strip(), *dataset.ids[:40]]
    assert dataset.ids[39] == "n39"
    assert len(report) == 0


def test_a_delimiter_may_be_a_digit(write):
    dataset, _ = CSVLoader(tasks="y", delimiter="0").load(write("smiles0y\nC01\nCC02\n"))
    assert dataset.X.tolist() == ["C", "CC"]
    assert dataset.y.ravel().tolist() == [1, 2]


def test_records_keep_their_numbers_across_blocks(write):
    rows = [f"{'C' * 40},{i}" for i in range(20_000)]
    for i in (0, 9_000, 19_999):
        rows[i] = f"{'C' * 40},no number"
    _, report = CSVLoader(tasks="y").load(write("\n".join(["smiles,y", *rows])))
    assert [failure.row for failure in report] == [0, 9_000, 19_999]


def test_spaces_around_fields_and_blank_lines_do_not_count(write):
    dataset, report = CSVLoader(tasks="y", id="id").load(
        write("\nsmiles, y ,id\n\n CCO , 1.5\t, a b \n\n\nC,\x0c2,x\n\n")
    )
    assert dataset.X.tolist() == ["CCO", "C"]
    assert dataset.y.ravel().tolist() == [1.5, 2]
    assert dataset.ids.tolist() == ["a b", "x"]
    assert len(report) == 0


def test_a_label_of_a_row_without_weight_is_not_reported_twice(write):
    _, report = CSVLoader(tasks="y", weights="w").load(write("smiles,y,w\nC,bad,-1\n"))
    (failure,) = report
    assert (failure.task, failure.message) == ("", "the weight w is -1")


def test_loading_takes_little_more_memory_than_the_file(write):
    rows = "".join(f"{'C' * (i % 90)}O,{i % 700 / 8},mol{i}\n" for i in range(100_000))
    file = write("smiles,y,id\n" + rows)
    loader = CSVLoader(tasks="y", id="id")
    tracemalloc.start()
    dataset, _ = loader.load(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset) == 100_000
    assert peak < 8 * file.stat().st_size


def test_a_featurizer_gives_features_and_its_failures_in_the_rows_of_the_file(write):
    file = write("smiles,y\nCCO,1\nC,bad\nC1CC,3\nCC,bad\nc1ccccc1,4\n")
    dataset, report = CSVLoader(tasks="y", featurizer=ECFP(size=32)).load(file)
    good = ["CCO", "C", "CC", "c1ccccc1"]
    np.testing.assert_array_equal(dataset.X, ECFP(size=32).featurize(good).values)
    np.testing.assert_array_equal(dataset.y.ravel(), [1, np.nan, np.nan, 4])
    assert dataset.ids.tolist() == good
    found = [(failure.row, failure.input, failure.message) for failure in report.failures]
    assert found == [
        (
            1,
            "C",
            "y is 'bad', which is not a finite number; for names of classes, give classes='y'",
        ),
        (2, "C1CC", ECFP().featurize(["C1CC"]).failures[0].message),
        (
            3,
            "CC",
            "y is 'bad', which is not a finite number; for names of classes, give classes='y'",
        ),
    ]


def test_a_header_alone_is_an_empty_dataset(write):
    dataset, failures = CSVLoader(tasks="expt").load(write("smiles,expt\n"))
    assert (len(dataset), dataset.y.shape, len(failures)) == (0, (0, 1), 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("SMILES,expt\nC,1\n", "no column 'smiles'. It has: SMILES, expt"),
        ("smiles,smiles,expt\nC,C,1\n", "several columns 'smiles'"),
        ("smiles,expt\nC,1\n".encode("utf-16"), "is not text in utf-8-sig"),
        (b"\xfd\xfe\xff", "is not text in utf-8-sig.*encoding='latin-1'"),
        (gzip.compress(TABLE.encode())[:-9], "is a damaged gzip file"),
        (b"\x1f\x8b" + b"junk" * 9, "is a damaged gzip file"),
        ('"smiles,expt\nC,1\n', "first line: a quote is not closed"),
    ],
)
def test_an_invalid_file_is_a_typed_error_with_a_hint(write, content, message):
    with pytest.raises(LoaderError, match=message):
        CSVLoader(tasks="expt").load(write(content))


def test_a_missing_file_is_a_typed_error(tmp_path):
    with pytest.raises(LoaderError, match=r"No such file or directory.*Paths start at"):
        CSVLoader().load(tmp_path / "nowhere.csv")
    with pytest.raises(LoaderError, match="Is a directory"):
        CSVLoader().load(tmp_path)


def test_an_unknown_encoding_is_a_typed_error(write):
    with pytest.raises(LoaderError, match="no encoding 'klingon'"):
        CSVLoader(encoding="klingon").load(write(TABLE))


@pytest.mark.parametrize(
    "settings_",
    [
        {"weights": ["a", "b"]},
        {"delimiter": "::"},
        {"delimiter": "\n"},
        {"delimiter": '"'},
        {"delimiter": None},
        {"delimiter": 3},
        {"tasks": 3},
        {"tasks": ["expt", "expt"]},
        {"tasks": [1]},
        {"inputs": ["smiles"]},
        {"classes": "other"},
        {"classes": {"expt": "active"}, "tasks": "y"},
        {"featurizer": ECFP},
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_a_typed_error(settings_):
    with pytest.raises(ParameterError):
        CSVLoader(**{"tasks": "expt", **settings_})


@pytest.mark.parametrize(
    "path", [None, 3, pd.DataFrame({"smiles": ["C"]})], ids=["none", "3", "df"]
)
def test_what_is_not_a_path_is_a_typed_error(path):
    with pytest.raises(LoaderError, match=r"path is of type .*from_dataframe"):
        CSVLoader().load(path)


def test_freesolv_loads_whole(freesolv):
    dataset, failures = CSVLoader("smiles", ["expt"], id="iupac").load(freesolv)
    assert (len(dataset), len(failures)) == (642, 0)
    assert dataset.ids[0] == "4-methoxy-N,N-dimethyl-benzamide"
    assert dataset.y[0] == -11.01


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=60) | st.text(',"\n\r \x00smiles1é', max_size=40).map(lambda s: s.encode())
)
def test_any_bytes_are_a_dataset_or_a_typed_error(write, content):
    for start in (b"", b"smiles,y\n"):
        file = write(start + content)
        try:
            dataset, report = CSVLoader(tasks="y").load(file)
        except LoaderError:
            continue
        assert len({failure.row for failure in report.failures}) == len(report)
        assert len(dataset) == len(dataset.y)


SMILES = st.sampled_from(["C", "CCO", "c1ccccc1", "C" * 70, "C" * 300]) | st.text("CNO", max_size=5)
NUMBERS = (
    st.floats().map(repr)
    | st.decimals(-999, 999, places=2).map(str)
    | st.sampled_from(["", "NA", "nan", "1e3", ">5", "<= 2", "bad", "inf", "1_0", " 7 ", "١"])
)
QUOTED_LINES = st.builds(
    lambda fields, quoted: ",".join(
        f'"{field}"' if quote else field for field, quote in zip(fields, quoted, strict=True)
    ),
    st.tuples(SMILES, NUMBERS, st.text("ab ,", max_size=4), st.sampled_from(["1", "0.5", "x"])),
    st.tuples(*[st.booleans()] * 4),
)
ODD_LINES = (
    st.sampled_from(["", "C", "C,1", "C,1,2,3,4", " ,1,x,1", "C,1,x,-1", "C,1,x,"])
    | st.sampled_from(['"C,1,x,1', '"C"C,1,x,1', '"', '""', '"C",1,"a""b",1'])
    | st.sampled_from(['C,1,"two\nlines",1', '"C\nC",1,x,1', 'C,1,"\n\n",1'])
    | st.sampled_from(["C,1,a\0b,1", "é,1,x,1", " C\t,1, x\x1f,1", "C,1,\xa0x,1"])
    | st.sampled_from(["C" * 131_073 + ",1,x,1", '"' + "C" * 131_073 + '",1,x,1'])
)
PLAIN_LINES = st.builds(
    lambda *fields: ",".join(fields),
    SMILES,
    NUMBERS,
    st.text("ab é", max_size=4),
    st.sampled_from(["1", "0.5", "2", "0"]),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(PLAIN_LINES | QUOTED_LINES, max_size=12)
    | st.lists(PLAIN_LINES | PLAIN_LINES | QUOTED_LINES | ODD_LINES, max_size=12),
    st.integers(1, 200),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_blocks_of_any_size_read_by_column_or_by_record_are_the_same(
    write, lines, piece, newline, ends
):
    content = newline.join(["smiles,y,id,w", *lines]) + newline * ends
    file = write(content.encode())
    loader = CSVLoader(tasks="y", id="id", weights="w")
    whole, report = loader.load(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PIECE", piece)
        pieces, report_of_pieces = loader.load(file)
        patch.setattr(delimited, "_plain_block", lambda *_: None)
        recorded, report_of_records = loader.load(file)
    for other, failures in ((pieces, report_of_pieces), (recorded, report_of_records)):
        assert failures == report
        assert other.X.tolist() == whole.X.tolist()
        assert other.ids.tolist() == whole.ids.tolist()
        assert other.y.tobytes() == whole.y.tobytes()
        assert other.w.tobytes() == whole.w.tobytes()


def test_fields_in_plain_quotes_are_read_by_column(write, monkeypatch):
    rows = [f'"C{"C" * (i % 7)}","{i / 8}","a, {i}",""' for i in range(500)]
    file = write("\n".join(['"smiles","y","id","other"', *rows]))
    loader = CSVLoader(tasks="y", id="id")
    monkeypatch.setattr(delimited, "_records", None)
    dataset, report = loader.load(file)
    assert dataset.y.ravel().tolist() == [i / 8 for i in range(500)]
    assert dataset.ids.tolist() == [f"a, {i}" for i in range(500)]
    assert len(report) == 0


@pytest.mark.parametrize("content", ["smiles,y", "\n\nsmiles,y", "smiles,y\n\n"])
def test_a_header_may_be_the_last_line_of_the_file(write, content, monkeypatch):
    monkeypatch.setattr(sources, "PIECE", 3)
    dataset, report = CSVLoader(tasks="y").load(write(content))
    assert (len(dataset), len(report)) == (0, 0)


@pytest.mark.parametrize("line", [1, 40_000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "shift_jis"])
def test_a_byte_that_is_not_text_is_named_by_its_place(write, line, encoding):
    lines = ["smiles,y", *["CCO,1"] * 50_000]
    good = "\n".join(lines[:line]).encode(encoding)
    file = write(good + b"\xff\xff\xff" + "\n".join(lines[line:]).encode(encoding)[2:])
    if encoding == "utf-16":
        file = write(good + b"\xff\xdf" + good)
    with pytest.raises(LoaderError, match=rf"not text in {encoding}.*at byte {len(good)}\b"):
        CSVLoader(tasks="y", encoding=encoding).load(file)


@pytest.mark.parametrize("name", ["x", ""])
def test_batches_are_read_one_at_a_time(write, name):
    rows = "".join(f"{'C' * (i % 90)}O,{i % 700 / 8},{name}\n" for i in range(300_000))
    file = write("smiles,y,id\n" + rows)
    loader = CSVLoader(tasks="y", id="id")
    tracemalloc.start()
    count = sum(len(dataset) for dataset, _ in loader.batches(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 300_000
    assert peak < 0.8 * file.stat().st_size


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"smiles;y\nCCO;1,5\n", "give delimiter=';'"),
        (b"smiles\ty\nCCO\t1.5\n", r"give delimiter='\\t'"),
        (b"SMILES,y\nCCO,1.5\n", "It has: SMILES, y. Is it 'SMILES'"),
        (b"name,y\nCCO,1.5\n", "It has: name, y.$"),
        ("smiles,y\nCCO,1.5\n".encode("utf-16"), "give encoding='utf-16'"),
        ("smiles,y\nC,1.5\n\xe9,2\n".encode("latin-1"), "such as encoding='latin-1'"),
    ],
)
def test_a_file_of_another_form_is_an_error_that_says_how_to_read_it(tmp_path, content, says):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(LoaderError, match=says):
        CSVLoader("smiles", "y").load(tmp_path / "t.csv")
