"""Nothing that is not ours is deleted, replaced or read."""

import contextlib
import os
import stat
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from matplotlib.font_manager import fontManager

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.data.files import atomic_path
from jaxmlp.data.load import load_rows
from jaxmlp.data.locks import check_unowned, owned
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError

MODES = (0o600, 0o640, 0o664, 0o755)
TABLE = "a,b,t\n" + "".join(f"{i},{i * i % 7},{'xy'[i % 2]}\n" for i in range(12))


@pytest.fixture(scope="module")
def small_model():
    """A model of rows with three columns."""
    rows = np.random.default_rng(0).normal(size=(24, 3))
    data = jaxmlp.Dataset.from_arrays(rows, np.arange(24) % 3)
    net = jaxmlp.network_for(data, hidden=(4,))
    sizes = zip(net.sizes, net.sizes[1:], strict=False)
    params: Any = tuple({"W": np.ones((n, n0), np.float32), "b": np.zeros((n, 1), np.float32)} for n0, n in sizes)
    return jaxmlp.Model.of(net, params, data)


@pytest.fixture
def refuses(capfd):
    """Run a command in this process; its one line on stderr."""

    def run_command(*arguments):
        code = run([str(argument) for argument in arguments])
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
        assert (code, len(lines)) == (2, 1)
        return lines[0].removeprefix("error: ")

    return run_command


def write(path, content):
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_replaced_file_keeps_its_mode(mode, tmp_path):
    path = tmp_path / "m.h5"
    path.touch()
    path.chmod(mode)
    with atomic_path(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) & ~mode == 0  # nor is it open to more while it is written
        temporary.write_bytes(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "m.h5", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m.h5").stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a file away")
def test_a_replaced_file_keeps_its_owner(tmp_path):
    path = tmp_path / "m.h5"
    path.touch()
    os.chown(path, 1234, 5678)
    write(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 5678)


def test_every_writer_of_a_model_keeps_the_mode(tmp_path, small_model):
    path = tmp_path / "m.h5"
    small_model.save(path)
    path.chmod(0o600)
    jaxmlp.load_model(path).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_symbolic_link_stays_and_its_target_is_written(target, tmp_path):
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "folder" / "file.csv", tmp_path / "link.csv"
    link.symlink_to("folder/file.csv")
    if target == "there":
        file.write_text("old")
    write(link, b"new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert not file.is_symlink()


def test_a_circle_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="a circle of links: choose another name"):
        write(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()


def reading(path):
    """Read a pipe in a thread; what came, once the thread has ended."""
    content = []
    thread = threading.Thread(target=lambda: content.append(path.read_bytes()), daemon=True)
    thread.start()
    return thread, content


def once_read(action):
    """Do it as soon as the other end of the pipe is open."""
    for _ in range(500):
        try:
            return action()
        except InputError:
            threading.Event().wait(0.01)
    raise AssertionError("the pipe was never read")


def test_a_pipe_is_written_through(tmp_path):
    path, content = tmp_path / "pipe", os.urandom(300_000)  # more than a pipe holds at once
    os.mkfifo(path)
    thread, received = reading(path)
    once_read(lambda: write(path, content))
    thread.join()
    assert received == [content]
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_pipe_without_a_reader_is_refused_and_stays(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"a stream that takes the content, got .*: start its reader first"):
        write(path, b"new")
    assert path.is_fifo()


def test_a_device_of_characters_is_written_through():
    before = os.stat("/dev/null")
    write("/dev/null", b"new")
    after = os.stat("/dev/null")
    assert stat.S_ISCHR(after.st_mode)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


def test_a_full_device_is_told_in_a_sentence():
    with pytest.raises(InputError, match=r"a stream that takes the content, got .*No space left"):
        write("/dev/full", b"new")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(InputError, match="a file or a pipe, got the socket 's': choose another name"):
            write("s", b"new")
    assert (tmp_path / "s").is_socket()


def test_a_read_only_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda name, mode: os.fspath(name) != os.fspath(path) and allowed(name, mode))
    with pytest.raises(InputError, match="a file it may replace, got the read-only file"):
        write(path, b"new")
    assert path.read_text() == "mine"


