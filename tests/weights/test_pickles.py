"""Arrays come out of a pickle as they went in; anything else is refused, and nothing runs."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from impasto.core.errors import WeightsError
from impasto.weights.safe_pickle import read_arrays

OLD, NEW = b"numpy.core.multiarray", b"numpy._core.multiarray"

#: What Python 2.7 and numpy 1.16 write for {"a": [array([1.5, -2.0], dtype=float32)]}.
PYTHON_2 = (
    b"\x80\x02}q\x00U\x01aq\x01]q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03"
    b"cnumpy\nndarray\nq\x04K\x00\x85q\x05U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x02\x85q\t"
    b"cnumpy\ndtype\nq\nU\x02f4q\x0bK\x00K\x01\x87q\x0cRq\r(K\x03U\x01<q\x0eNNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tq\x0fb\x89U\x08\x00\x00\xc0?\x00\x00\x00\xc0q\x10tq\x11bas."
)


def _read(content, path):
    path.write_bytes(content)
    return read_arrays(path)


@given(
    array=hnp.arrays(
        st.sampled_from(["<f4", ">f4", "<f8", "<f2", "<i8", ">i2", "|u1"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    columns_first=st.booleans(),
)
def test_every_plain_array_comes_back(tmp_path_factory, array, columns_first):
    array = np.asfortranarray(array) if columns_first else array
    path = tmp_path_factory.getbasetemp() / "arrays.pkl"
    found = _read(pickle.dumps({"layer/a": [array, {"bias": array}]}, 3), path)
    assert list(found) == ["layer/a/0", "layer/a/1/bias"]
    for each in found.values():
        assert each.dtype == array.dtype
        np.testing.assert_array_equal(each, array)


@pytest.mark.parametrize("spelling", [OLD, NEW])
def test_both_spellings_of_numpys_inside_are_known(tmp_path, spelling):
    content = pickle.dumps([np.arange(3.0)], 3).replace(NEW, OLD).replace(OLD, spelling)
    assert spelling in content
    assert _read(content, tmp_path / "either.pkl")["0"].tolist() == [0, 1, 2]


def test_a_file_of_python_2_is_read(tmp_path):
    assert _read(PYTHON_2, tmp_path / "old.pkl")["a/0"].tolist() == [1.5, -2.0]


class _Calls:
    """Pickled as a call of a function with arguments."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("asked", "args"),
    [
        (os.system, "mkdir {}"),
        (os.mkdir, "{}"),
        (exec, "import os; os.mkdir('{}')"),
        (np.load, "{}"),
    ],
)
@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path, asked, args, protocol):
    marker = tmp_path / "ran"
    evil = pickle.dumps({"conv1": [_Calls(asked, args.format(marker))]}, protocol)
    path = tmp_path / "evil.pkl"
    with pytest.raises(
        WeightsError, match=r"evil.pkl .*no code in it was run: it asks for \w+\."
    ) as error:
        _read(evil, path)
    assert asked.__name__ in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"a": np.array([{}, None])}, "array of 'O8'"),
        ({"a": np.array(["text"])}, "array of 'U4'"),
        ({"a": np.zeros(2, [("x", "f4")])}, "array of 'V4'"),
        ({"a": [1.5]}, "a/0 is no array"),
        ("text", "the whole is no array"),
        ([np.float32(1)], "asks for numpy.*scalar"),
    ],
)
def test_what_is_no_plain_array_is_refused(tmp_path, content, reason):
    with pytest.raises(WeightsError, match=reason):
        _read(pickle.dumps(content, 3), tmp_path / "other.pkl")


@pytest.mark.parametrize("kept", [0, 1, 50, 100, -1])
def test_half_a_file_is_refused(tmp_path, kept):
    whole = pickle.dumps({"a": np.arange(5.0)}, 3)
    with pytest.raises(WeightsError, match=r"half.pkl could not be read as arrays"):
        _read(whole[:kept], tmp_path / "half.pkl")


def test_an_array_of_too_few_bytes_is_refused(tmp_path):
    whole = pickle.dumps([np.arange(4, dtype="<u1")], 3)
    assert whole.count(b"K\x04\x85") == 1  # its shape, (4,)
    with pytest.raises(WeightsError, match="reshape"):
        _read(whole.replace(b"K\x04\x85", b"K\x05\x85"), tmp_path / "short.pkl")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError, match=r"gone.pkl could not be read"):
        read_arrays(tmp_path / "gone.pkl")
