"""Datasets from a server that sends what it likes."""

import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ._names import serving

FETCH = """
import json, sys
from pathlib import Path
from torchvision.datasets import CIFAR10, MNIST
settings = json.loads(sys.argv[1])
MNIST.mirrors = [settings["address"] + "/"]
MNIST.resources = [tuple(resource) for resource in settings["resources"]]
CIFAR10.url = settings["address"] + "/cifar.tar.gz"
from ablate.components import datasets
datasets.SILENCE = 2.0
from ablate.errors import EnvironmentProblem
from ablate.contracts import Environment
try:
    data = getattr(datasets, settings["dataset"])(Environment(Path(settings["folder"]))).load()
    print("loaded", len(data.train.labels), int(data.train.images.sum()))
except EnvironmentProblem as error:
    print("refused", str(error)[:200])
"""


def files() -> dict[str, bytes]:
    """MNIST as its server has it, with three images of each part."""
    pixels = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).tobytes()
    images, labels = struct.pack(">IIII", 2051, 3, 28, 28) + pixels, struct.pack(">II", 2049, 3) + bytes([7, 0, 9])
    kinds = {"images-idx3": images, "labels-idx1": labels}
    return {f"{part}-{kind}-ubyte.gz": gzip.compress(data, mtime=0) for part in ("train", "t10k") for kind, data in kinds.items()}


def archive() -> bytes:
    """A tar that writes outside of its folder, by name, by absolute name, and through links."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name in ("../escaped", "../../escaped", "/tmp/ablate-escaped", "cifar-10-batches-py/../../../escaped"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("cifar-10-batches-py")
        link.type, link.linkname = tarfile.SYMTYPE, "../.."
        tar.addfile(link)
    return made.getvalue()


def served() -> dict[str, tuple[str, dict[str, bytes | None]]]:
    """What a server may send, by what is wrong with it: the dataset that is asked for, and the files; `None` is never sent."""
    good = files()
    first = next(iter(good))
    truncated = {name: data[: len(data) // 2] for name, data in good.items()}
    swapped = {**good, first: gzip.compress(b"other")}
    page = dict.fromkeys(good, b"<html>Sign in</html>")
    return {
        "truncated": ("mnist", truncated),
        "swapped": ("mnist", swapped),
        "a page to sign in": ("mnist", page),
        "nothing": ("mnist", {}),
        "a file that does not come": ("mnist", {**good, first: None}),
        "a bomb": ("mnist", {**good, first: gzip.compress(b"\0" * 100_000_000)}),
        "an archive that writes outside": ("cifar10", {"cifar.tar.gz": archive()}),
        "an archive that is none": ("cifar10", {"cifar.tar.gz": b"x" * 1000}),
    }


def fetch(folder: Path, address: str, dataset: str = "mnist") -> "subprocess.Popen[str]":
    """A process that wants the dataset; it knows the sums of the true files."""
    resources = [[name, hashlib.md5(data, usedforsecurity=False).hexdigest()] for name, data in files().items()]
    settings = {"address": address, "resources": resources, "folder": str(folder), "dataset": dataset}
    environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    command = [sys.executable, "-c", FETCH, json.dumps(settings)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def answers(folder: Path, names: list[str]) -> Iterator[tuple[str, str]]:
    """How each bad server was answered; all that was written lies under the data directory."""
    for index, name in enumerate(names):
        dataset, sent = served()[name]
        place = folder / f"{index}" / "data"
        place.parent.mkdir()
        with serving({f"/{path}": data for path, data in sent.items()}) as (address, _):
            said, log = fetch(place, address, dataset).communicate(timeout=600)
        outside = [
            path for path in (*place.parent.iterdir(), *folder.glob("escaped*"), Path("/tmp/ablate-escaped")) if path.exists()
        ]
        outside.remove(place)
        yield name, said.strip() + "".join(f" wrote {path}" for path in outside) + (log[-500:] if not said else "")
        if name == "truncated":  # the true server afterwards
            with serving({f"/{path}": data for path, data in files().items()}) as (address, _):
                said, log = fetch(place, address, dataset).communicate(timeout=600)
            yield "the true server afterwards", said.strip() or log[-500:]


def together(folder: Path, processes: int) -> tuple[list[str], list[str]]:
    """What so many processes say that want one dataset at once, and which files the server was asked for."""
    with serving({f"/{name}": data for name, data in files().items()}) as (address, asked):
        running = [fetch(folder, address) for _ in range(processes)]
        said = [process.communicate(timeout=900)[0].strip() for process in running]
    return said, asked