@pytest.mark.slow
def test_predictions_follow_what_an_open_stdout_holds(tmp_path, small_model):
    small_model.save(tmp_path / "m.h5")
    (tmp_path / "rows.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "log").write_text("earlier\n")
    with open(tmp_path / "log", "a") as log:
        command = [sys.executable, "-m", "jaxmlp", "predict", "m.h5", "rows.csv", "--out", "/dev/stdout"]
        subprocess.run(command, cwd=tmp_path, stdout=log, stderr=subprocess.DEVNULL, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "earlier"
    assert len(lines) == 4


def test_a_table_never_replaces_a_model_or_the_settings_of_a_run(tmp_path, small_model, refuses):
    small_model.save(tmp_path / "m.h5")
    (tmp_path / "rows.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "table.csv").write_text(TABLE)
    other = tmp_path / "other"
    other.mkdir()
    small_model.save(other / "model.h5")
    (other / "run.json").write_text("{}")
    before = {file.name: file.read_bytes() for file in other.iterdir()}
    for name, got in {"model.h5": "an HDF5 file, such as a model", "run.json": "the settings of a run"}.items():
        for command in (["predict", tmp_path / "m.h5", tmp_path / "rows.csv"], ["sweep", tmp_path / "table.csv"]):
            line = refuses(*command, "--out", other / name)
            assert line == (
                f"writing a table expects a new name, or that of an older table, got '{other / name}', {got}: "
                "choose another name"
            )
    assert {file.name: file.read_bytes() for file in other.iterdir()} == before


def test_a_picture_through_a_link_to_a_name_without_suffix(tmp_path):
    (tmp_path / "drawn").write_text("older")
    (tmp_path / "s.png").symlink_to("drawn")
    from jaxmlp import plots

    plots.save(plots.Figure(), tmp_path / "s.png")
    assert (tmp_path / "drawn").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn", "s.png"]


@pytest.fixture
def install_fonts(monkeypatch):
    """A function that makes its fonts the only ones of the machine."""
    from jaxmlp import letters

    def install(*fonts):
        monkeypatch.setattr(letters, "fontManager", SimpleNamespace(ttflist=fonts))
        letters.fonts_with.cache_clear()

    yield install
    letters.fonts_with.cache_clear()


def test_letters_that_the_font_lacks_are_taken_from_another_one(tmp_path, install_fonts, recwarn):
    from jaxmlp import plots

    def draw(family):
        figure = plots.Figure()
        title = figure.suptitle("α ∇", fontfamily=family)
        plots.save(figure, tmp_path / "s.png")
        return (tmp_path / "s.png").read_bytes(), title.get_fontfamily()

    install_fonts()
    boxes, _ = draw("cmr10")  # a font of Matplotlib without Greek letters
    assert len(recwarn) == 1
    recwarn.clear()
    installed = [font for font in fontManager.ttflist if font.name in ("cmr10", "DejaVu Sans")]
    install_fonts(SimpleNamespace(name="gone", fname=str(tmp_path / "gone.ttf")), *installed)
    picture, families = draw("cmr10")
    assert families == ["cmr10", "DejaVu Sans"]
    assert picture != boxes
    assert not [warning for warning in recwarn if "letters" in str(warning.message)]


def test_the_font_with_the_most_letters_is_taken_before_others(install_fonts, monkeypatch):
    from jaxmlp import letters

    letters_of = {"Some": "甲", "Most": "甲乙", "Other": "乙丙", "Last Resort": "甲乙丙丁"}
    install_fonts(*(SimpleNamespace(name=name, fname=name) for name in letters_of))
    charmaps = {name: dict.fromkeys(map(ord, text)) for name, text in letters_of.items()}
    monkeypatch.setattr(letters, "get_font", lambda name: SimpleNamespace(get_charmap=lambda: charmaps[name]))
    assert letters.fonts_with(frozenset("甲乙丙丁")) == ("Most", "Other")
    assert letters.fonts_with(frozenset("丁")) == ()


def test_chinese_names_are_drawn_without_a_warning(tmp_path, recwarn, caplog):
    from jaxmlp import letters, plots

    if not letters.fonts_with(frozenset("猫")):
        pytest.skip("no font of this machine has Chinese letters")
    figure = plots.Figure()
    figure.suptitle("猫", fontweight="bold")
    for name in ("s.png", "s.pdf", "s.svg"):
        plots.save(figure, tmp_path / name)
    assert (recwarn.list, caplog.messages) == ([], [])


def test_a_picture_with_letters_that_no_font_has_warns_once(tmp_path, install_fonts):
    from jaxmlp import plots

    install_fonts()
    figure = plots.Figure()
    figure.suptitle("甲乙丙")
    with pytest.warns(
        UserWarning, match="a picture expects fonts with all letters of its names, got letters that no font has"
    ) as warned:
        plots.save(figure, tmp_path / "s.png")
    assert len(warned) == 1
    with pytest.raises(InputError, match=r"the suffix of a picture expects one of .*, got 'pgf'"):
        plots.save(figure, tmp_path / "s.pgf")  # it would need LaTeX


def test_a_run_folder_that_moves_behind_a_link_stays_that_of_its_process(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    with owned(folder):
        folder.rename(tmp_path / "moved")
        folder.symlink_to("moved")
        with owned(folder):
            check_unowned(folder)
        assert (folder / ".lock").exists()
    assert not (folder / ".lock").exists()


@pytest.mark.slow
def test_a_command_ends_well_when_nobody_reads_its_messages(tmp_path, small_model):
    small_model.save(tmp_path / "m.h5")
    (tmp_path / "rows.csv").write_text("1,2,3\n4,5,6\n")
    command = [sys.executable, "-m", "jaxmlp", "predict", "m.h5", "rows.csv", "--out", "p.csv"]
    with open("/dev/full", "w") as full:
        subprocess.run(command, cwd=tmp_path, stderr=full, check=True)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 3
    # a full pipe that does not wait
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    subprocess.run([*command[:-1], "n.csv"], cwd=tmp_path, stderr=writing, check=True)
    os.close(reading)
    os.close(writing)


def test_messages_to_a_closed_stderr_go_into_no_file_that_is_opened_later(tmp_path):
    code = "import sys; from jaxmlp.cli.streams import prepare_streams; prepare_streams(); file = open('later', 'w'); "
    code += "print('a message', file=sys.stderr, flush=True); file.write('content')"
    subprocess.run(["sh", "-c", f'exec {sys.executable} -c "{code}" 2>&-'], cwd=tmp_path, check=True)
    assert (tmp_path / "later").read_text() == "content"


@pytest.mark.slow
def test_a_reader_of_stdout_that_ends_is_no_failure_and_a_width_of_0_hides_nothing(tmp_path, small_model):
    small_model.save(tmp_path / "m.h5")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "jaxmlp", "info", "m.h5"]
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    # a width of 0, which some programs set, would hide every table
    variables = os.environ | {"COLUMNS": "0"}
    command = [sys.executable, "-m", "jaxmlp", "info", "2-2-1"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert "parameters" in done.stdout


def test_a_security_switch_that_is_written_wrongly_is_refused(tmp_path, small_model, monkeypatch):
    small_model.save(tmp_path / "m.h5")
    monkeypatch.setenv("JAXMLP_CHECK_HDF5", "yes")
    with pytest.raises(InputError, match="JAXMLP_CHECK_HDF5 expects always, or nothing, got 'yes'"):
        jaxmlp.load_model(tmp_path / "m.h5")
    for value in ("", "Always"):
        monkeypatch.setenv("JAXMLP_CHECK_HDF5", value)
        assert jaxmlp.load_model(tmp_path / "m.h5").n_features == 3


def test_predictions_never_replace_what_they_are_made_from(tmp_path, small_model, monkeypatch, refuses):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    small_model.save("run/model.h5")
    (tmp_path / "rows.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "link.csv").symlink_to("rows.csv")
    for model, out in (
        ("run", "rows.csv"),
        ("run", "link.csv"),
        ("run/model.h5", "run/model.h5"),
        ("run", "run/model.h5"),
    ):
        before = (tmp_path / out).read_bytes()
        assert "which this command reads: choose another name" in refuses("predict", model, "rows.csv", "--out", out)
        assert (tmp_path / out).read_bytes() == before
    (tmp_path / "run/checkpoints/3").mkdir(parents=True)
    for out in ("run/history.csv", "run/checkpoints/3/metadata"):
        (tmp_path / out).write_text("of the run")
        assert "which this command reads: choose another name" in refuses("predict", "run", "rows.csv", "--out", out)
        assert (tmp_path / out).read_text() == "of the run"
    assert run(["predict", "run", "rows.csv", "--out", "run/predictions.csv"]) == 0
    assert run(["predict", "run", "rows.csv", "--out", "run/predictions.csv"]) == 0


def test_a_leaderboard_never_replaces_its_data(tmp_path, monkeypatch, refuses):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(TABLE)
    assert "which this command reads" in refuses("sweep", "a.csv", "--out", "a.csv", "--epochs", 1)
    assert (tmp_path / "a.csv").read_text() == TABLE


def test_a_picture_never_replaces_what_it_is_drawn_from(tmp_path, small_model, monkeypatch, refuses):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    small_model.save("m.png")  # whatever its name is
    (tmp_path / "a.csv").write_text(TABLE)
    before = (tmp_path / "m.png").read_bytes()
    assert "which this command reads" in refuses("diagnose", "m.png", "a.csv", "--picture", "m.png")
    assert (tmp_path / "m.png").read_bytes() == before


# --- what is read -----------------------------------------------------------------------------------------------------


def external_storage(file, name, secret):
    file.create_dataset(name, (8, 4), dtype="u1", external=[(str(secret), 0, 32)])


def external_link(file, name, secret):
    file[name] = h5py.ExternalLink(str(secret), "/X")


def virtual_elsewhere(file, name, secret):
    layout = h5py.VirtualLayout((8, 4), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "X", (8, 4))
    file.create_virtual_dataset(name, layout)


def virtual_inside(file, name, secret):
    virtual_elsewhere(file, name, ".")


FOREIGN_PARTS = {
    external_storage: "external storage",
    external_link: "an external link",
    virtual_elsewhere: "a virtual data set",
    virtual_inside: "a virtual data set",
}
READERS = {
    "load": lambda path: jaxmlp.load(path, test_fraction=0),
    "load of a folder": lambda path: jaxmlp.load(path.parent),
    "rows": lambda path: load_rows(path, 4),
    "stream": lambda path: jaxmlp.stream(path, rows="X", labels="y"),
}


@pytest.fixture
def secret(tmp_path):
    """Another file of the user."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "secret.h5"
    with h5py.File(path, "w") as file:
        file["X"] = np.full((8, 4), 42, np.uint8)
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["X", "deep/er/X"])
@pytest.mark.parametrize("put", FOREIGN_PARTS)
def test_data_stay_within_their_file(put, name, reader, tmp_path, secret):
    (tmp_path / "given").mkdir()
    with h5py.File(tmp_path / "given" / "a.h5", "w") as file:
        put(file, name, secret)
        file["y"] = np.arange(8) % 2
        if name != "X":
            file["X"] = np.zeros((8, 4))
    text = f"a.h5 expects all its arrays in this file, got {FOREIGN_PARTS[put]} at {name!r}: copy the arrays into"
    with pytest.raises(InputError) as error:
        READERS[reader](tmp_path / "given" / "a.h5")
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("put", FOREIGN_PARTS)
def test_rows_of_a_stream_stay_within_their_file_when_it_is_replaced(put, tmp_path, secret):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.zeros((8, 4), np.uint8), np.arange(8) % 2
    data = jaxmlp.stream(path, test_fraction=0)
    with h5py.File(path, "w") as file:
        put(file, "X", secret)
        file["y"] = np.arange(8) % 2
    rows: Any = data.train.rows
    with pytest.raises(InputError, match="all its arrays in this file"), rows.reading():
        pass


@pytest.mark.parametrize("name", ["params/1/b", "preprocessing/shift", "network", "notes"])
@pytest.mark.parametrize("put", FOREIGN_PARTS)
def test_a_model_stays_within_its_file(put, name, tmp_path, small_model, secret):
    path = tmp_path / "m.h5"
    small_model.save(path)
    with h5py.File(path, "a") as file:
        attributes = dict(file[name].attrs) if name in file else {}
        file.pop(name, None)
        put(file, name, secret)
        if put is external_storage:
            file[name].attrs.update(attributes)
    text = f"{path} expects all its arrays in this file, got {FOREIGN_PARTS[put]} at {name!r}: copy the arrays into"
    with pytest.raises(InputError) as error:
        jaxmlp.load_model(path)
    assert str(error.value).startswith(text)


def test_links_within_a_file_are_followed(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["deep/rows"], file["y"] = np.ones((8, 4)), np.arange(8) % 2
        file["X"], file["deep/circle"] = h5py.SoftLink("/deep/rows"), file["/"]
        file["deep/broken"] = h5py.SoftLink("/nowhere")
    assert (jaxmlp.load(path, test_fraction=0).train.rows == 1).all()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp"])
def test_a_picture_starts_no_program(suffix, tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(POSTSCRIPT)
    with pytest.raises(
        InputError, match="a picture in PNG, JPEG, BMP, GIF, WEBP, got a damaged file, or another format"
    ):
        load_rows(path, 48, Columns(image_shape=(4, 4, 3)))
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("form", ["TIFF", "PPM", "ICO", "TGA"])
def test_a_picture_is_of_a_kind_that_is_allowed(form, tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "photo.png"
    image.new("RGB", (16, 16)).save(path, form)
    with pytest.raises(InputError, match="another format"):
        load_rows(path, 48, Columns(image_shape=(4, 4, 3)))
