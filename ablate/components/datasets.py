"""Datasets that torchvision downloads, and scikit-learn's digits, which need no download."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock

from ablate.contracts import Data, Environment, Split
from ablate.errors import EnvironmentProblem, describe
from ablate.registry.params import Bound, Fraction, PositiveInt

from .fingerprints import fingerprint, limit_identity, space_error

Make = Callable[..., Any]  # a torchvision dataset class, or a function of (root, train, download) that calls one

SMALLEST_SHARE = 0.06  # of the images that a class has: of those of 10 classes, a digit of SVHN
SILENCE = 60.0  # seconds without a byte after which a server is not waited for


@dataclass(frozen=True)
class Downloaded:
    """One of torchvision's datasets, in a directory of its own under the data directory.

    Attributes:
        environment: Where the data is, and whether it may be downloaded.
        name: Name of the component.
        source: Gives what makes torchvision's object, and torchvision's MD5 sums of the files, which name the content before
            anything is downloaded. Asking it imports torchvision.
        validation: Part of the training images that is held out.
        limit: Largest number of images of each part.
    """

    environment: Environment
    name: str
    source: Callable[[], tuple[Make, Sequence[str]]]
    validation: float
    limit: int | None

    def fingerprint(self) -> str:
        _, checksums = self.source()
        return fingerprint(self.name, *checksums, self.validation, limit_identity(self.limit, SMALLEST_SHARE))

    def training_images(self) -> int | None:
        return self.limit

    def load(self) -> Data:
        from .splits import arrange

        root = self.environment.data_dir / self.name
        try:
            root.mkdir(parents=True, exist_ok=True)
            with FileLock(root / ".lock"):
                train, test = (self._part(str(root), part) for part in (True, False))
        except OSError as error:
            raise space_error(root, error) from error
        names = getattr(train, "classes", None) or [str(digit) for digit in range(10)]
        return arrange(_split(train), _split(test), names, self.validation, self.limit)

    def _part(self, root: str, train: bool) -> Any:
        make, _ = self.source()
        for pickled in Path(root).glob("*/processed/*.pt"):  # of torchvision before 0.8, which reads them still
            raise EnvironmentProblem(
                f"{pickled}: is a pickle, and none is read. Delete it; the dataset is made from its downloads."
            )
        try:
            return make(root, train, False)
        except RuntimeError as missing:
            if not self.environment.download:
                raise self._missing(root, "it is not there") from missing
        except Exception as error:  # files that were changed where they lie, which torchvision reads as what they are not
            raise EnvironmentProblem(
                f"dataset {self.name!r} cannot be read: {describe(error)}. Delete {root} and fetch it."
            ) from error
        try:
            with _sockets_that_give_up(SILENCE):
                return make(root, train, True)
        except Exception as error:  # the network, the server and what it sent may be wrong in any way
            raise self._missing(root, f"downloading it failed: {error}") from error

    def _missing(self, root: str, reason: str) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"dataset {self.name!r} cannot be had: {reason}. Run `ablate fetch` on a machine with a network and copy its data "
            f"directory; the files belong under {root}. Or use 'digits', which is embedded, or 'image_folder' for your own."
        )


@contextmanager
def _sockets_that_give_up(seconds: float) -> Iterator[None]:
    """torchvision sets no limit of its own, and takes none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _split(dataset: Any) -> Split:
    import numpy as np

    images = np.asarray(dataset.data)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    return Split(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64))


