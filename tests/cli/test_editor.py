"""What an editor says and offers with `ablate schema`: the JSON language service of VS Code, Neovim and others is asked.

Slow, because npm fetches the service: `python -m pytest -m slow tests/cli/test_editor.py`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
SPECS = sorted((HERE.parent / "specs").glob("*.json"))
QUICKSTART = (HERE.parent / "specs" / "quickstart.json").read_text("utf-8")
PROGRAM = {
    "name": "program",
    "base": {"use": "command", "argv": ["train", "{args}"], "metrics": {"accuracy": "maximize"}, "settings": {"lr": 0.1}},
    "factors": {"lr": {"high": {"settings": {"lr": 0.2}}}},
    "variants": {"longer": {"epochs": 4}, "ours": {"use": "image_classification", "batch_size": 32}},
}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("npm"), reason="no npm")]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Asks about texts."""
    folder = tmp_path_factory.mktemp("editor")
    npm = [shutil.which("npm"), "install", "--silent", "--prefix", folder, "vscode-json-languageservice@5"]
    subprocess.run(npm, check=True, timeout=200)
    shutil.copy(HERE / "editor.mjs", folder)
    schema = subprocess.run([sys.executable, "-m", "ablate", "schema"], capture_output=True, check=True).stdout
    (folder / "schema.json").write_bytes(schema)

    def ask(*texts):
        node = [shutil.which("node"), folder / "editor.mjs", folder / "schema.json"]
        done = subprocess.run(node, input=json.dumps(texts).encode(), capture_output=True, check=True)
        return json.loads(done.stdout)

    return ask


def test_right_specs_are_right(ask):
    texts = [*(path.read_text("utf-8") for path in SPECS), json.dumps(PROGRAM)]
    assert ask(*texts) == [[]] * len(texts)


@pytest.mark.parametrize(
    ("right", "wrong", "place", "told"),
    [
        ('"momentum"', '"momentun"', "9:45", "Property momentun is not allowed"),
        ('"sgd"', '"sgdd"', "9:26", '"sgd", "timm"'),
        ('"seeds": 5', '"seeds": "five"', "19:12", "Incorrect type"),
        ('"base": {', '"basis": {', "4:3", "Property basis is not allowed"),
        ('"epochs": 10', '"epochs": 0', "11:15", "below the minimum of 1"),
        ('"momentum": 0.9', '"momentum": -3', "9:57", "below the minimum of 0"),
        ('"lr": 0.002', '"betas": 2', "15:66", "Incorrect type"),
    ],
)
def test_a_wrong_one_is_marked_where_it_is_wrong(ask, right, wrong, place, told):
    (found,) = ask(QUICKSTART.replace(right, wrong, 1))
    assert any(line.startswith(f"{place} ") and told in line for line in found), found


@pytest.mark.parametrize(
    ("base", "patch", "told"),
    [
        ({"batch_size": 3}, {}, "Property batch_size is not allowed"),
        ({"argv": "train"}, {}, "Incorrect type"),
        ({}, {"batch_size": 3}, "Property batch_size is not allowed"),
        ({}, {"metrics": {"accuracy": {"use": "accuracy"}}}, "Value is not accepted"),
        ({"use": "comand"}, {}, '"command", "function"'),
    ],
)
def test_fields_are_those_of_the_trainer_that_the_base_names(ask, base, patch, told):
    wrong = {**PROGRAM, "base": {**PROGRAM["base"], **base}, "variants": {"wrong": {"epochs": 4, **patch}}}
    (found,) = ask(json.dumps(wrong))
    assert any(told in line for line in found), found


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ('{"base": {"optimizer": {"use": "‸"}}}', ['"adam"', '"sgd"']),
        ('{"base": {"optimizer": {"use": "sgd", "‸"}}}', ["lr", "momentum", "nesterov"]),
        ('{"factors": {"o": {"adam": {"optimizer": {"use": "adam", "‸": 1}}}}}', ["betas", "eps"]),
        ('{"base": {"train_transforms": {"crop": {"use": "‸"}}}}', ['"mixup"', '"random_crop"']),
        ('{"design": {"use": "‸"}}', ['"factorial"', '"screening"']),
        ('{"‸": 1}', ["base", "factors", "seeds"]),
        ('{"base": {"‸": 1}}', ["dataset", "batch_size", "use"]),
        ('{"base": {"use": "‸"}}', ['"command"', '"image_classification"']),
        ('{"base": {"use": "command", "‸": 1}}', ["argv", "settings"]),
        ('{"base": {"use": "command"}, "factors": {"f": {"level": {"‸": 1}}}}', ["settings", "env"]),
        ('{"base": {"use": "command"}, "variants": {"other": {"use": "function", "‸": 1}}}', ["call", "settings"]),
    ],
)
def test_it_offers_names_and_their_parameters(ask, text, offered):
    (answer,) = ask(text)
    assert set(offered) <= set(answer["offered"])


def test_it_offers_nothing_of_another_trainer(ask):
    for text in ('{"base": {"use": "command", "‸": 1}}', '{"base": {"use": "command"}, "factors": {"f": {"level": {"‸": 1}}}}'):
        (answer,) = ask(text)
        assert not {"batch_size", "optimizer", "call"} & set(answer["offered"]), text


def test_it_shows_what_a_parameter_means(ask):
    (answer,) = ask('{"base": {"optimizer": {"use": "sgd", "l‸r": 1}}}')
    assert "Learning rate" in "".join(answer["hover"])
