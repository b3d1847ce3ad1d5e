"""How a person's images lie on disk: folders of parts, folders of classes alone, or a table of paths and labels."""

import csv
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablate.errors import DiskProblem, EnvironmentProblem, did_you_mean

from .class_folders import File, Listing, flat, folders_in, listed, some

EVALUATED = ("val", "valid", "validation", "dev")  # folders that are evaluated where there is no `test`
TENTH_TWICE = 0.2  # part of each class that is evaluated, where nothing says which images are
PATHS = ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "image_name")
LABELS = ("label", "class", "class_name", "category", "target")
PARTS = ("split", "part", "set", "subset")
NAMES = {"train": 0, "training": 0, "test": 1, "testing": 1, **dict.fromkeys(EVALUATED, 1)}


def images_of(root: Path, test: str | float) -> Listing:
    """The training and test images of a place.

    Args:
        root: A folder with a folder for each part, a folder with one for each class, a folder with a table, or a table (CSV).
        test: Name of the folder of the test images; or the part of each class that is taken for it.

    Raises:
        EnvironmentProblem: With everything that is wrong.
    """
    if root.is_file():
        return _table(root, test)
    if (root / "train").is_dir():
        return _with_train(root, test)
    if isinstance(test, float) or test == "test":
        inside = folders_in(root)
        if not inside and (table := _only_table(root)):
            return _table(table, test)
        if not _are_parts(root, inside):
            return _parted(flat(root, root), test)
    return listed(root, ("train", str(test)))  # which says what is missing


def _are_parts(root: Path, folders: Sequence[str]) -> bool:
    """Whether folders are parts with another name, and no classes: by their names, or because the same folders are in them."""
    if any(NAMES.keys() & set(re.split("[^a-z]+", name.lower())) for name in folders):
        return True
    inside = Counter(name for folder in folders for name in folders_in(root / folder))
    return sum(count > 1 for count in inside.values()) > 1


def _with_train(root: Path, test: str | float) -> Listing:
    if isinstance(test, float):
        listing = flat(root / "train", root)
        others = [name for name in folders_in(root) if name != "train"]
        unused = [f'{root / name}: is not read, as the dataset\'s "test" is {test:g}' for name in others]
        return _parted(replace(listing, notices=(*listing.notices, *unused)), test)
    if test == "test" and not (root / "test").is_dir():
        for name in EVALUATED:
            if (root / name).is_dir():
                listing = listed(root, ("train", name))
                said = f"{root}: there is no folder 'test', and the images of {name!r} are evaluated in its place"
                return replace(listing, notices=(*listing.notices, said))
    return listed(root, ("train", test))


def _parted(whole: Listing, test: str | float) -> Listing:
    """A part of each class taken for the test: always the same images, also when others are added."""
    part = test if isinstance(test, float) else TENTH_TWICE
    by_class: dict[int, list[File]] = defaultdict(list)
    for file in whole.files[0]:
        by_class[file[1]].append(file)
    if few := [whole.classes[label] for label, files in by_class.items() if len(files) < 2]:
        raise EnvironmentProblem(
            f"{whole.root}: there is one image of {_some(few)}, and one is needed to train on and one to test. Add some."
        )
    train, held = [], []
    for label in sorted(by_class):
        files = sorted(by_class[label], key=lambda file: _place(file[0], whole.root))
        count = min(len(files) - 1, max(1, round(part * len(files))))
        held += sorted(files[:count])
        train += sorted(files[count:])
    said = (
        f"{whole.root}: nothing says which images are for the test, and {len(held):,} of {len(whole.files[0]):,} are: "
        f'{100 * part:.0f} % of each class. Give the dataset "test": {part:g}, or another part, to say so yourself'
    )
    return replace(whole, files=(train, held), notices=(*whole.notices, *([] if isinstance(test, float) else [said])))


def _place(path: str, root: Path) -> str:
    """Where a file stands in an order that has nothing to do with its name, and does not change with the others."""
    return hashlib.sha256(os.path.relpath(path, root).encode(errors="surrogateescape")).hexdigest()


