"""What the `datasets` library opens, as labels and encoded images."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import DiskProblem
from ablate.plugin import EnvironmentProblem

PARTS = ("train", "test")


def labels_of(splits: Sequence[Any], column: str, path: str) -> tuple[list[str], list[list[int]], list[str]]:
    """The names of the classes, the labels of each split, and what there is to say.

    Classes are those of a `ClassLabel`, or the distinct values of the training split, sorted.
    """
    from datasets import ClassLabel

    values = [list(split.select_columns(column)[column]) for split in splits]
    feature = splits[0].features[column]
    if isinstance(feature, ClassLabel):
        names, known = list(feature.names), {index: index for index in range(len(feature.names))}
    else:
        try:
            distinct = sorted(set(values[0]))
        except TypeError as error:  # lists cannot be in a set, and None cannot be sorted
            raise EnvironmentProblem(f"{path}: column {column!r} does not have one label for every image: {error}.") from error
        names, known = [str(value) for value in distinct], {value: index for index, value in enumerate(distinct)}
    if len(names) < 2:
        raise EnvironmentProblem(f"{path}: column {column!r} has {len(names)} classes, and at least 2 are needed.")
    for part, of_part in zip(PARTS, values, strict=True):
        unknown = sorted({repr(value) for value in of_part if value not in known})
        if unknown:
            raise EnvironmentProblem(f"{path}: labels of the {part} split are of no known class: {', '.join(unknown[:5])}.")
    labels = [[known[value] for value in of_part] for of_part in values]
    return names, labels, list(_unused(names, labels, path))


def _unused(names: Sequence[str], labels: Sequence[Sequence[int]], path: str) -> Iterator[str]:
    """Classes that have no images at all, which are said.

    Raises:
        EnvironmentProblem: A class is in one split only.
    """
    train, test = (set(of_part) for of_part in labels)
    for here, there, part, other in ((test, train, "train", "test"), (train, test, "test", "train")):
        if lacking := here - there:
            raise EnvironmentProblem(
                f"{path}: the {part} split has no images of {_named(names, lacking)}, which the {other} split has. "
                "Choose other splits, or leave the class out of both."
            )
    if none := set(range(len(names))) - train:
        yield f"{path}: no images are in {_named(names, none)}; the model has an output for each all the same"


def _named(names: Sequence[str], labels: Iterable[int]) -> str:
    found = [repr(names[label]) for label in sorted(labels)]
    more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
    return f"class{'es' * (len(found) > 1)} {', '.join(found[:5])}{more}"


def with_images(split: Any, column: str, path: str) -> Any:
    """The column of images alone, undecoded; bytes of image files without the library's own type are taken for images too."""
    from datasets import Image, Value

    feature = split.features[column]
    if not isinstance(feature, Image):
        encoded = feature == Value("binary") or (isinstance(feature, dict) and feature.get("bytes") == Value("binary"))
        if not encoded:
            raise EnvironmentProblem(f"{path}: column {column!r} has no images, but {feature}.")
    return split.cast_column(column, Image(decode=False)).select_columns(column)


def bytes_of(encoded: dict[str, Any], name: str) -> bytes:
    try:
        return encoded["bytes"] or Path(encoded["path"]).read_bytes()
    except (OSError, TypeError) as error:
        raise DiskProblem(f"{name}: cannot be read: {error}. Repair it or remove it.") from error
