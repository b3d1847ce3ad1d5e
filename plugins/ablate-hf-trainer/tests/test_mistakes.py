"""What is wrong is told before anything is trained; a whole study through `ablate.run`."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import made
import pytest
from ablate_hf_trainer import texts

import ablate
from ablate.errors import EnvironmentProblem, SpecError


def study_of(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "texts",
        "base": made.recipe(folder, epochs=2, **more),
        "factors": {"layers": {"one": {"config": {"num_hidden_layers": 1}}}},
        "seeds": 2,
    }


def test_a_study(tmp_path: Path):
    study = ablate.run(study_of(tmp_path), store=tmp_path / "store", device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["weights_sha256"].nunique() == 4
    assert {"accuracy", "loss", "f1"} <= set(study.cells.columns)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('base.model="bertt"', "Did you mean 'bert'"),
        ("base.model=null", "a `model` with new weights, or the folder of one that is `pretrained`, and not both"),
        ("factors.layers.one.config.num_layerss=3", r"layers.one.config.num_layerss: the configuration of bert has no field"),
        ("base.config.vocab_size=3", "config.vocab_size: comes from the training texts and the tokenizer"),
        ("base.config.hidden_size=33", "not a multiple of the number of attention heads"),
        ('base.config.hidden_size="a"', "expected int, got str"),
        ("base.config.max_position_embeddings=8", r"max_length: 16 tokens, and the model has positions for 8"),
        ('base.scheduler="cosinus"', "Did you mean 'cosine'"),
        ('base.scheduler="cosine_with_min_lr"', "scheduler: .*min_lr"),
        ('base.scheduler="constant"', "constant_with_warmup"),
        ('base.train="train.txt"', r"train: found 'train.txt', expected a .csv or .jsonl file"),
        ('base.tokenizer_folder="nowhere"', "there is no folder 'nowhere'.*\n.*nothing is fetched from a hub"),
        ('base.optimizer="lion_32bit"', "base.optimizer: .*lion_32bit"),
    ],
)
def test_mistakes_are_told_before_training(override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("train.txt").write_text("text,label\n")
    spec = study_of(tmp_path, warmup=0.1)
    with pytest.raises(SpecError, match=message):
        ablate.run(spec, overrides=[override], store=tmp_path / "store", device="cpu")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a b", "label": 1}\n{"text": "a b"\n', r"a.jsonl, line 2: is no JSON"),
        ("a.jsonl", '{"text": "a b", "label": 1}\n["a"]\n', r"a.jsonl, line 2: expected a JSON object"),
        ("a.jsonl", '{"txt": "a b", "label": 1}\n', r"a.jsonl, line 1: has no 'text'. Did you mean 'txt'"),
        ("a.csv", 'text,label\n"a b",x\n" ",y\n', r"a.csv, line 3: text is"),
        ("a.csv", "text,label\na b\n", r"a.csv, line 2: label is null, expected a name or a whole number"),
        ("a.jsonl", '{"text": "a b", "label": 1.5}\n', r"a.jsonl, line 1: label is 1.5, expected a name"),
        ("a.csv", "text,label\na,x\nb,x\n", r"has the labels x, and at least 2 are needed"),
        ("a.csv", "text,label\na,x\nb,y\n", r"test.csv, line 2: no training text has the label 'z'"),
        ("a.csv", b"text,label\n\xff\xfe,x\n", r"a.csv: cannot be read: 'utf-8' codec"),
    ],
)
def test_what_is_wrong_with_texts_is_told(name: str, content: str | bytes, message: str, tmp_path: Path):
    path, test = tmp_path / name, tmp_path / "test.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    test.write_text("text,label\nc,z\n")
    with pytest.raises(EnvironmentProblem, match=message):
        texts.load(str(path), str(test), "text", "label")


def test_both_kinds_of_file_give_the_same_texts(tmp_path: Path):
    rows = [{"text": 'a "quoted", long\nline', "label": "x"}, {"text": "ünïcode", "label": "y"}]
    found = [str(made.write(tmp_path / name, rows)) for name in ("a.csv", "a.jsonl")]
    one, other = (texts.load(path, path, "text", "label") for path in found)
    assert one == other
    assert one.train == texts.Part(['a "quoted", long\nline', "ünïcode"], [0, 1])
    assert list(texts.notices(one)) == ["2 of 2 test texts are training texts, too: they are no test of what was learnt"]


def test_the_study_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    spec = json.loads(textwrap.dedent(re.search(r"^    \{\n.*?^    \}\n", text, re.MULTILINE | re.DOTALL).group()))
    monkeypatch.chdir(tmp_path)
    made.write(Path("train.csv"), made.rows(64, 1))
    made.write(Path("test.csv"), made.rows(20, 2))
    study = ablate.run(spec, store=tmp_path / "store", device="cpu", jobs=1)
    assert set(study.cells["status"]) == {"done"}
