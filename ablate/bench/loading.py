"""One way to load photographs for training: decode, random_resized_crop(224), flip, normalise, in batches of 64.

python -m ablate.bench.loading 'ablate, encoded' FOLDER

The folder has the photographs, and the records that `ablate.bench.photographs` made of them. Prints the number of images, the CPU
seconds of this process and of those that it started, the memory that loading took in MiB, and a digest of some of the pixels
that came out.
"""

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SIDE, BATCH, CHUNK = 224, 64, 384
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRANSFORMS: Mapping[str, Any] = {
    "crop": {"use": "random_resized_crop", "size": SIDE},
    "flip": {"use": "random_horizontal_flip"},
    "normalize": {"use": "normalize", "mean": list(MEAN), "std": list(STD)},
}


def ours(folder: Path, kept: str, batch: int = BATCH, chunk: int = CHUNK) -> Iterator[Tensor]:
    """As the engine does it, from records that are kept `encoded` or `decoded`."""
    from ablate.components.recorded import recorded
    from ablate.engine.ahead import Ahead
    from ablate.engine.pipeline import Pipeline
    from ablate.errors import checked
    from ablate.registry import build, default
    from ablate.spec.recipe import resolve_component

    photographs: Any = recorded(folder / kept).images
    specs = {name: checked(resolve_component(default(), "transform", spec, name))[0] for name, spec in TRANSFORMS.items()}
    pipeline = Pipeline({name: build(default(), "transform", spec) for name, spec in specs.items()}, "train", 2)
    head = pipeline.head()
    ahead, rest = Ahead(photographs, head, 0), pipeline.without(list(head.transforms))
    chunks = torch.arange(len(photographs)).split(chunk)
    for number, places in enumerate(chunks):
        images = ahead.take(0, number, places.tolist())
        if number + 1 < len(chunks):
            ahead.begin(0, number + 1, chunks[number + 1].tolist())
        images, _ = rest.on_chunk(images, places, 0, 0, number)
        yield from map(rest.on_batch, images.split(batch))


def scripts(folder: Path, decoder: str, workers: int) -> Iterator[Tensor]:
    """A script's Dataset and DataLoader with torchvision's transforms: on PIL images, or on the tensors that a decoder gives."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    on_pil = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    on_tensors = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    crop: list[Any] = [v2.RandomResizedCrop(SIDE, antialias=True), v2.RandomHorizontalFlip()]
    loader: Any = {"PIL": pil, "simplejpeg": by_simplejpeg, "torchcodec": by_torchcodec}[decoder]
    transform = v2.Compose([*crop, *(on_pil if decoder == "PIL" else on_tensors)])
    dataset = ImageFolder(str(folder / "files"), transform, loader=loader)
    for images, _ in DataLoader(dataset, BATCH, shuffle=True, num_workers=workers):
        yield images


def pil(path: str) -> Any:
    from PIL import Image

    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def by_simplejpeg(path: str) -> Tensor:
    import simplejpeg

    return torch.from_numpy(simplejpeg.decode_jpeg(Path(path).read_bytes())).permute(2, 0, 1)


def decoded_alone(folder: Path) -> Iterator[Tensor]:
    """The pixels of each whole photograph, of which nothing is made: what no way can do without that decodes whole ones."""
    for path in sorted((folder / "files" / "all").iterdir()):
        yield by_simplejpeg(str(path))[None]


def by_torchcodec(path: str) -> Any:
    from torchcodec import decoders as image

    return image.decode_jpeg(torch.frombuffer(bytearray(Path(path).read_bytes()), dtype=torch.uint8))


def timms(folder: Path) -> Iterator[Tensor]:
    """timm's own loader, as its training script sets it up for these transforms."""
    from timm.data.dataset_factory import create_dataset
    from timm.data.loader import create_loader

    loader = create_loader(
        create_dataset("", str(folder / "files"), is_training=True),
        (3, SIDE, SIDE),
        BATCH,
        is_training=True,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=1,
        use_prefetcher=False,
        persistent_workers=False,
    )
    for images, _ in loader:
        yield images


WAYS: Mapping[str, Callable[[Path], Iterator[Tensor]]] = {
    "ablate, encoded": partial(ours, kept="encoded"),
    "ablate, decoded": partial(ours, kept="decoded"),
    "DataLoader, PIL": partial(scripts, decoder="PIL", workers=1),
    "timm": timms,
    "DataLoader, simplejpeg": partial(scripts, decoder="simplejpeg", workers=1),
    "DataLoader, torchcodec": partial(scripts, decoder="torchcodec", workers=1),
    "decoding alone": decoded_alone,
}


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def main(way: str, folder: Path) -> None:
    torch.set_num_threads(1)
    first = WAYS[way](folder)
    next(first)  # what is imported and made once
    at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in first:  # to its end, so that nothing that was begun ahead is left to be counted
        pass
    digest, count, before = hashlib.sha256(), 0, _cpu_seconds()
    for images in WAYS[way](folder):
        digest.update(str(images[..., ::16, ::16].double().sum().item()).encode())  # of all it takes 0.8 ms an image
        count += len(images)
    took = _cpu_seconds() - before
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first) / 1024
    print(json.dumps({"images": count, "seconds": took, "memory": memory, "digest": digest.hexdigest()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
