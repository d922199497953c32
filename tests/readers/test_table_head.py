"""Rows in front of the samples, in the layouts of several recorders."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilience.core.errors import RecordingError
from consilience.readers.table_head import COUNTER, Head, read_head

SHIMMER = (
    "Shimmer_8A1B\tShimmer_8A1B\tShimmer_8A1B\t",
    "Timestamp\tGSR\tPPG\t",
    "CAL\tCAL\tCAL\t",
    "mSecs\tkOhms\tmV\t",
    "0.0\t512.5\t1201.3\t",
    "7.8\t512.6\t1202.3\t",
)


OPENBCI_4 = (
    "%OpenBCI Raw EEG Data",
    "%Number of channels = 2",
    "%Sample Rate = 250.0 Hz",
    "0, 1.5, 2.5, 0.1, 12:00:01.5",
)


OPENSIGNALS = (
    "# OpenSignals Text File Format",
    '# {"20:16": {"sensor": ["ECG", "RAW"], "column": ["nSeq", "I1", "A1", "A2"], "label": ["A1", '
    '"A2"], "sampling rate": 1000, "resolution": [4, 1, 10, 10]}}',
    "# EndOfHeader",
    "0\t1\t512\t7\t",
    "1\t1\t513\t7\t",
)
APPLE = (
    "Name,X",
    "Software Version,2.0",
    'Device,"Watch6,1"',
    "Sample Rate,512 hertz",
    "",
    "Lead,Lead I",
    "Unit,µV",
    "",
    "-12.5",
    "-11.5",
)


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        (("1.5e9", "4.0", "0.3"), Head(2, ",", ("EDA_l",), {"EDA_l": "µS"}, 4, 1.5e9)),
        (
            ("1.5e9,1.5e9", "32,32", "1,2"),
            Head(2, ",", ("EDA_l 1", "EDA_l 2"), {"EDA_l 1": "µS", "EDA_l 2": "µS"}, 32, 1.5e9),
        ),
        (
            SHIMMER,
            Head(
                4,
                "\t",
                ("Timestamp", "GSR", "PPG", "column 4"),
                {"Timestamp": "mSecs", "GSR": "kOhms", "PPG": "mV"},
            ),
        ),
        (
            ("sep=;", "t;GSR", "ms;uS", "0;1,5"),
            Head(3, ";", ("t", "GSR"), {"t": "ms", "GSR": "uS"}),
        ),
        (
            ("time [ms],ecg (uV),acc (x)", "0,1,2"),
            Head(1, ",", ("time", "ecg", "acc (x)"), {"time": "ms", "ecg": "uV"}),
        ),
        (
            ("%Board", "%Sample Rate = 200.0 Hz", "Sample Index, EXG Channel 0", "0, 1.5"),
            Head(3, ",", (COUNTER, "EXG Channel 0"), {}, 200),
        ),
        (
            OPENBCI_4,
            Head(
                3,
                ",",
                (COUNTER, "EXG Channel 0", "EXG Channel 1", "column 4", "Timestamp"),
                {},
                250,
            ),
        ),
        (("0.3", "0.4"), Head(0, ",", ("EDA_l",), {}, named=False)),
        (
            ("Other [uV],Other,Other (uS)", "1,2,3"),
            Head(1, ",", ("Other", "Other (2)", "Other (3)"), {"Other": "uV", "Other (3)": "uS"}),
        ),
        (OPENSIGNALS, Head(3, "\t", (COUNTER, "I1", "ECG (A1)", "RAW (A2)", "column 5"), {}, 1000)),
        (APPLE, Head(8, ",", ("EDA_l",), {}, 512, named=False)),
    ],
)
def test_layouts(lines, head):
    assert read_head(lines, Path("EDA_l.csv")) == head


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no row of numbers in the first 0 lines, which begin with: nothing"),
        (["a,b", "c,d"], r"no row of numbers .* begin with: a \| b"),
        (["1,2", "3,4"], "no row names the 2 columns"),
        (["1582190000.0, IBI", "0.5, 0.9"], "no row names the 2 columns"),
        (["," * 3000, "1" + ",1" * 3000], "3001 columns"),
    ],
)
def test_other_tables_are_refused(lines, message):
    with pytest.raises(RecordingError, match=message):
        read_head(lines, Path("a.csv"))


@pytest.mark.parametrize(
    "described", ["{", "[" * 9999, "{}", '{"a": 1}', '{"a": {"column": [[]]}}']
)
def test_a_comment_that_is_not_of_opensignals_names_no_columns(described):
    with pytest.raises(RecordingError, match="no row names the 2 columns"):
        read_head([f"# {described}", "1\t2", "3\t4"], Path("a.txt"))


def test_a_start_and_a_rate_that_are_none_are_samples():
    assert read_head(["0.5", "4.0", "0.3"], Path("a.csv")).rate_hz is None
