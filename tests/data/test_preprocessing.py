"""Raw rows to network input and back: values, dtypes, and the record on its way through a file."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxmlp.data import Preprocessing
from jaxmlp.data.aligned import BLOCK_BYTES
from jaxmlp.data.preprocessing import ALIGNED_SIZE
from jaxmlp.errors import InputError, InputTypeError

BYTES = np.arange(256, dtype=np.uint8).reshape(2, 128)


def test_the_identity_changes_the_dtype_alone():
    rows = np.array([[1, 2], [3, 4]])
    result = Preprocessing()(rows)
    np.testing.assert_array_equal(result, rows)
    assert result.dtype == np.float32
    assert Preprocessing()(rows, np.float64).dtype == np.float64
    assert Preprocessing().to_dict() == {}
    assert Preprocessing().n_columns is None


@pytest.mark.parametrize(
    "rows", [np.ones((2, 3), np.float32), np.ones((ALIGNED_SIZE, 3), np.float32)], ids=["few", "many"]
)
def test_rows_that_need_no_change_are_copied_unless_told_not_to(rows):
    same = Preprocessing()
    assert not np.shares_memory(same(rows), rows)
    assert same(rows, copy=False) is rows
    assert same(rows, np.float64, copy=False).dtype == np.float64
    assert Preprocessing(scale=2.0)(rows, copy=False)[0, 0] == 0.5
    np.testing.assert_array_equal(rows, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("preprocessing", [Preprocessing(), Preprocessing(scale=2.0)], ids=["identity", "scale"])
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices have memory of their own")
def test_many_rows_are_taken_over_by_jax_as_they_lie(preprocessing, dtype):
    result = preprocessing(np.ones((ALIGNED_SIZE, 3), dtype))
    assert jax.device_put(result).unsafe_buffer_pointer() == result.ctypes.data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("raw", [np.uint8, np.float32, np.float64])
def test_the_blocks_of_a_large_array_are_one_by_one_what_few_rows_are(rng, raw, dtype):
    rows = (100 * rng.normal(size=(3 * BLOCK_BYTES // 32 + 1, 8))).astype(raw)
    preprocessing = Preprocessing(shift=np.arange(8.0), scale=np.arange(1.0, 9.0))
    result = preprocessing(rows, dtype)
    assert result.nbytes > 3 * BLOCK_BYTES
    assert result.dtype == dtype
    few = np.concatenate([preprocessing(block, dtype) for block in np.array_split(rows, 500)])
    np.testing.assert_array_equal(result, few)
    np.testing.assert_array_equal(preprocessing(np.asfortranarray(rows), dtype), few)


def test_a_large_array_is_preprocessed_even_where_no_thread_can_be_started(monkeypatch):
    def submit(*arguments):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", submit)
    rows = np.ones((BLOCK_BYTES, 2), np.float32)
    np.testing.assert_array_equal(Preprocessing(scale=2.0)(rows), 0.5)


def test_a_number_out_of_range_in_any_block_is_refused():
    rows = np.zeros((2 * BLOCK_BYTES, 2))
    rows[-1, 1] = 1e300
    with pytest.raises(InputError, match=r"within the range of float32, got 1e\+300 in column 1"):
        Preprocessing()(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_images_are_divided_by_255_exactly(dtype):
    result = Preprocessing.images()(BYTES, dtype)
    assert result.dtype == dtype
    exact = BYTES / 255 if dtype == np.float64 else (BYTES / np.float32(255)).astype(dtype)
    np.testing.assert_array_equal(result, exact)
    np.testing.assert_array_equal(np.round(Preprocessing.images().inverse(result)), BYTES)


def test_standardize_by_hand():
    # columns (1, 3) and (2, 8): means 2 and 5, deviations 1 and 3
    p = Preprocessing.standardize([[1, 2], [3, 8]])
    np.testing.assert_array_equal(p.shift, [2, 5])
    np.testing.assert_array_equal(p.scale, [1, 3])
    np.testing.assert_array_equal(p([[1, 2], [3, 8], [2, 11]]), [[-1, -1], [1, 1], [0, 2]])
    assert p.n_columns == 2


def test_float64_rows_cancel_in_float64():
    rows = np.array([[1e9], [1e9 + 1]])
    np.testing.assert_array_equal(Preprocessing.standardize(rows)(rows, np.float32), [[-1], [1]])


@pytest.mark.parametrize("value", [0.1, 1e100, -3.7])
def test_a_constant_column_becomes_zero(value):
    rows = np.full((7, 1), value)  # the computed deviation of seven times 0.1 is 1.4e-17, not 0
    p = Preprocessing.standardize(rows)
    assert p.scale.tolist() == [1]
    np.testing.assert_array_equal(p(rows, np.float64), 0)
    assert Preprocessing.standardize(rows, constant=255).scale.tolist() == [255]


@pytest.mark.parametrize("size", [1e-200, 1e-310])
def test_squares_below_the_range_of_float64_make_no_column_constant(size):
    p = Preprocessing.standardize([[0.0, 5.0], [size, 5.0]])
    np.testing.assert_allclose(p([[0.0, 5.0], [size, 6.0]]), [[-1, 0], [1, 1]], rtol=1e-6)


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6)))
def test_inverse_returns_the_rows(rows):
    p = Preprocessing.standardize(rows)
    np.testing.assert_allclose(p.inverse(p(rows, np.float64)), rows, rtol=1e-9, atol=1e-9)


def test_inverse_has_the_dtype_asked_for():
    p = Preprocessing(shift=[1.0], scale=2.0)
    np.testing.assert_array_equal(p.inverse([[3]]), [[7]])
    assert p.inverse([[3]], np.float32).dtype == np.float32
    assert p.inverse([[3]]).dtype == np.float64


@pytest.mark.parametrize(
    "p", [Preprocessing(), Preprocessing.images(), Preprocessing.standardize(np.arange(6.0).reshape(3, 2))]
)
def test_the_record_survives_a_dict_of_arrays(p):
    again = Preprocessing.from_dict({name: np.asarray(array) for name, array in p.to_dict().items()})
    assert again.to_dict().keys() == p.to_dict().keys()
    rows = np.array([[1.5, 2.5]])
    np.testing.assert_array_equal(again(rows), p(rows))


def test_bounds_are_those_of_the_inverse_alone():
    p = Preprocessing.standardize([[1.0, 5.0], [3.0, 9.0]]).bounded([[1.0, 5.0], [3.0, 9.0]])
    assert p(np.array([[7.0, 0.0]])).tolist() == [[5.0, -3.5]]
    assert p.inverse([[5.0, -3.5], [0.5, np.nan]])[0].tolist() == [3.0, 5.0]
    assert np.isnan(p.inverse([[0.5, np.nan]])[0, 1])
    again = Preprocessing.from_dict(p.to_dict())
    assert (again.low.tolist(), again.high.tolist()) == ([1.0, 5.0], [3.0, 9.0])
    assert p.select([1]).inverse([[99.0]]).tolist() == [[9.0]]
    assert not Preprocessing.images().is_bounded


def test_what_it_refuses_to_transform(refused):
    p = Preprocessing.standardize([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    with refused(InputError, "preprocessing expects rows with 3 columns, got (4, 2): give the columns of training"):
        p(np.zeros((4, 2)))
    with refused(
        InputError, "preprocessing expects rows with 3 columns, got (3, 2): one example per row here: pass rows.T"
    ):
        p.inverse(np.zeros((3, 2)))
    with refused(
        InputError,
        "preprocessing expects rows with 3 columns, got (3,): pass rows.reshape(1, -1) for one example",
    ):
        p(np.zeros(3))
    with refused(
        InputError,
        "preprocessing expects rows with n columns, got (2, 8, 8): pass rows.reshape(len(rows), -1)",
    ):
        Preprocessing.images()(np.zeros((2, 8, 8)))
    with refused(InputTypeError, "preprocessing expects rows of real numbers, got dtype <U1: convert them first"):
        Preprocessing()([["a"]])
    with refused(
        InputError,
        "preprocessing expects numbers within the range of float32, got 1e+300 in column 0 "
        "(counted from 0): standardize the columns, or rescale the column",
    ):
        Preprocessing()([[np.nan], [np.inf], [1e300]])
    with refused(
        InputError,
        "preprocessing expects numbers within the range of float32, got 1e+30 in column 1 "
        "(counted from 0): correct that number, or rescale the column",
    ):
        Preprocessing(scale=[1e30, 1e-30])([[1e31, 1e30]])


def test_what_it_refuses_to_be(refused):
    with refused(InputError, "preprocessing expects a scale without zeros, got 0: give constant columns the scale 1"):
        Preprocessing(scale=[1, 0])
    with refused(
        InputError,
        "preprocessing expects coefficients of one shape (n,), got shift (2,) and scale (3,): fit all on the same rows",
    ):
        Preprocessing(shift=[1, 2], scale=[1, 2, 3])
    with refused(
        InputError, "preprocessing expects a shift of shape () or (n,), got (1, 2): give one number per column"
    ):
        Preprocessing(shift=[[1, 2]])
    two = "preprocessing expects two bounds, low ≤ high, or none, got low 2.0 and high"
    for high in (1.0, None):
        with refused(InputError, f"{two} {high}: call bounded(rows), which sets both"):
            Preprocessing(low=2.0, high=high)
    with refused(InputError, "preprocessing expects a finite scale, got nan: fit it on finite rows"):
        Preprocessing(scale=[1, np.nan])
    with refused(
        InputError,
        "preprocessing expects the keys shift, scale, low and high, got ['mean']: was the file saved by jaxmlp?",
    ):
        Preprocessing.from_dict({"mean": np.zeros(2)})
    with refused(
        InputError,
        "preprocessing expects columns with a finite standard deviation, got a number as large as 1e+200: "
        "rescale that column",
    ):
        Preprocessing.standardize([[1e200], [-1e200]])
