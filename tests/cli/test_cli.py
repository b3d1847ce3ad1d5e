"""The command as users call it: output, exit codes, and messages in place of tracebacks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ablate.cli import main
from ablate.errors import ExitCode


@pytest.fixture
def ablate(tmp_path, monkeypatch, capfd):
    """Calls the command in an empty directory, in this process; or in one of its own, which takes seconds to import torch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("ABLATE_DATA_DIR", str(tmp_path / "data"))

    def here(words):
        monkeypatch.setattr(sys, "argv", ["ablate", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return subprocess.CompletedProcess(words, end.value.code or 0, *capfd.readouterr())

    def call(*arguments, code=0, apart=False):
        words = list(map(str, arguments))
        command = [sys.executable, "-m", "ablate", *words]
        done = subprocess.run(command, capture_output=True, text=True) if apart else here(words)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


def test_a_study_from_check_to_report(ablate, spec, write, tmp_path):
    path = write(spec | {"published": {"source": "a [bold]paper[/]", "accuracy": {"base": 0.5}}})
    checked = ablate("check", path, apart=True).stdout
    assert "model.batch_norm: false → true" in checked
    assert "4 cells (2 variants × 2 seeds), 0 stored, 4 to train" in checked
    assert not (tmp_path / "ablate-store").exists()
    decided = ablate("check", path, "--set", 'seeds={"min": 2, "max": 5, "stop": "decided"}').stdout
    assert "at most 10 cells (2 variants × 2 to 5 seeds), 0 stored, 10 to train" in decided
    assert "0 stored, 4 to train" in ablate("run", path, "--dry-run").stdout
    ran = ablate("run", path, "--device", "cpu", "--jobs", "1", apart=True)
    assert "batch_norm=on" in ran.stdout
    assert "a [bold]paper[/]" in ran.stdout
    assert "4 cells to train" in ran.stderr
    assert "4 stored, 0 to train" in ablate("check", path).stdout
    again = ablate("run", path, "--json", apart=True)
    assert "0 cells to train, 4 stored already" in again.stderr
    assert [row["n"] for row in json.loads(again.stdout)["summary"]] == [2, 2]
    assert json.loads(ablate("status", "--json").stdout)["studies"] == [
        {"study": "tiny", "cells": 4, "done": 4, "running": 0, "interrupted": 0, "failed": 0, "missing": 0}
    ]
    assert ablate("report", path).stdout == ablate("report", "tiny").stdout == ran.stdout
    assert ablate("report", "tiny", "--format", "markdown").stdout.startswith("# tiny\n")
    assert ablate("report", "tiny", "--format", "csv").stdout.startswith("variant,n,failed,diverged,missing,mean,sd,difference")
    ablate("report", "tiny", "--format", "json", "--output", "out/r.json")
    assert json.loads((tmp_path / "out" / "r.json").read_text())["reproduction"][0]["published"] == 0.5
    ablate("report", "tiny", "--format", "files", "--output", "all")
    assert {file.name for file in (tmp_path / "all").iterdir()} >= {"summary.md", "curves.png", "cells.csv", "epochs.csv"}


def test_a_placebo_says_how_often_it_finds_something(ablate, spec, write, in_this_process):
    done = ablate("run", write(spec | {"seeds": 3}), "--device", "cpu", "--placebo")
    assert "False differences in this placebo:" in done.stdout
    assert "Of 20 ways to share the same results out" in done.stdout
    listed = json.loads(ablate("report", "tiny-placebo", "--format", "json").stdout)
    assert [variant["name"] for variant in listed["variants"]] == ["base", "placebo 1"]
    assert listed["variants"][1]["changes"] == []


def test_a_mistake_ends_the_process_with_its_code(ablate, spec, write):
    assert "there is no such file" in ablate("run", "nothing.json", code=ExitCode.USAGE, apart=True).stderr
    wrong = ablate("run", write(spec), "--set", "base.epochs=0", code=ExitCode.USAGE, apart=True)
    assert "expected a whole number ≥ 1" in wrong.stderr


def test_power_needs_no_training(ablate, spec, write):
    done = ablate("power", write(spec), "--sd", "0.01", "--seeds", "10", "--difference", "0.02")
    assert "0.01325" in done.stdout
    assert json.loads(ablate("power", write(spec), "--sd", "0.01", "--json").stdout)["noise"]["sd"] == 0.01


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nothing.json"], ExitCode.USAGE, "nothing.json: there is no such file"),
        (["run"], ExitCode.USAGE, "Missing argument"),
        (["report", "nothing"], ExitCode.ENVIRONMENT, "there is no store in ablate-store. Give one with --store"),
        (["status"], ExitCode.ENVIRONMENT, "there is no store"),
        (["list", "optimiser"], ExitCode.USAGE, "Did you mean 'optimizer'"),
        (["show", "optimizer", "adm"], ExitCode.USAGE, "Did you mean 'adam'"),
        (["show", "optimizer"], ExitCode.USAGE, "ablate list optimizer says which there are"),
        (["show", "cosin"], ExitCode.USAGE, "nothing that is installed is called 'cosin'. Did you mean 'cosine'"),
        (["show", "torchvision", "--json"], ExitCode.USAGE, "Give a kind before 'torchvision': model or transform"),
        (["show", "colour", "red"], ExitCode.USAGE, "there is no kind 'colour'"),
        (["fetch", "cifar11"], ExitCode.USAGE, "Did you mean 'cifar10'"),
        (["fetch", "image_folder"], ExitCode.USAGE, "needs path"),
    ],
)
def test_mistakes_have_messages_and_codes(ablate, arguments, code, message):
    assert message in ablate(*arguments, code=code).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--device", "gpu"], ExitCode.USAGE, "expected auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], ExitCode.ENVIRONMENT, "Use --device cpu"),
        (["--executor", "lcoal"], ExitCode.USAGE, "Did you mean 'local'"),
        (["--executor", '{"use": "local", "cores": 2}'], ExitCode.USAGE, "executor.cores: there is no such setting"),
        (
            ["--executor", "{"],
            ExitCode.USAGE,
            "--executor: 1 problem\n  line 1, column 1: this { is never closed: a } is missing",
        ),
        (["--set", "base.epochs"], ExitCode.USAGE, "expected PATH=JSON"),
        (["--set", "base.epochs=0"], ExitCode.USAGE, "base.epochs: found 0, expected a whole number ≥ 1"),
        (["--set", 'base.train_transforms={"pad": {"use": "pad", "padding": 1}}'], ExitCode.USAGE, "add `normalize`"),
        (["--set", 'base.dataset={"use": "image_folder", "path": "."}'], ExitCode.ENVIRONMENT, "no class folders with images"),
        (["--jobs", "0"], ExitCode.USAGE, "--jobs"),
        (["--store", "/dev/null/x"], ExitCode.ENVIRONMENT, "cannot be opened as a store"),
        (
            ["--data-dir", "/dev/null/x", "--set", 'base.dataset={"use": "image_folder", "path": "images", "size": 16}'],
            ExitCode.ENVIRONMENT,
            "cannot be written: [Errno 20] Not a directory: '/dev/null/x/image_folder'. Make room there, or choose another place",
        ),
    ],
)
def test_a_run_that_cannot_work_says_so(ablate, spec, write, tmp_path, arguments, code, message):
    for index in range(4):
        place = tmp_path / "images" / ("train", "test")[index % 2] / "ab"[index // 2]
        place.mkdir(parents=True)
        Image.new("L", (16, 16)).save(place / "0.png")
    assert message in ablate("run", write(spec), *arguments, code=code).stderr


def test_missing_data_is_told_before_anything_is_trained(ablate, spec, write, monkeypatch):
    spec["base"]["dataset"] = {"use": "mnist"}
    for name in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    done = ablate("run", write(spec), code=ExitCode.ENVIRONMENT)
    assert "dataset 'mnist' cannot be had" in done.stderr
    assert "Run `ablate fetch`" in done.stderr


def test_hostile_names_are_only_names(ablate, spec, write, in_this_process):
    name = "[red]x[/] <b>|`$a_b$"
    spec["factors"] = {name: {"on": {"model": {"batch_norm": True}}}}
    ran = ablate("run", write(spec | {"question": "\x1b]0;title\x07?", "seeds": 1}), "--device", "cpu")
    assert f"{name}=on" in ran.stdout
    assert "\x1b" not in ran.stdout
    markdown = ablate("report", "tiny", "--format", "markdown").stdout
    assert r"\[red\]x\[/\] &lt;b&gt;\|\`$a\_b$=on" in markdown


def test_a_broken_pipe_is_no_error(write, spec, tmp_path):
    command = f"{sys.executable} -m ablate list | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("kind")
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", ["list", "show metric accuracy --json", "--help"])
def test_output_that_a_full_disk_refuses_is_told(words):
    command = f"{sys.executable} -m ablate {words} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert done.stderr.startswith("error: the output cannot be written: [Errno 28]")
    assert done.stderr.count("\n") == 1


def test_lists_and_pages(ablate):
    listed = json.loads(ablate("list", "metric", "--json").stdout)
    assert {"accuracy", "loss", "top5_accuracy"} <= {component["name"] for component in listed["components"]}
    page = ablate("show", "scheduler", "step").stdout
    assert "step_size" in page
    assert "a number > 0; required" in page
    assert ablate("show", "step").stdout == page
    both = ablate("show", "torchvision").stdout
    assert (both.startswith("model torchvision\n"), both.count("\ntransform torchvision\n")) == (True, 1)
    shown = json.loads(ablate("show", "scheduler", "step", "--json").stdout)
    assert shown["schema"]["required"] == ["step_size"]
    loaded = ablate("list", "--load").stdout
    assert "problem" not in loaded


def test_the_joined_schema_checks_parameters(ablate, spec):
    from jsonschema import Draft202012Validator

    schema = json.loads(ablate("schema").stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert list(validator.iter_errors(spec)) == []
    assert list(validator.iter_errors(spec | {"base": spec["base"] | {"step": None}})) == []
    assert list(validator.iter_errors(spec | {"base": spec["base"] | {"step": {"use": "of no package"}}}))
    spec["base"]["optimizer"]["momentun"] = 0.9
    spec["factors"]["batch_norm"]["on"]["model"] = {"use": "net", "batchnorm": True}
    spec["base"]["scheduler"] = {"use": "cosin"}
    errors = list(validator.iter_errors(spec))
    assert {".".join(map(str, error.path)) for error in errors} >= {"base.optimizer", "base.scheduler.use"}
    assert any("factors" in map(str, error.path) for error in errors)
    program = {"use": "command", "argv": ["train", "{args}"], "metrics": {"score": "maximize"}, "settings": {"lr": 0.1}}
    study = {"name": "program", "base": program, "variants": {"high": {"settings": {"lr": 0.2}}}}
    assert list(validator.iter_errors(study)) == []
    study["variants"]["high"] |= {"batch_size": 3, "metrics": {"score": "maximise"}}
    wrong = {".".join(map(str, error.path)) for error in validator.iter_errors(study)}
    assert wrong == {"variants.high", "variants.high.metrics"}
    study["base"] = {**program, "use": "function"}
    assert {".".join(map(str, error.path)) for error in validator.iter_errors(study)} >= {"base"}


def test_fetch_says_what_there_is(ablate, spec, write):
    assert "digits: 1,437 training, 360 test images of 1×8×8 in 10 classes" in ablate("fetch", "digits").stdout
    assert "160 training, 160 test images" in ablate("fetch", write(spec)).stdout


def test_a_narrow_window_gets_no_table(tmp_path, spec, in_this_process):
    """Every line fits, and the numbers are all there."""
    from rich.console import Console

    import ablate
    from ablate.report.content import page
    from ablate.report.terminal import study_view

    study = ablate.run(spec, store=tmp_path, device="cpu")
    for width in (30, 60, 120):
        console = Console(width=width, record=True, file=(tmp_path / "out").open("w"))
        console.print(study_view(page(study), width))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        assert any("0." in line for line in lines)
        assert any(line.startswith("batch_norm=on") for line in lines)
