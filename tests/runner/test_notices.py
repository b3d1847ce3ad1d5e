"""What a dataset has to say reaches the user once, in `check`, in `run`, in JSON, and in reports of the store."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.registry import default
from ablate.runner.job import Options, prepare


@pytest.fixture
def study(spec, tmp_path) -> dict:
    """Two variants on a folder that a notebook has left its copies in."""
    for part in ("train", "test"):
        for label, name in enumerate("ab"):
            place = tmp_path / "images" / part / name
            (place / ".ipynb_checkpoints").mkdir(parents=True)
            for index in range(4):
                Image.new("L", (16, 16), 100 * label + index + 50 * (part == "test")).save(place / f"{index}.png")
    (tmp_path / "images" / "train" / "a" / "notes.txt").touch()
    spec["base"]["dataset"] = {"use": "image_folder", "path": str(tmp_path / "images"), "channels": 1}
    spec["base"]["batch_size"] = 4
    return spec


def expected(tmp_path: Path) -> list[str]:
    root = tmp_path / "images"
    folders = "test/a, test/b and 2 more"
    return [
        f"{root}: left out: 1 .txt in train/a (no images by their extension)",
        f"{root}: left out: 4 .ipynb_checkpoints in {folders} (hidden, or left behind by tools)",
    ]


def test_check_says_it_and_has_it_in_its_json(study, write, tmp_path):
    path = write(study)
    arguments = ["check", str(path), "--store", str(tmp_path / "store"), "--data-dir", str(tmp_path / "data"), "--device", "cpu"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0
    for notice in expected(tmp_path):
        assert said.output.count(notice) == 1
    told = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(told.stdout)["notices"] == expected(tmp_path)
    assert told.stderr == ""


def test_a_run_says_it_once_and_reports_have_it(study, tmp_path):
    places = {"store": tmp_path / "store", "data_dir": tmp_path / "data", "device": "cpu", "jobs": 1, "progress": False}
    with pytest.warns(UserWarning, match="left out") as said:
        done = ablate.run(study, **places)
    assert [str(warning.message) for warning in said if "left out" in str(warning.message)] == expected(tmp_path)
    assert list(done.notices) == expected(tmp_path)
    stored = ablate.load_study(study["name"], store=tmp_path / "store")
    assert list(stored.notices) == expected(tmp_path)
    from ablate.report.content import page
    from ablate.report.files import render

    made = page(stored)
    assert json.loads(render([made], "json"))["notices"] == expected(tmp_path)
    for form in ("markdown", "html", "latex-document"):
        assert "notes.txt" not in render([made], form)
        assert "left out" in render([made], form)


def test_datasets_without_notices_have_none(spec, tmp_path):
    job = prepare(spec, (), Options(data_dir=tmp_path, device="cpu"))
    assert job.notices() == []


def test_notices_are_one_line_each_and_no_notice_fails_a_study(spec, tmp_path, monkeypatch):
    """They are somebody's texts, from somebody's code."""
    loaded = default().load("dataset", "digits")
    made = loaded.factory(None)

    class Handle:
        fingerprint, load = made.fingerprint, made.load

        def notices(self):
            yield "two\nlines \x1b[2J"
            yield "two\nlines \x1b[2J"
            raise KeyError("no")

    monkeypatch.setitem(default().loaded, ("dataset", "ablate-core:digits"), replace(loaded, imported=lambda *_, **__: Handle()))
    job = prepare(spec, (), Options(data_dir=tmp_path, device="cpu"))
    assert job.notices() == ["dataset 'ablate-core:digits': its notices cannot be had: KeyError: 'no'"]
    monkeypatch.setattr(Handle, "notices", lambda _: ["two\nlines \x1b[2J"] * 2)
    assert job.notices() == ["two lines �[2J"]


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False}, True),
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": True}, False),
        ({"architecture": "aarch64", "neon": True, "bf16": True}, False),
        ({"architecture": "aarch64", "neon": True, "bf16": False}, True),
    ],
)
def test_mixed_precision_that_makes_a_cpu_slower_is_told(spec, monkeypatch, capabilities, said):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    slow = "precision: bfloat16 is slower than float32 on this CPU, which has no instructions for it (in variant 'mixed')"
    job = prepare(spec | {"variants": {"mixed": {"precision": "bfloat16"}}}, [], Options(device="cpu"))
    assert job.notices() == [slow] * said
    assert prepare(spec, [], Options(device="cpu")).notices() == []
    assert replace(job, device="cuda:0").notices() == []


def test_variants_that_share_a_split_are_better_paired(spec):
    def said(*overrides, **options):
        return prepare(spec, ["seeds=5", *overrides], Options(device="cpu", **options)).notices()

    by_seed = 'base.split="by_seed"'
    assert said(by_seed) == [
        "compare.paired: all variants of a seed share its split. Set this to true, so that the luck of the split is not in the "
        "differences"
    ]
    assert said(by_seed, "compare.paired=true") == said(by_seed, "seeds=4") == said() == []
    assert said(by_seed, placebo=True) == [], "every variant of a placebo has seeds of its own"
