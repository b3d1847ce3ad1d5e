"""Exit codes where the output is closed, full, no longer read or without a character, or where the user has no home."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ablate import places
from ablate.errors import ExitCode, UsageError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="descriptors are redirected by a POSIX shell")


def shell(command, cwd, **environment):
    """A command line of bash in which `ablate` is this one."""
    program = f'ablate() {{ "{sys.executable}" -m ablate "$@"; }}\n{command}'
    return subprocess.run(["bash", "-c", program], capture_output=True, cwd=cwd, env={**os.environ, **environment})


@pytest.fixture
def ready(spec, write, tmp_path):
    write(spec)
    return tmp_path


@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_what_is_closed_is_not_wanted(ready, redirected):
    if "full" in redirected and not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    done = shell(f"ablate check spec.json {redirected}", ready)
    assert (done.returncode, done.stderr) == (ExitCode.OK, b"")
    assert shell(f"ablate check nothing.json {redirected}", ready).returncode == ExitCode.USAGE


def test_a_run_whose_output_is_lost_stores_everything(ready):
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    done = shell("ablate run spec.json --device cpu --jobs 1 >/dev/full", ready)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert b"error: the output cannot be written: [Errno 28]" in done.stderr
    assert (ready / "ablate-store" / "reports" / "tiny" / "report.html").is_file()
    assert json.loads(shell("ablate status --json", ready).stdout)["studies"][0]["done"] == 4


def test_a_reader_that_leaves_is_no_error(ready):
    """What it has not read is lost, and nothing else."""
    done = shell("ablate schema | head -n 1; echo ${PIPESTATUS[0]}", ready)
    assert done.stdout == b"{\n0\n"
    assert done.stderr == b""


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_characters_that_cannot_be_shown_are_replaced(ready, environment):
    done = shell("ablate check spec.json", ready, **environment)
    assert (done.returncode, done.stderr) == (ExitCode.OK, b"")
    assert b"model.batch_norm: false ? true" in done.stdout


def test_what_programs_read_is_utf_8_wherever_it_goes(ready):
    done = shell("ablate check spec.json --json", ready, PYTHONIOENCODING="ascii")
    assert "false → true" in json.loads(done.stdout.decode())["variants"][1]["changes"][0]


def test_a_user_without_a_home_has_data_beside_the_store(monkeypatch, tmp_path):
    def unknown(*_):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv(places.DATA, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", unknown)
    monkeypatch.setattr(Path, "expanduser", lambda path: unknown() if str(path).startswith("~") else path)
    monkeypatch.chdir(tmp_path)
    assert places.data_dir() == tmp_path / "ablate-data"
    with pytest.raises(UsageError, match="Give the path without ~, or set HOME"):
        places.store_dir("~/store")


def test_a_home_that_cannot_be_written_to_is_not_spoken_of(tmp_path):
    home = tmp_path / "home"
    home.write_text("a file, in which no folder of settings can be made")
    code = "from ablate.cli import output; output.prepare(); import matplotlib; matplotlib.get_configdir()"
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("MPLCONFIGDIR", None)
    environment.pop("XDG_CONFIG_HOME", None)
    environment.pop("XDG_CACHE_HOME", None)
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("", "")
