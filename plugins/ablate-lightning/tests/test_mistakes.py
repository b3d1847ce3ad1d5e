"""What is wrong is told before anything is trained, or fails the cell in words; a whole study through `ablate.run`."""

import json
import re
import textwrap
from pathlib import Path

import pytest
from trainings import recipe, trained

import ablate
from ablate.errors import EnvironmentProblem, SpecError
from ablate.registry import default
from ablate.spec.trainer import trainer_of

BASE = {
    "use": "lightning",
    "module": "rings.py:Net",
    "data_module": "rings.py:Rings",
    "settings": {"module": {"width": 8}, "data_module": {"count": 64}},
    "metrics": {"val_accuracy": "maximize", "val_loss": "minimize"},
    "max_epochs": 2,
}
STUDY = {
    "name": "rings",
    "base": BASE,
    "factors": {"width": {"wide": {"settings": {"module": {"width": 32}}}}},
    "seeds": 2,
    "compare": {"metric": "val_accuracy"},
}


@pytest.mark.usefixtures("folder")
def test_a_study(tmp_path: Path):
    study = ablate.run(STUDY, store=tmp_path / "store", device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["weights_sha256"].nunique() == 4


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("factors.width.wide.settings.module.widht=3", r"width.wide.settings.module.widht: the base declares no such setting"),
        ('factors.width.wide.settings.module.width="a"', r"found a string, and the base declares a number"),
        (
            'base.settings.module={"widht": 3, "width": 8}',
            r"settings.module.widht: Net has no parameter 'widht'.*\n.*Did you mean",
        ),
        ('base.settings.modul={"width": 3}', "settings.modul: expected the settings of module or data_module"),
        ('base.module="rings.py:Rings"', "module: is no LightningModule of lightning"),
        ('base.module="ring.py:Net"', "module: there is no file or folder 'ring.py'"),
        ('base.module="no_such_module:Net"', r"module: there is no module 'no_such_module'\n.*as train.py:Model"),
        ('base.module="rings.py:Nett"', "rings.py has no function or class 'Nett'"),
        ('base.gradient_clip_algorithm="value"', "has no effect without `gradient_clip_val`"),
        ("base.settings.module.width=-1", "settings.module: Net cannot be made"),
    ],
)
def test_mistakes_are_told_before_training(override: str, message: str, tmp_path: Path):
    with pytest.raises(SpecError, match=message):
        ablate.run(STUDY, overrides=[override], store=tmp_path / "store", device="cpu")


def edited(folder: Path, before: str, after: str) -> None:
    text = (folder / "rings.py").read_text()
    assert before in text
    (folder / "rings.py").write_text(text.replace(before, after))


def test_a_metric_that_is_not_logged_fails_the_cell(folder: Path):
    with pytest.raises(EnvironmentProblem, match="its last record lacks val_f1; of the declared metrics it has: val_loss"):
        trained(recipe(metrics={"val_f1": "maximize", "val_loss": "minimize"}), folder)


def test_a_metric_of_an_earlier_epoch_is_not_taken_for_one_of_the_last(folder: Path):
    edited(folder, 'self.log("val_loss"', 'if self.current_epoch < 1:\n            self.log("val_loss"')
    with pytest.raises(EnvironmentProblem, match="its last record lacks val_loss"):
        trained(recipe(), folder)


def test_a_metric_that_is_not_finite_fails_the_cell(folder: Path):
    edited(folder, "nn.functional.cross_entropy(logits, labels)", 'float("inf") * nn.functional.cross_entropy(logits, labels)')
    with pytest.raises(EnvironmentProblem, match="val_loss is inf, which is no finite number"):
        trained(recipe(), folder)


def test_a_training_that_ends_early_fails_the_cell(folder: Path):
    edited(folder, "        return loss\n", "        self.trainer.should_stop = True\n        return loss\n")
    with pytest.raises(EnvironmentProblem, match=r"ended the training after epoch 1 of 3, such as EarlyStopping"):
        trained(recipe(), folder)


def test_a_state_that_only_a_pickle_can_hold_is_refused_when_it_is_saved(folder: Path):
    more = "    def on_save_checkpoint(self, checkpoint):\n        checkpoint['own'] = Points(2, 0, 0.0)\n\n    def training_step"
    edited(folder, "    def training_step", more)
    with pytest.raises(EnvironmentProblem, match="only a pickle that may run code can give back"):
        trained(recipe(), folder)


def test_code_beside_it_has_to_be_declared(folder: Path):
    (folder / "beside_rings.py").write_text("DEPTH = 1\n")
    edited(folder, "import lightning\n", "import beside_rings\nimport lightning\n")
    with pytest.raises(EnvironmentProblem, match=r"it imports beside_rings.py, whose content is in no key: add it to `code`"):
        trained(recipe(), folder)
    first = trainer_of(default(), recipe(code=["beside_rings.py"])).identity("cpu")
    (folder / "beside_rings.py").write_text("DEPTH = 2\n")
    assert trainer_of(default(), recipe(code=["beside_rings.py"])).identity("cpu") != first
    assert trained(recipe(code=["beside_rings.py"], max_epochs=1), folder).metrics


def test_the_study_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    code = textwrap.dedent(re.search(r"^    import lightning\n.*(?=^A study that runs)", text, re.MULTILINE | re.DOTALL).group())
    spec = textwrap.dedent(re.search(r"^    \{\n.*?^    \}\n", text, re.MULTILINE | re.DOTALL).group())
    (tmp_path / "train.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    study = ablate.run(json.loads(spec), store=tmp_path / "store", device="cpu", jobs=1)
    assert set(study.cells["status"]) == {"done"}
