"""Every built-in component keeps the contract of its kind.

The classes are made from the registry: a new component is among them by itself, and fails where it needs an entry in `TRIED`.
"""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from ablate.contracts import Environment
from ablate.registry import KINDS, default
from ablate.testing import CONTRACTS, DatasetContract
from ablate.testing.initializers import network

LABELS = np.arange(10, dtype=np.int64).repeat(4)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


def cifar(folder: Path, parts: dict[str, str], label: str, meta: dict[str, list[str]]) -> None:
    """Batches as torchvision reads them, with forty images each."""
    folder.mkdir(parents=True)
    rows = {"data": PIXELS.transpose(0, 3, 1, 2).reshape(40, -1), label: LABELS.tolist()}
    for name in parts:
        (folder / name).write_bytes(pickle.dumps(rows))
    (folder / meta.pop("file")[0]).write_bytes(pickle.dumps(meta))


def cifar10_files(data_dir: Path) -> None:
    parts = dict.fromkeys([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"], "")
    names = {"file": ["batches.meta"], "label_names": [f"class {label}" for label in range(10)]}
    cifar(data_dir / "cifar10" / "cifar-10-batches-py", parts, "labels", names)


def cifar100_files(data_dir: Path) -> None:
    names = {"file": ["meta"], "fine_label_names": [f"class {label}" for label in range(100)]}
    cifar(data_dir / "cifar100" / "cifar-100-python", {"train": "", "test": ""}, "fine_labels", names)


def idx_files(name: str, torchvisions: str, data_dir: Path) -> None:
    raw = data_dir / name / torchvisions / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        images = struct.pack(">IIII", 2051, 40, 28, 28) + PIXELS[:, :28, :28, 0].tobytes()
        labels = struct.pack(">II", 2049, 40) + LABELS.astype(np.uint8).tobytes()
        for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
            (raw / f"{part}-{kind}-ubyte").write_bytes(content)
            (raw / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))


def svhn_files(data_dir: Path) -> None:
    folder = data_dir / "svhn"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        savemat(folder / f"{part}_32x32.mat", {"X": PIXELS.transpose(1, 2, 3, 0), "y": LABELS[:, None]})


def class_folders(data_dir: Path) -> None:
    for index, pixels in enumerate(PIXELS):
        place = data_dir / "folders" / ("test" if index % 5 == 0 else "train") / f"class {index % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{index}.png")


FILES = {
    "cifar10": cifar10_files,
    "cifar100": cifar100_files,
    "mnist": lambda data_dir: idx_files("mnist", "MNIST", data_dir),
    "fashion_mnist": lambda data_dir: idx_files("fashion_mnist", "FashionMNIST", data_dir),
    "svhn": svhn_files,
    "image_folder": class_folders,
}


@pytest.fixture
def environment(self, tmp_path, monkeypatch):
    """Files as each dataset reads them, a few images large; so torchvision has to take them for the whole ones."""
    from torchvision.datasets import cifar, svhn

    for module in (cifar, svhn):
        monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())
    name = self.component["use"].rpartition(":")[2]
    if name in FILES:
        FILES[name](tmp_path / "data")
    if name == "image_folder":
        self.component = {**self.component, "path": str(tmp_path / "data" / "folders")}
    return Environment(tmp_path / "data", download=False)


PROGRAMS = Path(__file__).parent / "programs"
DECLARED = {"metrics": {"score": "maximize"}, "epochs": 3, "settings": {"scale": 2.0}}
NORMALIZE = {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}


def table_of_runs(self, folder):
    rows = [f"{optimizer},{seed},{0.8 + seed / 100}" for optimizer in ("sgd", "adam") for seed in range(3)]
    (folder / "runs.csv").write_text("\n".join(["optimizer,seed,accuracy", *rows]))
    return folder / "runs.csv"


def store_of_runs(self, folder):
    """A store as `ablate run` leaves it, of results that no training took time for."""
    from ablate.contracts import Result
    from ablate.runner.job import Options, prepare, save
    from ablate.store import Store

    normalize = {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}
    base = {
        "dataset": {"use": "digits", "size": 16},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.1},
        "epochs": 1,
    }
    base |= {"train_transforms": normalize, "eval_transforms": normalize}
    spec = {"name": "stored", "base": base, "factors": {"bn": {"on": {"model": {"batch_norm": True}}}}, "seeds": 2}
    job = prepare(spec, (), Options(folder / "store", folder / "data", device="cpu"))
    with Store(folder / "store") as store:
        save(job, store, print, [])
        for cell in job.cells:
            assert store.claim(cell.cell, {}) == "claimed"
            epoch = {
                "epoch": 1,
                "train_loss": 0.5,
                "images_per_second": 9.0,
                "accuracy": 0.9 + cell.seed / 100,
                "lr": 0.1,
                "seconds": 1.0,
            }
            store.finish(cell.cell.key, Result([epoch], {"accuracy": epoch["accuracy"]}, "0" * 64, 1.0, 10))
    return folder / "store"


def file_of_weights(self, tmp_path):
    """A file for the network that initializers are tried with."""
    torch.save(network().state_dict(), tmp_path / "weights.pth")
    self.component = {**self.component, "path": str(tmp_path / "weights.pth")}