def _only_table(root: Path) -> Path | None:
    """The CSV file of a folder; None where class folders are there, or no such file.

    Raises:
        EnvironmentProblem: There are several.
    """
    tables = sorted(root.glob("*.csv"))
    if len(tables) > 1:
        names = _some([path.name for path in tables])
        raise EnvironmentProblem(f"{root}: has {names}: give the path of the one that has the labels.")
    return tables[0] if tables else None


def _table(table: Path, test: str | float) -> Listing:
    """The images that a CSV file names; their paths are relative to its folder."""
    columns, rows = _rows(table)
    path_column, label_column = (_column(table, columns, known) for known in (PATHS, LABELS))
    part_column = next((name for name in columns if name.strip().lower() in PARTS), None)
    classes = _sorted({row[label_column] for row in rows})
    labels = {name: label for label, name in enumerate(classes)}
    files: tuple[list[File], list[File]] = ([], [])
    missing = []
    for number, row in enumerate(rows, start=2):
        path = os.path.join(table.parent, row[path_column])
        if not os.path.isfile(path):
            missing.append(row[path_column])
        files[_part(table, number, row, part_column)].append((path, labels[row[label_column]]))
    twice = [path for path, count in Counter(path for of_part in files for path, _ in of_part).items() if count > 1]
    problems = [
        *([f"{table}: there is no file {_some(missing)}; paths are relative to {table.parent}."] if missing else []),
        *([f"{table}: {_some(twice)} is named more than once."] if twice else []),
        *([f"{table}: has {len(classes)} label, and at least 2 are needed."] if len(classes) < 2 else []),
    ]
    if problems:
        raise EnvironmentProblem("\n".join(problems))
    sides = tuple(sorted(of_part, key=lambda file: (file[1], file[0])) for of_part in files)
    listing = Listing(table.parent, ("train", "test"), tuple(classes), (sides[0], sides[1]), ())
    if part_column is None or isinstance(test, float):
        return _parted(replace(listing, files=(sorted(sides[0] + sides[1], key=lambda file: (file[1], file[0])), [])), test)
    for part, side in zip(("training", "test"), sides, strict=True):
        if absent := sorted(set(range(len(classes))) - {label for _, label in side}):
            raise EnvironmentProblem(f"{table}: has no {part} images of {_some([classes[label] for label in absent])}.")
    return listing


def _rows(table: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [{name: (value or "").strip() for name, value in row.items() if name is not None} for row in reader]
            columns = reader.fieldnames or ()
    except OSError as error:
        raise DiskProblem(f"{table}: cannot be read: {error}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise EnvironmentProblem(f"{table}: cannot be read as a table in UTF-8 with commas: {error}.") from error
    if not rows:
        raise EnvironmentProblem(f"{table}: has no rows below its first line, which names the columns.")
    return columns, rows


def _column(table: Path, columns: Sequence[str], known: Sequence[str]) -> str:
    for name in columns:
        if name.strip().lower() in known:
            return name
    expected = ", ".join(repr(name) for name in known)
    raise EnvironmentProblem(
        f"{table}: its columns are {_some(list(columns))}, and one of {expected} is needed. Name it so in the first line."
    )


def _part(table: Path, number: int, row: dict[str, str], column: str | None) -> int:
    if column is None:
        return 0
    name = row[column].lower()
    if name not in NAMES:
        hint = did_you_mean(name, NAMES)
        raise EnvironmentProblem(f"{table}, line {number}: {column} is {row[column]!r}, which is no part. {hint}")
    return NAMES[name]


def _sorted(names: set[str]) -> list[str]:
    """In the order of their numbers where all are whole numbers."""
    return sorted(names, key=lambda name: (int(name), name)) if all(name.isdecimal() for name in names) else sorted(names)


def _some(names: Sequence[str]) -> str:
    return some([repr(name) for name in names])
