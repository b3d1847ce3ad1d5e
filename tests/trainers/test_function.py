"""A Python function as a trainer: what it gets, how it goes on, and what its key stands for."""

import sys
import textwrap

import pytest
from sittings import Sitting, checked, problems

from ablate.registry import default
from ablate.spec.identity import recipe_identity
from ablate.spec.trainer import Interrupted


def recipe(call="train.py:main", **fields):
    return {"use": "function", "call": call, "metrics": {"accuracy": "maximize"}} | fields


def write(here, text, name="train.py"):
    (here / name).write_text(textwrap.dedent(text))


def test_a_function_gets_what_it_has_parameters_for(here, tmp_path):
    write(
        here,
        """
        def main(seed, config, device, checkpoint, other=1):
            assert (config, device, other) == ({"lr": 0.5}, "cpu", 1), (config, device, other)
            checkpoint.joinpath("weights").write_text("1")
            return {"epoch": 1, "accuracy": seed + config["lr"]}
        """,
    )
    assert Sitting(recipe(settings={"lr": 0.5}), tmp_path, 3).run().metrics == {"accuracy": 3.5}


def test_a_generator_tells_each_epoch(here, tmp_path):
    write(
        here,
        """
        calls = []
        def main(seed):
            calls.append(seed)
            for epoch in range(3):
                yield {"accuracy": len(calls) + epoch / 10, "train_loss": 1}
        """,
    )
    for seed in (1, 2):
        cell = Sitting(recipe(epochs=3), tmp_path, seed)
        cell.run()
        assert [record["accuracy"] for record in cell.records] == [1.0, 1.1, 1.2], "a cell finds nothing that another left"


def test_a_function_may_report(here, tmp_path):
    write(
        here,
        """
        def main(seed, report):
            for value in (0.25, 0.5):
                report({"accuracy": value})
        """,
    )
    assert [record["accuracy"] for record in Sitting(recipe(), tmp_path).run().epochs] == [0.25, 0.5]
    with pytest.raises(Interrupted):
        Sitting(recipe(), tmp_path).run(lambda sitting: True)


def test_an_interrupted_one_begins_anew_without_a_checkpoint(here, tmp_path):
    write(here, "def main(seed):\n    for epoch in range(3):\n        yield {'accuracy': epoch}\n")
    cell = Sitting(recipe(), tmp_path)
    with pytest.raises(Interrupted):
        cell.run(lambda sitting: len(sitting.records) == 2)
    assert [record["epoch"] for record in cell.run().epochs] == [1, 2, 3]


@pytest.mark.parametrize("first", [0, 1])
def test_an_interrupted_one_goes_on_from_its_checkpoint(here, tmp_path, first):
    write(
        here,
        f"""
        def main(seed, checkpoint):
            saved = checkpoint / "epoch"
            begin = int(saved.read_text()) if saved.exists() else 0
            for epoch in range(begin + 1, 5):
                saved.write_text(str(epoch))
                yield {{"epoch": epoch - 1 + {first}, "accuracy": epoch * 10 + begin}}
        """,
    )
    cell = Sitting(recipe(), tmp_path)
    with pytest.raises(Interrupted):
        cell.run(lambda sitting: len(sitting.records) == 2)
    found = cell.run().epochs
    assert [record["epoch"] for record in found] == [1, 2, 3, 4], "which count from 1, however the function counts"
    assert [record["accuracy"] for record in found] == [10, 20, 32, 42]


def test_a_checkpoint_ahead_of_the_records_fails_once_and_then_begins_anew(here, tmp_path):
    """The process was killed between the function's own save and its record."""
    write(
        here,
        """
        def main(seed, checkpoint):
            saved = checkpoint / "epoch"
            begin = int(saved.read_text()) if saved.exists() else 0
            for epoch in range(begin + 1, 4):
                saved.write_text(str(epoch))
                yield {"epoch": epoch, "accuracy": epoch}
        """,
    )
    cell = Sitting(recipe(), tmp_path)
    with pytest.raises(Interrupted):
        cell.run(lambda sitting: True)
    (tmp_path / "key/epoch").write_text("2")
    assert cell.error() == "there is no record of epoch 2: its checkpoint was ahead of what it had recorded"
    assert [record["epoch"] for record in cell.run().epochs] == [1, 2, 3]


def test_who_goes_on_says_which_epoch_it_is(here, tmp_path):
    write(here, "def main(seed, checkpoint):\n    yield {'accuracy': 1}\n")
    assert "what it yields: has no `epoch`" in Sitting(recipe(), tmp_path).error()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def main(seed, depth): ...", "the function needs depth. It can have: config, seed, checkpoint, device, report."),
        ("def main(config): ...", "the function has no parameter `seed`, so all seeds would be one run."),
        ("main = 1", "train.py has no function or class 'main'"),
        ("def main(seed): ...", "it ended without a record of its metrics: accuracy"),
        ("def main(seed):\n    return 0.5", "what it returns: expected a JSON object with metrics, found 0.5"),
    ],
)
def test_what_is_wrong_with_a_function_is_said(here, tmp_path, text, message):
    write(here, text)
    assert message in Sitting(recipe(), tmp_path).error()


def test_its_own_errors_are_its_own(here, tmp_path):
    write(here, "def main(seed):\n    raise KeyError('lr')\n")
    with pytest.raises(KeyError, match="lr"):
        Sitting(recipe(), tmp_path).run()


def test_code_that_no_key_stands_for_is_refused(here, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "beside_it", raising=False)
    write(here, "import beside_it\ndef main(seed):\n    return {'accuracy': beside_it.VALUE}\n")
    write(here, "VALUE = 0.5\n", "beside_it.py")
    assert Sitting(recipe(), tmp_path).error() == "it imports beside_it.py, whose content is in no key: add it to `code`"
    assert Sitting(recipe(code=["beside_it.py"]), tmp_path).run().metrics == {"accuracy": 0.5}
    del sys.modules["beside_it"]


def test_the_key_has_its_code_and_the_versions_of_what_it_imports(here):
    write(here, "import numpy.linalg\nfrom scipy import stats\nimport os, own\ndef main(seed): ...\n")
    write(here, "def inner():\n    import torch\n", "own.py")
    given, _ = checked(recipe(code=["own.py"]))
    identity = recipe_identity(default(), given, "", "cpu")
    assert {"numpy", "scipy", "torch"} <= identity["packages"].keys()
    assert list(identity["files"]) == ["train.py", "own.py"]
    write(here, "def inner():\n    return 1\n", "own.py")
    now = recipe_identity(default(), given, "", "cpu")
    assert now["files"]["own.py"] != identity["files"]["own.py"]
    assert "torch" not in now["packages"]


def test_a_module_is_a_package_that_is_installed_or_here(here, tmp_path, monkeypatch):
    (here / "mine").mkdir()
    write(here, "from .parts import VALUE\ndef main(seed):\n    return {'accuracy': VALUE}\n", "mine/train.py")
    write(here, "VALUE = 0.5\n", "mine/parts.py")
    write(here, "", "mine/__init__.py")
    cell = Sitting(recipe("mine.train:main"), tmp_path)
    assert cell.run().metrics == {"accuracy": 0.5}
    assert list(recipe_identity(default(), cell.resolved, "", "cpu")["files"]) == ["mine"], "wherever the project is"
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_where_it_is_is_checked(here):
    assert problems(recipe("gone.py:main")) == ["call: there is no file or folder 'gone.py'"]
    assert problems(recipe("gone.module:main")) == ["call: there is no module 'gone.module'"]
    assert problems(recipe("main")) == ["call: expected a function, as train.py:main or package.module:main"]