RGB_UINT8 = {"dtypes": ("uint8",), "recolors": True}
TRIED = {  # what the registry cannot know: required parameters, and what a component is for
    ("trainer", "image_classification"): {
        "component": {
            "dataset": {"use": "digits", "size": 16, "limit": 64, "validation": 0.25},
            "train_transforms": {"crop": {"use": "random_crop", "size": 16, "padding": 2}, **NORMALIZE},
            "eval_transforms": NORMALIZE,
            "model": {"use": "net", "dropout": 0.2},
            "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
            "ema": 0.9,
            "accumulate": 2,
            "batch_size": 16,
            "epochs": 2,
            "eval_split": "validation",
            "select": "loss",
        }
    },
    ("trainer", "command"): {
        "component": {
            **DECLARED,
            "argv": ["{python}", str(PROGRAMS / "program.py"), "--seed", "{seed}", "{args}"],
            "code": [str(PROGRAMS / "program.py")],
        }
    },
    ("trainer", "function"): {"component": {**DECLARED, "call": f"{PROGRAMS / 'called.py'}:main"}},
    ("model", "net"): {"component": {"dropout": 0.2, "batch_norm": True}},
    ("model", "torchvision"): {"component": {"arch": "shufflenet_v2_x0_5"}, "image_shapes": ((3, 32, 32), (3, 48, 40))},
    ("optimizer", "sgd"): {"component": {"momentum": 0.9, "weight_decay": 0.01}},
    ("optimizer", "layerwise"): {"component": {"optimizer": {"use": "sgd", "lr": 0.05}, "decay": 0.9}},
    ("scheduler", "step"): {"component": {"step_size": 3}},
    ("scheduler", "multistep"): {"component": {"milestones": [2, 3]}},
    ("scheduler", "exponential"): {"component": {"gamma": 0.9}},
    ("scheduler", "linear"): {"component": {"warmup_epochs": 1, "per": "step"}},
    ("transform", "normalize"): {"component": {"mean": [0.5], "std": [0.2, 0.3, 0.4]}, "output_dtype": "float32"},
    ("transform", "grayscale"): {"output_shape": (1, 32, 32)},
    ("transform", "resize"): {"component": {"size": [24, 40]}, "output_shape": (3, 24, 40)},
    ("transform", "center_crop"): {"component": {"size": 24}, "output_shape": (3, 24, 24)},
    ("transform", "pad"): {"component": {"padding": 2}, "output_shape": (3, 36, 36)},
    ("transform", "random_crop"): {"component": {"size": 28, "padding": 4}, "output_shape": (3, 28, 28)},
    ("transform", "random_resized_crop"): {"component": {"size": [24, 20]}, "output_shape": (3, 24, 20)},
    ("transform", "random_affine"): {"component": {"degrees": 20, "shear": [5, 5], "interpolation": "bilinear"}},
    ("transform", "gaussian_blur"): {"component": {"kernel_size": 5}},
    ("transform", "posterize"): {"component": {"bits": 3}},
    ("transform", "random_rotation"): {"component": {"degrees": 30, "interpolation": "bilinear"}},
    ("transform", "color_jitter"): {"component": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}},
    ("transform", "random_apply"): {"component": {"transforms": {"flip": {"use": "random_horizontal_flip"}}, "p": 0.7}},
    ("transform", "torchvision"): {"component": {"name": "RandomAffine", "arguments": {"degrees": 20}}},
    ("transform", "auto_augment"): RGB_UINT8,
    ("transform", "rand_augment"): RGB_UINT8,
    ("transform", "trivial_augment"): RGB_UINT8,
    ("transform", "augmix"): RGB_UINT8,
    ("metric", "torchmetrics"): {"component": {"name": "multiclass_f1_score", "arguments": {"average": "macro"}}},
    ("design", "cumulative"): {"component": {"orders": 2}},
    ("design", "add_one_in"): {"reference": "changed"},
    ("design", "screening"): {"levels": ((2, 2, 2, 2), (2, 2, 2, 2, 2, 2))},
    ("dataset", "digits"): {"component": {"size": 12}},
    ("source", "table"): {"write": table_of_runs, "runs": 6},
    ("source", "ablate"): {"write": store_of_runs, "runs": 4},
}


def contract(kind: str, name: str, use: str) -> type:
    tried = dict(TRIED.get((kind, name), {}))
    attributes = {**tried, "component": {"use": use, **tried.get("component", {})}}
    if CONTRACTS[kind] is DatasetContract:
        attributes["environment"] = environment
    if name == "weights":
        attributes["file_of_weights"] = pytest.fixture(autouse=True)(file_of_weights)
    title = f"{kind} {name}".title().replace(" ", "").replace("_", "")
    return type(f"Test{title}", (CONTRACTS[kind],), {**attributes, "__module__": __name__})


BUILT_IN = [c for kind in KINDS for c in default().all(kind) if c.distribution == "ablate-core"]
for component in BUILT_IN:
    made = contract(component.kind, component.name, component.qualified_name)
    globals()[made.__name__] = made


def test_every_kind_has_a_contract_and_every_entry_a_component():
    assert set(CONTRACTS) == set(KINDS)
    assert set(TRIED) <= {(component.kind, component.name) for component in BUILT_IN}
