"""A folder of pictures through the command line: every command reads it in the image shape of its run or model."""

import json

import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run

Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.usefixtures("as_users_have_it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of two classes and of different sizes, and a run that was trained on them."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for label, colour in (("cat", (230, 60, 40)), ("dog", (40, 60, 230))):
        for i in range(15):
            pixels = np.clip(rng.normal(colour, 30, (6 + i % 3, 8, 3)), 0, 255).astype(np.uint8)
            path = folder / "animals" / label / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    (folder / "animals" / "readme.txt").touch()
    arguments = ["--image-size", "5x4", "--hidden", "3", "--epochs", "30", "--patience", "30"]
    assert run(["train", str(folder / "animals"), *arguments, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def answer(folder, capsys):
    """Run a command in which "run" and "animals" are paths, and return its exit code, its JSON and its messages."""

    def answer(*arguments):
        capsys.readouterr()
        code = run([str(folder / text) if text in ("run", "animals", "new") else text for text in arguments])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments else out, err

    return answer


def test_the_run_knows_the_size_and_the_split(folder, answer):
    settings = json.loads((folder / "run" / "run.json").read_text())
    assert settings["loading"] == {"image_size": [5, 4]}
    assert {"model.h5", "confusion.png", "curves.png"} <= {path.name for path in (folder / "run").iterdir()}
    model = jaxmlp.load_model(folder / "run")
    assert (model.image_shape, model.classes) == ((5, 4, 3), ("cat", "dog"))
    code, values, err = answer("evaluate", "run", "animals", "--json")
    assert (code, values["part"], values["rows"], values["accuracy"]) == (0, "test", 6, 1.0)
    assert "note: left out, because they are no pictures in the folder of a class: readme.txt" in err
    (folder / "animals").rename(folder / "new")  # known by its rows at another place, too
    try:
        assert answer("evaluate", "run", "new", "--json")[1] == {**values, "data": "new"}
    finally:
        (folder / "new").rename(folder / "animals")


def test_other_commands_need_no_size(folder, answer):
    assert answer("diagnose", "run", "animals", "--json")[0] in (0, 1)
    assert answer("trace", "run", "animals", "--json")[0] == 0
    model = jaxmlp.load_model(folder / "run")
    dogs = jaxmlp.load(folder / "animals", image_size=(5, 4), test_fraction=0).train.rows[15:]
    answered = answer("predict", "run", str(folder / "animals" / "dog"), "--json")[1]
    assert answered["predictions"] == model.predict(dogs).tolist()
    assert answer("info", "run", "--json")[1]["image_shape"] == [5, 4, 3]
    assert answer("train", "--resume", "run", "--epochs", "31", "--json")[0] == 0
    code, summary, _ = answer(
        "train", "animals", "--warm-start", "run", "--epochs", "1", "--out", str(folder / "next"), "--json"
    )
    assert (code, summary["sizes"]) == (0, [60, 3, 1])
    code, board, _ = answer("sweep", "animals", "--image-size", "2", "--hidden", "2", "--epochs", "1", "--json")
    assert (code, board["leaderboard"][0]["net"]) == (0, [12, 2, 1])


def test_new_pictures_of_any_size_are_evaluated(folder, answer):
    for name, pixels in (("dog/1.png", np.full((50, 70), 90, np.uint8)), ("dog/2.png", np.zeros((9, 9, 3), np.uint8))):
        path = folder / "others" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    code, values, _ = answer("evaluate", "run", str(folder / "others"), "--json")
    assert (code, values["part"], values["rows"]) == (0, "all", 2)


REFUSED = {
    "sizes": (
        "animals",
        "animals expects pictures of one size (height, width), got cat/00.png of (6, 8) and cat/01.png of (7, 8): "
        "resize all of them: image_size=(64, 64), or --image-size 64x64",
    ),
    "text": (
        "animals --image-size 5by4",
        "image_size expects height and width, or one number for both, with at most 16,000,000 pixels in all, "
        "got '5by4': write image_size=(64, 64), or --image-size 64x64",
    ),
    "warm start": (
        "animals --warm-start run --image-size 4",
        "--warm-start expects the columns and the scaling of its model, got --image-size: leave it out",
    ),
    "digits": (
        "digits --image-size 4",
        "source 'digits' expects no image_size, which is for a folder of pictures, got (4, 4): leave it out",
    ),
    "stream": (
        "a.h5 --stream --image-size 4",
        "--stream expects no --image-size, because HDF5 files have no columns to choose from, and no pictures to "
        "resize, got --image-size: leave it out",
    ),
    "target": (
        "animals --target y",
        "source 'animals' expects no target, because it has no columns to choose from, got target 'y': leave it out",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, answer, tmp_path):
    arguments, error = REFUSED[case]
    code, out, err = answer("train", *arguments.split(), "--out", str(tmp_path / "r"))
    assert (code, out, err) == (2, "", f"error: {error}\n")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("size", ["5x4", [5.0, 4], ["5", "4"], {"h": 5}, [None, 4]])
def test_a_run_json_with_another_size_is_refused(size, folder, answer):
    path = folder / "run" / "run.json"
    content = path.read_text()
    settings = json.loads(content)
    del settings["checksum"]
    path.write_text(json.dumps({**settings, "loading": {"image_size": size}}))
    code, _, err = answer("evaluate", "run", "animals")
    path.write_text(content)
    assert code == 2
    assert "expects the settings of a run, got a damaged file (" in err


def test_a_run_inside_the_folder_does_not_disturb_it(folder, answer, monkeypatch):
    monkeypatch.chdir(folder / "animals")
    assert answer("train", ".", "--image-size", "5", "--epochs", "1")[0] == 0
    assert (
        answer("evaluate", "runs/animals", ".", "--json")[:2]
        == answer("evaluate", "runs/animals", "animals", "--json")[:2]
    )
    assert answer("train", ".", "--image-size", "5", "--epochs", "1", "--out", "again")[0] == 0
    assert answer("train", "--resume", "again", "--epochs", "2")[0] == 0
