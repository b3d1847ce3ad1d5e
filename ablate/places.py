"""Where the store and the data are, and what cells run on: a flag, an environment variable, or the default."""

import ctypes
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import EnvironmentProblem, UsageError
from .machine import no_kernels

STORE = "ABLATE_STORE"
DATA = "ABLATE_DATA_DIR"
SPEC_SUFFIXES = (".json", ".jsonc")  # of files that are specs; the second may have comments, and is as strict besides
MOUNTS = Path("/proc/self/mountinfo")  # of Linux, see proc(5)
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "fuse.sshfs", "fuse.glusterfs")


def store_dir(given: Path | str | None = None) -> Path:
    """The directory of the run store: `ablate-store` in the working directory unless given."""
    return expanded(given or os.environ.get(STORE) or "ablate-store")


def expanded(path: Path | str) -> Path:
    """The path with `~` as the home directory.

    Raises:
        UsageError: Nobody knows the home directory, such as that of a container's user who is in no list of users.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: {error} Give the path without ~, or set HOME.") from None


def network_file_system(directory: Path) -> str | None:
    """The type of the network file system that a directory is on; None where it is local, or the system does not say."""
    if not MOUNTS.exists():
        return None
    device = directory.stat().st_dev
    for line in MOUNTS.read_text(errors="replace").splitlines():
        mount, _, file_system = line.partition(" - ")
        kind = file_system.split()[0]
        if mount.split()[2] == f"{os.major(device)}:{os.minor(device)}" and kind in NETWORK:
            return kind
    return None


def data_dir(given: Path | str | None = None) -> Path:
    """The directory of datasets: the user's cache unless given, or `ablate-data` here where the user has no home directory."""
    return expanded(given or os.environ.get(DATA) or _cached_data()).absolute()


def _cached_data() -> Path:
    from platformdirs import user_cache_path

    try:
        return user_cache_path("ablate") / "data"
    except RuntimeError:  # neither HOME, nor an entry in the list of users
        return Path("ablate-data")


def device_of(name: str) -> str:
    """The device that `auto`, `cpu`, `cuda`, `mps` or `xpu` means on this machine; `cuda` and `xpu` may have a number behind.

    Raises:
        UsageError: There is no such name.
        EnvironmentProblem: There is no such device.
    """
    kind, _, index = name.partition(":")
    if name == "cpu":
        return name
    if kind not in ("auto", "cuda", "mps", "xpu") or (index and not index.isdigit()) or (kind in ("auto", "mps") and index):
        raise UsageError(f"device {name!r}: expected auto, cpu, cuda or cuda:N, or mps, xpu or xpu:N, which are untried.")
    if kind == "auto" and not gpu_possible():
        return "cpu"
    import torch

    if kind in ("mps", "xpu"):
        there = torch.accelerator.current_accelerator(check_available=True)
        if there is None or there.type != kind or int(index or 0) >= torch.accelerator.device_count():
            has = "no accelerator" if there is None else f"{torch.accelerator.device_count()} of {there.type}"
            raise EnvironmentProblem(f"device {name!r}: this machine has {has} that torch can use. Use --device cpu.")
        return name
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return "cuda" if count and not no_kernels(0) else "cpu"
    if int(index or 0) >= count:
        raise EnvironmentProblem(f"device {name!r}: this machine has {count} CUDA devices that torch can use. Use --device cpu.")
    if why := no_kernels(int(index or 0)):
        raise EnvironmentProblem(f"device {name!r}: {why}. {ANOTHER_BUILD} Or use --device cpu.")
    return name


ANOTHER_BUILD = "Install a build of torch that has, see https://pytorch.org/get-started/locally."


def passed_over(name: str) -> str:
    """Why `auto` means the CPU on a machine with a GPU; empty where it does not, or another device was asked for."""
    if name != "auto" or not gpu_possible():
        return ""
    import torch

    why = no_kernels(0) if torch.cuda.is_available() else ""
    return why and f"trained on the CPU: {why}. {ANOTHER_BUILD}"


def gpu_possible() -> bool:
    """Whether torch, which takes seconds to import, may find a GPU: not where it is built for CUDA and there is no driver."""
    if sys.platform != "linux" or not _built_for_cuda():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _built_for_cuda() -> bool:
    """Whether torch's own record of its build says that it is for CUDA; read as text, because importing it imports torch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        text = Path(spec.origin).with_name("version.py").read_text("utf-8")
    except (OSError, ValueError):
        return False
    return bool(re.search(r"^cuda\b[^=]*= '", text, re.MULTILINE)) and not re.search(r"^hip\b[^=]*= '", text, re.MULTILINE)


CELLS_ON_GPU = 16  # that take turns in one process, as far as memory allows


def likely_workers(jobs: int | None, device: str) -> int:
    """Worker processes as far as one can tell before torch is imported and a recipe is read."""
    if device.startswith("cuda") or (device == "auto" and Path("/dev/nvidiactl").exists()):
        return 1
    return jobs_of(jobs, "cpu", threads=1)


def jobs_of(jobs: int | None, device: str, threads: int) -> int:
    """Cells at once: as many as asked for, or one for each free core on a CPU and `CELLS_ON_GPU` on a GPU."""
    if jobs is not None:
        return jobs
    if device != "cpu":
        return CELLS_ON_GPU
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)
