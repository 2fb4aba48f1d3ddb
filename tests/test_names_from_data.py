"""Names that come from data: formulas of Matplotlib, NUL, text that is no Unicode, names without end, odd paths."""

import dataclasses
import os
import sys
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.errors import InputError

pandas = pytest.importorskip("pandas")
plots = pytest.importorskip("jaxmlp.plots")
ROWS = np.random.default_rng(0).normal(size=(20, 2))
LABELS = ["p", "n"] * 10


def model_of(data):
    net = jaxmlp.network_for(data, (4,))
    return jaxmlp.Model.of(net, jaxmlp.init(jax.random.key(0), net), data)


def texts_of(figure):
    from matplotlib.text import Text

    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text)]


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cells", [["yes", "no"] * 10, pandas.date_range("2024-01-01", periods=20, freq="s"), [f"{i} %" for i in range(20)]]
)
def test_a_plane_is_drawn_for_plain_numbers_only(cells):
    frame = pandas.DataFrame({"a": cells, "b": ROWS[:, 0], "y": LABELS})
    data = jaxmlp.load(frame, target="y", test_fraction=0, keep=["a"])
    name, _ = plots.picture(model_of(data), data) or ("", None)
    assert name == "confusion.png"
    plain = jaxmlp.load(frame.assign(a=ROWS[:, 1]), target="y", test_fraction=0)
    assert (plots.picture(model_of(plain), plain) or ("",))[0] == "boundary.png"


@pytest.mark.parametrize("name", ["$5_$10", "$\\bad{$", "_x", "a\nb", "x" * 5000])
def test_a_name_is_no_formula_and_is_short(name, tmp_path):
    data = jaxmlp.Dataset.from_arrays(ROWS, [name, "z"] * 10, feature_names=(name, "b"), name=name, test_fraction=0)
    model = model_of(data)
    for i, figure in enumerate((plots.decision_boundary(model, data), plots.confusion(model, data.train))):
        plots.save(figure, tmp_path / f"{i}.png")
        assert all(len(text) < 80 and "\n" not in text for text in texts_of(figure))
    assert len(plots.decision_boundary(model, data).axes[0].get_legend().get_texts()) == 2
    regression = jaxmlp.Dataset.from_arrays(ROWS, ROWS[:, :1], target_names=(name,), test_fraction=0)
    plots.save(plots.predicted_against_true(model_of(regression), regression.train), tmp_path / "r.png")


def test_letters_that_nobody_sees_are_not_drawn_but_told():
    data = jaxmlp.Dataset.from_arrays(ROWS, ["co\u00adop", "ខ\u200bក"] * 10, test_fraction=0)
    assert {"coop", "ខក"} <= set(texts_of(plots.confusion(model_of(data), data.train)))
    with pytest.raises(InputError, match=r"'a\\u200b'"):
        jaxmlp.load(pandas.DataFrame({"a": ROWS[:, 0], "y": LABELS}), drop=["a\u200b"])


