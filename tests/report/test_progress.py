"""Progress in narrow and wide terminals, in files, and in notebooks."""

import io
import re

import pytest
from rich.console import Console

from ablate.contracts import Result
from ablate.registry.hooks import CellInfo
from ablate.report import notebook
from ablate.report.progress import display

CELLS = [CellInfo(str(seed), ("optimizer=adam,batch_norm=on",), seed, 10) for seed in range(3)]
RESULT = Result([], {"accuracy": 0.93}, "", 12.0, 1)


def tell(shown, study, cells=CELLS):
    """A run of three cells, of which the last fails."""
    shown.study_start("made", cells, 22)
    for cell in cells:
        shown.cell_start(cell, None)
        for epoch in range(1, 11):
            shown.epoch_end(cell, {"epoch": epoch, "images_per_second": 12_345.6})
        failed = cell is cells[-1]
        error = "RuntimeError: <b>no</b> memory" if failed else None
        shown.cell_end(cell, "failed" if failed else "done", None if failed else RESULT, error, None)
    shown.study_end(study)


@pytest.mark.parametrize("width", [60, 200])
def test_a_terminal_has_a_bar_that_fits(width):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    with display(console) as shown:
        shown.study_start("made", CELLS, 22)
        shown.cell_start(CELLS[0], None)
        for epoch in (1, 2):
            shown.epoch_end(CELLS[0], {"epoch": epoch, "images_per_second": 12_345.6})
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", console.file.getvalue()).splitlines()
    bar = [line for line in lines if "images/s" in line][-1]
    assert len(bar) <= width
    assert re.search(r"0/3 cells, 12,346 images/s, [\d.]+ m?s left$", bar.rstrip())
    assert ("2/30 epochs" in bar) == (width > 80)


def test_a_file_has_a_line_for_each_cell(study):
    console = Console(width=60, file=io.StringIO())
    with display(console) as shown:
        tell(shown, study)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "made: 3 cells to train, 22 stored already"
    assert lines[1].startswith("[1/3] optimizer=adam,batch_norm=on, seed 0: done accuracy 0.9300, 12 s; 1/3 cells")
    assert len(lines) == 4


@pytest.fixture
def outputs(monkeypatch):
    """What a notebook is given: a list for each output, of the states that it had."""
    made = []

    class Handle:
        def __init__(self, states):
            self.states = states

        def update(self, bundle, raw):
            self.states.append(bundle)

    def show(bundle, raw, display_id):
        made.append([bundle])
        return Handle(made[-1])

    monkeypatch.setattr("IPython.display.display", show)
    return made


def test_a_notebook_has_one_output_that_changes(study, outputs):
    console = Console(force_jupyter=True)
    with display(console) as shown:
        tell(shown, study)
    (states,) = outputs
    assert states[0]["text/plain"] == "starting"
    last = states[-1]
    end, failed = last["text/plain"].splitlines()
    assert re.fullmatch(r"made: 12 of 12 cells done; 3 run in [\d.]+ s", end)
    assert failed == "[3/3] optimizer=adam,batch_norm=on, seed 2: failed RuntimeError: <b>no</b> memory"
    assert "&lt;b&gt;no&lt;/b&gt;" in last["text/html"]
    assert "<progress" in states[0]["text/html"]
    assert "<progress" not in last["text/html"]


def test_a_notebook_is_not_flooded(study, outputs, monkeypatch):
    monkeypatch.setattr(notebook, "UPDATE_SECONDS", 3600.0)
    cells = [CellInfo(str(seed), ("x",), seed, 10) for seed in range(50)]
    with display(Console(force_jupyter=True)) as shown:
        tell(shown, study, cells)
    (states,) = outputs
    assert len(states) == 4, "beginning, failure and end are told at once, and 500 epochs are no message each"


def test_a_run_that_fails_leaves_no_bar(outputs):
    with pytest.raises(ValueError, match="wrong"), display(Console(force_jupyter=True)):
        raise ValueError("wrong")
    assert "progress" not in outputs[0][-1]["text/html"]


def test_a_cell_that_resumes_says_from_where(study):
    """The epochs of the earlier sitting count as done, and not for the speed."""
    console = Console(width=200, file=io.StringIO())
    with display(console) as shown:
        shown.study_start("made", CELLS, 0)
        shown.cell_start(CELLS[0], (4, 0))
        shown.cell_start(CELLS[1], (4, 17))
        shown.cell_start(CELLS[2], None)
        shown.cell_end(CELLS[1], "interrupted", None, None, None)
    lines = console.file.getvalue().splitlines()
    assert lines[1:3] == [
        "optimizer=adam,batch_norm=on, seed 0: resumes after epoch 4 of 10",
        "optimizer=adam,batch_norm=on, seed 1: resumes after epoch 4 of 10 and batch 17 of epoch 5",
    ]
    assert lines[3] == "[0/3] optimizer=adam,batch_norm=on, seed 1: interrupted; 0/3 cells"
