"""Jupyter: the example of the documentation, and what happens when a cell is interrupted."""

import re
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

import ablate

EXAMPLE = Path(__file__).parent.parent / "docs" / "notebook.ipynb"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory for a kernel that trains on the CPU, with no settings of the user."""
    for name, value in {"CUDA_VISIBLE_DEVICES": "", "IPYTHONDIR": str(tmp_path), "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ABLATE_STORE", raising=False)
    return tmp_path


def told(cell):
    """What the outputs of a cell say. Numbers differ between processors, and with them the widths of columns."""
    for output in cell.outputs:
        if output.output_type == "error":
            text = "\n".join(output.traceback)
        elif output.output_type == "stream":
            text = output.text if output.name == "stdout" else ""
        else:
            text = output.data["text/plain"] if output.output_type == "execute_result" else ""
            yield sorted(output.data)
        if text:
            yield re.sub(r"[-+]?\d[\d.,]*", "#", text).split()


def test_the_example_runs_and_gives_what_it_shows(place):
    shown = nbformat.read(EXAMPLE, as_version=4)
    nbformat.validate(shown)
    made = nbformat.read(EXAMPLE, as_version=4)
    NotebookClient(made, timeout=240, resources={"metadata": {"path": str(place)}}).execute()
    code = [(old, new) for old, new in zip(shown.cells, made.cells, strict=True) if old.cell_type == "code"]
    for old, new in code:
        assert list(told(new)) == list(told(old)), old.source
    assert sum(len(old.outputs) for old, _ in code) > len(code) / 2, "it was committed executed"


def test_the_example_tells_nothing_of_the_machine_that_it_ran_on():
    text = EXAMPLE.read_text("utf-8")
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/|site-packages|execution\"|T\d\d:\d\d:\d\d", text)


SPEC = {
    "name": "long",
    "base": {
        "dataset": {"use": "digits", "size": 16},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.01},
        "epochs": 100_000,
    },
    "variants": {"other": {"optimizer": {"lr": 0.02}}},
    "seeds": 1,
}
RUN = f"import ablate; ablate.run({SPEC!r}, store='store', jobs=1)"
CHILDREN = "import psutil; print(len([p for p in psutil.Process().children() if 'ablate.executors.worker' in p.cmdline()]))"


def messages(client, code):
    """Runs code in the kernel; its messages, until it has ended."""
    request = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=300)
        if message["parent_header"].get("msg_id") == request:
            yield message["msg_type"], message["content"]
            if message["content"].get("execution_state") == "idle":
                return


def interrupted_at(manager, client, pattern):
    """Runs the study, and interrupts the kernel when progress shows the pattern; returns the match and the error."""
    found = error = None
    outputs = []
    for kind, content in messages(client, RUN):
        text = content["data"]["text/plain"] if "data" in content else ""
        outputs += [kind] if kind == "display_data" else []
        if found is None and (found := re.search(pattern, text)):
            manager.interrupt_kernel()
        error = content["ename"] if kind == "error" else error
    assert outputs == ["display_data"], "progress is one output"
    return found, error


@pytest.mark.timeout(900)  # several starts of torch, on a machine that may be busy
def test_a_cell_that_is_interrupted_keeps_what_it_has_and_goes_on(place):
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(place))
    try:
        _, error = interrupted_at(manager, client, "2 cells to train")  # the workers have not started yet
        assert error == "KeyboardInterrupt"
        early = ablate.load_study("long", store=place / "store").cells
        assert set(early["status"]) <= {"interrupted", "missing"}
        _, error = interrupted_at(manager, client, r"epoch \d+ of")
        assert error == "KeyboardInterrupt"
        first = ablate.load_study("long", store=place / "store")
        assert first.cells["status"].tolist() == ["interrupted", "missing"]
        epochs = len(first.epochs)
        assert epochs >= 1
        found, _ = interrupted_at(manager, client, r"epoch (\d+) of")
        assert int(found[1]) == epochs + 1, "it goes on where it stopped"
        ((_, content),) = [message for message in messages(client, CHILDREN) if message[0] == "stream"]
        assert content["text"] == "0\n", "workers are left"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