def test_a_picture_that_cannot_be_drawn_does_not_hide_what_was_trained(tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise ValueError("Matplotlib")

    monkeypatch.setattr(plots, "draw_all", fail)
    assert run(["train", "xor", "--epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert "pictures not drawn: Matplotlib" in capsys.readouterr().err


# --- text that no file can hold ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"])
def test_text_that_a_model_file_cannot_hold_is_refused_before_the_training(text, tmp_path):
    refused: Any = pytest.raises(InputError, match=r"expects valid text without NUL, got '(a.x00b|caf.udce9)'")
    with refused:
        jaxmlp.Dataset.from_arrays(ROWS, [text, "z"] * 10)
    with refused:
        jaxmlp.Dataset.from_arrays(ROWS, LABELS, feature_names=(text, "b"))
    with refused:
        jaxmlp.Dataset.from_arrays(ROWS, ROWS[:, :1], target_names=(text,))
    with refused:
        dataclasses.replace(model_of(jaxmlp.Dataset.from_arrays(ROWS, LABELS)), classes=(text, "b"))
    cells: Any = {"kind": [text, "u", "v", "w"] * 5, "a": ROWS[:, 0]}
    with refused if "\0" not in text else nullcontext():  # JSON holds NUL
        jaxmlp.Dataset.from_arrays(cells, LABELS)
    with refused if "\0" not in text else nullcontext():
        jaxmlp.load(pandas.DataFrame({"a": ROWS[:, 0], "y": LABELS}), missing=[text])
    with pytest.raises(InputError):
        jaxmlp.fit(jaxmlp.Network((2, 1), output="sigmoid"), (ROWS, [0, 1] * 10), checkpoints=str(tmp_path / text))


@pytest.mark.parametrize("labels", [[1e30, 2e30], [1.0, 1e20]])
def test_classes_beyond_the_whole_numbers_of_floats(labels):
    with pytest.raises(InputError, match=r"expects whole numbers below 2⁵³ as classes, got [12]e\+[23]0 in row 1"):
        jaxmlp.Dataset.from_arrays(ROWS, labels * 10, task="binary")


def test_the_largest_float_that_is_surely_whole_is_a_class():
    labels = [1.0, 2.0**53 - 1] * 10
    assert jaxmlp.Dataset.from_arrays(ROWS, labels, task="binary").classes == (1, 2**53 - 1)
    with pytest.raises(InputError, match="expects whole numbers below 2⁵³"):
        jaxmlp.Dataset.from_arrays(ROWS, [1.0, 2.0**53] * 10, task="binary")


def test_whole_numbers_beyond_floats():
    data = jaxmlp.Dataset.from_arrays(ROWS, LABELS, test_fraction=0)
    with pytest.raises(InputError, match=r"rows expects numbers below 1\.8e308, got a larger number"):
        model_of(data).predict([[10**400, 1]])


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are Unicode")
def test_a_picture_whose_name_is_no_utf8_is_predicted_into_a_file(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3)).astype("u1")
    data = jaxmlp.Dataset.from_arrays(pixels, [0, 1] * 5, test_fraction=0)
    model_of(data).save(tmp_path / "m.h5")
    (tmp_path / "d").mkdir()
    image.fromarray(pixels[0]).save(tmp_path / "d" / "a.png")
    os.rename(tmp_path / "d" / "a.png", os.fsencode(tmp_path / "d") + b"/\xff.png")
    out = tmp_path / "out.csv"
    assert run(["predict", str(tmp_path / "m.h5"), str(tmp_path / "d"), "-o", str(out)]) == 0
    assert out.read_text(encoding="utf-8").splitlines()[1].startswith("�.png,")


@pytest.mark.parametrize("folder", ["", "a\0b", "r\udcff"])
def test_a_folder_of_checkpoints_needs_a_name(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^checkpoints expects"):
        jaxmlp.fit(jaxmlp.Network((2, 1), output="sigmoid"), (ROWS, [0, 1] * 10), checkpoints=folder)


def test_predictions_are_no_lock(tmp_path):
    data = jaxmlp.Dataset.from_arrays(ROWS, LABELS, test_fraction=0)
    model_of(data).save(tmp_path / "m.h5")
    np.savez(tmp_path / "x.npz", X=ROWS)
    assert run(["predict", str(tmp_path / "m.h5"), str(tmp_path / "x.npz"), "-o", str(tmp_path / ".lock")]) == 2


def test_a_folder_called_runs_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    from pathlib import Path

    from jaxmlp.data import image_folders

    (tmp_path / "runs").mkdir()
    whole = Path.iterdir

    def iterdir(self):
        if self.name == "runs":
            raise PermissionError(13, "Permission denied")
        return whole(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(InputError, match="reading runs expects a file that can be read, got Permission denied"):
        image_folders.visible_entries(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the current folder cannot be removed")
def test_a_command_in_a_folder_that_was_removed(tmp_path, monkeypatch, capsys):
    data = jaxmlp.Dataset.from_arrays(ROWS, LABELS, test_fraction=0)
    model_of(data).save(tmp_path / "m.h5")
    np.savez(tmp_path / "x.npz", X=ROWS)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["predict", str(tmp_path / "m.h5"), str(tmp_path / "x.npz"), "-o", "x.csv"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_whose_names_alone_can_be_read(tmp_path, monkeypatch):
    from jaxmlp.data import image_folders

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a").mkdir()
    monkeypatch.setattr(image_folders.os, "lstat", refuse)
    with pytest.raises(InputError, match="expects a file that can be read, got Permission denied"):
        image_folders.visible_entries(tmp_path)
