"""Times with a time zone and times without one are never taken for each other."""

import datetime

import jax
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxmlp
from jaxmlp.errors import InputTypeError
from jaxmlp.inference.model import Model
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.zones import has_zone

NAIVE = pandas.Series(pandas.date_range("2021-01-01", periods=80, freq="5h"))
TOKYO = NAIVE.dt.tz_localize("Asia/Tokyo")
DAYS = np.where(NAIVE.dt.hour < 12, "am", "pm")
WITHOUT = "times without a time zone in column 't', as in training, got times with one: convert them to the local time"
WITH = "times with a time zone in column 't', as in training, got times without one: give them their zone"


def model_for(times):
    data = jaxmlp.load(pandas.DataFrame({"t": times, "y": DAYS}), target="y", test_fraction=0)
    net = jaxmlp.network_for(data, (4,))
    return Model.of(net, jaxmlp.init(jax.random.key(0), net), data), data


@pytest.mark.parametrize(
    "zoned",
    [
        TOKYO,
        TOKYO.astype(object),
        TOKYO.dt.tz_convert("UTC"),
        TOKYO.map(lambda t: t.isoformat()),
        TOKYO.dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ],
)
@pytest.mark.parametrize("naive", [NAIVE, NAIVE.dt.strftime("%Y-%m-%d %H:%M:%S"), NAIVE.dt.strftime("%d.%m.%Y %H:%M")])
def test_the_other_kind_of_time_is_refused(naive, zoned):
    of_naive, of_zoned = model_for(naive), model_for(zoned)
    for (model, _), other, line in ((of_naive, zoned, WITHOUT), (of_zoned, naive, WITH)):
        with pytest.raises(InputTypeError, match=line):
            model.predict(pandas.DataFrame({"t": other}))
    with pytest.raises(InputTypeError, match=WITHOUT):
        of_naive[0].evaluate(of_zoned[1].train)


def test_times_of_one_kind_in_any_form_are_the_same():
    for times, others in (
        (NAIVE, [NAIVE.dt.strftime("%Y-%m-%dT%H:%M:%S"), NAIVE.astype(object)]),
        (TOKYO, [TOKYO.dt.tz_convert("Europe/Rome"), TOKYO.map(lambda t: t.isoformat())]),
    ):
        model, _ = model_for(times)
        right = model.outputs(pandas.DataFrame({"t": times}))
        for other in others:
            np.testing.assert_array_equal(model.outputs(pandas.DataFrame({"t": other})), right)


def test_a_note_says_that_times_with_a_zone_are_read_in_utc():
    assert model_for(TOKYO)[1].notes == ("'t': times with a time zone are read in UTC",)
    assert model_for(NAIVE)[1].notes == ()


def test_zones_of_other_frames():
    moment = datetime.datetime(2024, 5, 31, 9)
    zoned = moment.replace(tzinfo=datetime.UTC)
    for column in (polars.Series, pyarrow.array, pandas.Series):
        assert has_zone(column([zoned]))
        assert not has_zone(column([moment]))
    assert not has_zone(["2024-05-31T09:00:00Z", None, 3])


def test_a_model_of_an_earlier_release_reads_both():
    encoder = TableEncoder.fit({"t": NAIVE.tolist()})
    old = TableEncoder.from_json(encoder.to_json().replace('"form": "%Y-%m-%d %H:%M:%S"', '"form": ""'))
    assert old.columns[0].form == ""
    np.testing.assert_array_equal(old.rows({"t": TOKYO.tolist()}), encoder.rows({"t": NAIVE.tolist()}) - 9 * 3600)
    np.testing.assert_array_equal(old.rows({"t": NAIVE.tolist()}), encoder.rows({"t": NAIVE.tolist()}))
