"""Files that would run code, or that mean more than there is room for, where ablate reads files."""

import io
import json
import os
import pickle
import sqlite3
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.components import datasets, models
from ablate.components.decoded import decoded
from ablate.components.image_folder import image_folder
from ablate.contracts import DataInfo, Environment
from ablate.engine import checkpoint
from ablate.errors import AblateError
from ablate.report.files import directory_of
from ablate.store import Store

DEEP = "[" * 100_000 + "]" * 100_000


class Marks:
    """Unpickled, it makes a file: so one sees that code has run."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


def weights(marker: Path) -> dict[str, bytes]:
    """What may lie under the name of a file of weights or of a checkpoint."""
    saved, bomb = io.BytesIO(), io.BytesIO()
    torch.save({"x": Marks(marker)}, saved)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", b"\0" * 50_000_000)
    shape = json.dumps({"x": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}).encode()
    overlapping = json.dumps({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}).encode()
    return {
        "a pickle": pickle.dumps(Marks(marker)),
        "torch.save": saved.getvalue(),
        "a zip bomb": bomb.getvalue(),
        "a header of 10^12 bytes": struct.pack("<Q", 10**12) + b"{}",
        "a header of 2^64 - 1 bytes": struct.pack("<Q", 2**64 - 1) + b"{}",
        "a deep header": struct.pack("<Q", len(DEEP)) + DEEP.encode(),
        "a header that is no text": struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe",
        "a tensor of 10^12 numbers": struct.pack("<Q", len(shape)) + shape,
        "tensors that overlap": struct.pack("<Q", len(overlapping)) + overlapping + b"\0" * 4,
        "nothing": b"",
        "numpy": _npy(np.array([Marks(marker)], dtype=object)),
    }


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def arrays(marker: Path) -> dict[str, tuple[bytes, bytes]]:
    """Images and labels that a cache may have."""
    images, labels = np.zeros((2, 1, 8, 8), np.uint8), np.zeros(2, np.int64)
    evil = np.array([Marks(marker), Marks(marker)], dtype=object)
    large = _npy(images).replace(b"(2, 1, 8, 8)", b"(9**9,1,8,8)")
    return {
        "images that are objects": (_npy(evil), _npy(labels)),
        "labels that are objects": (_npy(images), _npy(evil)),
        "a pickle": (pickle.dumps(Marks(marker)), _npy(labels)),
        "labels of another length": (_npy(images), _npy(np.zeros(3, np.int64))),
        "floats": (_npy(images.astype(np.float32)), _npy(labels)),
        "a header that calculates": (large, _npy(labels)),
        "a header that calls": (_npy(images).replace(b"'fortran_order': False", b"'fortran_order':open() "), _npy(labels)),
        "nothing": (b"", b""),
    }


def images() -> dict[str, bytes]:
    """What may lie under the name of an image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(side: int, *more: bytes) -> bytes:
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")

    return {
        "a picture of 10^9 pixels": png(40_000),
        "a picture of 2^62 pixels": png(2**31 - 1),
        "a text of 200 MB": png(8, *[chunk(b"zTXt", b"x\0\0" + zlib.compress(b"\0" * 10_000_000)) for _ in range(20)]),
        "a colour profile of 100 MB": png(8, chunk(b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 100_000_000))),
        "a picture that ends early": png(64)[:60],
        "a script": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file closefile\n",
        "nothing": b"",
    }


def stores() -> dict[str, str]:
    """What a stranger's store may have beside a study `s`, as SQL; the last ones replace what is read."""
    record = {"question": "", "metrics": [], "variants": [], "published": {}, "compare": {}}
    return {
        "a trigger": "CREATE TRIGGER t AFTER DELETE ON studies BEGIN DELETE FROM cells; END",
        "a view": "ALTER TABLE cells RENAME TO c; CREATE VIEW cells AS SELECT * FROM c",
        "an endless view": "DROP TABLE study_cells; CREATE VIEW study_cells AS "
        "WITH RECURSIVE n(study, position, variant, seed, key) AS "
        "(SELECT 's', 1, 'v', 1, 'k' UNION ALL SELECT study, position + 1, variant, seed, key FROM n) SELECT * FROM n",
        "a view that loads code": "CREATE VIEW v AS SELECT load_extension('/tmp/x')",
        "deep JSON": f"UPDATE studies SET plan = '{DEEP}'",
        "no JSON": "UPDATE studies SET plan = 'x'",
        "JSON of another form": "UPDATE studies SET plan = '[1, 2]'",
        "JSON without the rest": f"UPDATE studies SET plan = '{json.dumps(record)}'",
        "a million digits": f"UPDATE studies SET plan = '{'9' * 1_000_000}'",
        "a value of 300 MB": "UPDATE studies SET plan = replace(hex(zeroblob(150000000)), '0', '[')",
    }