def cifar10(environment: Environment, /, *, validation: Fraction = 0, limit: PositiveInt | None = None) -> Downloaded:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32×32×3 in 10 classes.

    Args:
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """

    def source() -> tuple[Make, Sequence[str]]:
        from torchvision.datasets import CIFAR10

        return _with_train(CIFAR10), [checksum for _, checksum in (*CIFAR10.train_list, *CIFAR10.test_list)]

    return Downloaded(environment, "cifar10", source, validation, limit)


def cifar100(environment: Environment, /, *, validation: Fraction = 0, limit: PositiveInt | None = None) -> Downloaded:
    """CIFAR-100 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32×32×3 in 100 classes.

    Args:
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """

    def source() -> tuple[Make, Sequence[str]]:
        from torchvision.datasets import CIFAR100

        return _with_train(CIFAR100), [checksum for _, checksum in (*CIFAR100.train_list, *CIFAR100.test_list)]

    return Downloaded(environment, "cifar100", source, validation, limit)


def mnist(environment: Environment, /, *, validation: Fraction = 0, limit: PositiveInt | None = None) -> Downloaded:
    """MNIST (LeCun et al., 1998): 60,000 training and 10,000 test images of 28×28×1 in 10 classes.

    Args:
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """

    def source() -> tuple[Make, Sequence[str]]:
        from torchvision.datasets import MNIST

        return _with_train(MNIST), [checksum for _, checksum in MNIST.resources]

    return Downloaded(environment, "mnist", source, validation, limit)


def fashion_mnist(environment: Environment, /, *, validation: Fraction = 0, limit: PositiveInt | None = None) -> Downloaded:
    """Fashion-MNIST (Xiao et al., 2017, arXiv 1708.07747): 60,000 training and 10,000 test images of 28×28×1 in 10 classes.

    Args:
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """

    def source() -> tuple[Make, Sequence[str]]:
        from torchvision.datasets import FashionMNIST

        return _with_train(FashionMNIST), [checksum for _, checksum in FashionMNIST.resources]

    return Downloaded(environment, "fashion_mnist", source, validation, limit)


def svhn(environment: Environment, /, *, validation: Fraction = 0, limit: PositiveInt | None = None) -> Downloaded:
    """Street View House Numbers, cropped digits (Netzer et al., 2011): 73,257 training and 26,032 test images of 32×32×3.

    Args:
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """

    def source() -> tuple[Make, Sequence[str]]:
        from torchvision.datasets import SVHN

        def make(root: str, train: bool, download: bool) -> Any:
            return SVHN(root, split="train" if train else "test", download=download)

        return make, [SVHN.split_list[split][2] for split in ("train", "test")]

    return Downloaded(environment, "svhn", source, validation, limit)


def _with_train(dataset: Make) -> Make:
    return lambda root, train, download: dataset(root, train=train, download=download)


for _factory in (cifar10, cifar100, mnist, fashion_mnist, svhn):
    _factory.fixed_content = True  # type: ignore[attr-defined]  # the checksums name it, so fingerprints are remembered


@dataclass(frozen=True)
class Digits:
    """scikit-learn's copy of the UCI handwritten digits."""

    size: int
    channels: int
    validation: float
    limit: int | None

    def fingerprint(self) -> str:
        import numpy as np

        data = self.load()
        splits = [data.train, data.test, *([data.validation] if data.validation else [])]
        arrays = [np.asarray(array) for split in splits for array in (split.images, split.labels)]
        return fingerprint("digits", *(f"{array.shape}" for array in arrays), *(array.tobytes() for array in arrays))

    def training_images(self) -> int:
        return len(self.load().train.labels)

    def load(self) -> Data:
        import numpy as np
        from PIL import Image
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        from .splits import arrange

        digits = load_digits()
        small = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        resized = [
            np.asarray(Image.fromarray(image).resize((self.size, self.size), Image.Resampling.BILINEAR)) for image in small
        ]
        images = np.repeat(np.stack(resized)[:, None], self.channels, axis=1)
        labels = digits.target.astype(np.int64)
        train, test = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0)
        names = [str(digit) for digit in range(10)]
        train_split, test_split = (Split(images[part], labels[part]) for part in (np.sort(train), np.sort(test)))
        return arrange(train_split, test_split, names, self.validation, self.limit)


def digits(
    _: Environment,
    /,
    *,
    size: Annotated[int, Bound(minimum=1, maximum=256)] = 8,
    channels: Literal[1, 3] = 1,
    validation: Fraction = 0,
    limit: PositiveInt | None = None,
) -> Digits:
    """Handwritten digits (UCI, from scikit-learn): 1,437 training and 360 test images in 10 classes, without any download.

    Args:
        size: Height and width; the originals are 8×8, others are resized from them.
        channels: 1, or 3 for the same values three times.
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """
    return Digits(size, channels, validation, limit)
