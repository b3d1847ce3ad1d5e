"""The first spec: it passes `check`, it trains, and nothing is overwritten."""

import json
import os
import pty
import signal
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from ablate.cli import app
from ablate.cli.first_spec import VARIED, document, laid_out, seeds_of
from ablate.errors import AblateError, ExitCode, SpecError, UsageError
from ablate.runner.job import Options, prepare, try_recipes
from ablate.spec import load

ANSWERS = {"images": "digits", "model": "net", "vary": "optimizer", "seeds": "2"}


def init(file, **answers):
    """Exit code, and what it said."""
    words = [part for name, value in (ANSWERS | answers).items() if value for part in (f"--{name}", value)]
    done = CliRunner().invoke(app, ["init", str(file), *words])
    if isinstance(done.exception, AblateError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, done.output


def test_all_that_it_offers_can_be_trained(tmp_path):
    made = document("first", "digits", "net", [*VARIED, "optimizer.momentum=0,0.5"], "3 to 5")
    job = prepare(made, (), Options(tmp_path / "store", download=False, device="cpu"))
    assert len(job.plan.variants) == 1 + len(VARIED) + 1 + 2, "a learning rate has two other levels, and momentum, too"
    assert try_recipes(job, {planned.cell.key for planned in job.cells}) is not None


@pytest.mark.slower
@pytest.mark.parametrize("model", ["net", "resnet18"])
def test_images_of_a_folder(tmp_path, model):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for index in range(3):
                size = (60 + 7 * index, 50)
                Image.new("RGB", size, (index * 40, 90, 40 * len(name))).save(tmp_path / "pets" / part / name / f"{index}.png")
    made = document("pets", str(tmp_path / "pets"), model, ["flip", "schedule"], "2")
    job = prepare(made, (), Options(tmp_path / "store", download=False, device="cpu"))
    assert len(job.cells) == 6
    try_recipes(job, {planned.cell.key for planned in job.cells})


def test_a_spec_is_written_and_the_answers_are_in_it(tmp_path):
    code, said = init(tmp_path / "my study.json", seeds="3-12", vary="learning_rate")
    assert (code, "ablate check" in said) == (0, True), said
    text = (tmp_path / "my study.json").read_text()
    assert max(map(len, text.splitlines())) <= 130
    made = json.loads(text)
    assert (made["name"], made["seeds"]) == ("my-study", {"min": 3, "max": 12, "stop": "decided"})
    assert list(made["factors"]) == ["learning_rate"]
    assert load(tmp_path / "my study.json").document["base"]["model"] == {"use": "net"}


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "study.json").write_text("mine")
    assert init(tmp_path / "study.json") == (2, f"{tmp_path}/study.json exists. Give another name: nothing is overwritten.")
    assert (tmp_path / "study.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"images": "digit"}, "'digit' is neither a folder of images nor a dataset. Did you mean 'digits'?"),
        ({"images": "image_folder"}, "dataset 'image_folder' needs path"),
        ({"model": "resnet19"}, "there is no model 'resnet19'. Did you mean"),
        ({"model": "torchvision"}, "model 'torchvision' needs arch"),
        ({"model": "resnet18", "vary": "batch_norm"}, "batch_norm: the model 'net' has such a switch"),
        ({"vary": "optimiser"}, "nothing to vary is called 'optimiser'. Did you mean 'optimizer'?"),
        ({"vary": "optimizer.lr="}, "expected values for a setting"),
        ({"vary": "optimizer.lr=fast"}, "optimizer.lr=fast"),
        ({"vary": "optimizer.momentun=0.5"}, "Did you mean 'momentum'?"),
        ({"vary": "optimizer.momentum=0.9"}, "momentum"),
        ({"seeds": "12 to 3"}, "seeds '12 to 3': expected a number"),
        ({"seeds": "1 to 3"}, "seeds '1 to 3': expected a number"),
        ({"seeds": None}, "there is nobody to ask: give --seeds."),
    ],
)
def test_answers_that_name_nothing_are_refused(tmp_path, answers, said):
    code, told = init(tmp_path / "study.json", **answers)
    assert code == 2
    assert said in told
    assert not (tmp_path / "study.json").exists()


def test_seeds():
    assert (seeds_of("5"), seeds_of(" 5 "), seeds_of("5 to 5")) == (5, 5, 5)
    with pytest.raises(UsageError):
        seeds_of("0")
    assert issubclass(SpecError, UsageError)


def test_what_fits_in_a_line_is_in_a_line():
    made = {"a": {"b": {"c": [1, 2]}}, "d": 1}
    assert laid_out(made) == '{\n  "a": {\n    "b": {"c": [1, 2]}\n  },\n  "d": 1\n}'
    assert json.loads(laid_out(made, width=1)) == made


def asking(folder):
    """A process that asks, and its terminal."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what it starts in the background
        os.execv(sys.executable, [sys.executable, "-m", "ablate", "init"])
    return process, terminal


@pytest.mark.slower
@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
def test_who_is_asked_may_leave(tmp_path, key):
    process, terminal = asking(tmp_path)
    said = b""
    while b"images? [digits]:" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, key)
    while b"interrupted" not in said:
        said += os.read(terminal, 4096)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == ExitCode.INTERRUPTED
    assert not list(tmp_path.iterdir())


@pytest.mark.slower
def test_four_questions_in_a_terminal(tmp_path):
    process, terminal = asking(tmp_path)
    said = b""
    answers = [
        (b"images? [digits]:", b"nowhere\n"),
        (b"'nowhere' is neither", b""),
        (b"images? [digits]:", b"\n"),
        (b"model? [net]:", b"nett\n"),
        (b"model? [net]:", b"\n"),
        (b"varied? [optimizer schedule]:", b"flip flop\n"),
        (b"varied? [optimizer schedule]:", b"flip\n"),
        (b"seeds? [5]:", b"many\n"),
        (b"seeds? [5]:", b"3\n"),
    ]
    for question, answer in answers:
        while question not in said:
            said += os.read(terminal, 4096)
        said = said.partition(question)[2]
        os.write(terminal, answer)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    made = json.loads((tmp_path / "study.json").read_text())
    assert (made["base"]["dataset"], list(made["factors"]), made["seeds"]) == ({"use": "digits", "size": 16}, ["flip"], 3)