def tried(folder: Path) -> Iterator[tuple[str, str]]:
    """What each file was answered with: its name, and `refused`, `ran code`, or what else happened."""
    marker, info = folder / "marker", DataInfo(3, 32, 32, 10)
    for name, content in weights(marker).items():
        path = folder / "w.safetensors"
        path.write_bytes(content)
        yield f"weights: {name}", _answer(lambda p=path: models.torchvision(info, arch="resnet18", weights_path=str(p)), marker)
        yield f"checkpoint: {name}", _answer(lambda p=path: checkpoint.load(p, "key", torch.device("cpu")), marker)
    for name, state in (("deep", DEEP), ("of another form", '{"__dict__": [[{"__dict__": []}, 1]]}'), ("no text", "[1")):
        checkpoint.save_file({}, path, metadata={"format": checkpoint.FORMAT, "key": "key", "state": state})
        yield (
            f"checkpoint: a state that is {name}",
            _answer(lambda p=path: checkpoint.load(p, "key", torch.device("cpu")), marker),
        )
    for name, (pixels, labels) in arrays(marker).items():
        (folder / "images.npy").write_bytes(pixels)
        (folder / "labels.npy").write_bytes(labels)
        yield f"cache: {name}", _answer(lambda: decoded(folder), marker)
    for index, (name, content) in enumerate(images().items()):
        root = folder / f"images{index}"
        for part in ("train/a", "train/b", "test/a", "test/b"):
            (root / part).mkdir(parents=True)
            (root / part / "x.png").write_bytes(content)
        environment = Environment(folder / "data", download=False)
        yield f"image: {name}", _answer(lambda r=root, e=environment: image_folder(e, path=str(r), size=8).load(), marker)
    for index, (name, sql) in enumerate(stores().items()):
        place = folder / f"store{index}"
        with Store(place) as store:
            store.save_study("s", {}, {}, [])
        with sqlite3.connect(place / "store.sqlite") as db:
            db.executescript(sql)
        db.close()
        yield f"store: {name}", _answer(lambda p=place: _read(p), marker)
    legacy = folder / "data" / "mnist" / "MNIST" / "processed"
    legacy.mkdir(parents=True)
    for part in ("training.pt", "test.pt"):
        (legacy / part).write_bytes(pickle.dumps(Marks(marker)))
    yield (
        "dataset: a pickle of an old torchvision",
        _answer(lambda: datasets.mnist(Environment(folder / "data", False)).load(), marker),
    )
    for name in ("../x", "..", "", "/etc/x", "a/b", "a\0b"):
        yield f"a study called {name!r}", _answer(lambda n=name: directory_of(folder, n), marker)


def _read(place: Path) -> None:
    with Store(place, create=False) as store:
        store.study("s")


def _answer(act: Callable[[], object], marker: Path) -> str:
    try:
        act()
        said = "taken"
    except AblateError:
        said = "refused"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    return "ran code" if marker.exists() else said


WATCH = """
import os, sys

def tell(event):
    frame, lines = sys._getframe(2), []
    while frame:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    with open(os.environ["WATCHED"], "a") as file:
        file.write(event + " " + " < ".join(lines[:12]) + chr(10))

def watch(event, arguments):
    if event == "pickle.find_class":
        tell(f"{event} {arguments}")

sys.addaudithook(watch)
import pickle

class Unpickler(pickle.Unpickler):
    def __init__(self, *arguments, **named):
        tell("pickle.Unpickler")
        super().__init__(*arguments, **named)

pickle.Unpickler = Unpickler
for name in ("load", "loads"):
    def called(*arguments, _name=name, _inner=getattr(pickle, name), **named):
        tell(f"pickle.{_name}")
        return _inner(*arguments, **named)
    setattr(pickle, name, called)
tell("watching")
"""


def unpickled(spec: dict[str, Any], folder: Path) -> tuple[list[str], int]:
    """Every call of pickle's readers in a run with its workers and its report; and how many processes were watched."""
    site, log = folder / "site", folder / "watched"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WATCH)
    (folder / "spec.json").write_text(json.dumps(spec))
    environment = {**os.environ, "PYTHONPATH": str(site), "WATCHED": str(log), "ABLATE_DATA_DIR": str(folder / "data")}
    command = [sys.executable, "-m", "ablate", "run", "spec.json", "--device", "cpu", "--jobs", "2"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = log.read_text().splitlines()
    return [line for line in lines if not line.startswith("watching")], sum(line.startswith("watching") for line in lines)
