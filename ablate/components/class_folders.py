"""Images in class folders, `<root>/<part>/<class>/…/<image>`: which of them count, and what is left out.

Every dataset component that reads such folders reads them here, so that they keep the same rules.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablate.errors import DiskProblem, EnvironmentProblem, did_you_mean
from ablate.images import extensions

File = tuple[str, int]  # path, and class
SHOWN = 5  # names of a kind that a message has

# what file managers, archives, notebooks and disks leave behind, beside what is hidden
TOOLS = {"@eadir", "__macosx", "__pycache__", "lost+found", "$recycle.bin", "#recycle", "@recycle", "system volume information"}
TOOLS |= {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}


def is_left_behind(name: str) -> bool:
    """Whether a file or folder is hidden or a tool's, and nobody's image or class."""
    return name.startswith(".") or name.lower() in TOOLS


@dataclass(frozen=True)
class Listing:
    """The images that count.

    Attributes:
        root: The folder.
        parts: Names of the folders of training and of test images.
        classes: Names of the class folders, sorted; the labels are their places.
        files: The images of each part with their labels, in one order everywhere.
        notices: What is left out, a sentence each.
    """

    root: Path
    parts: tuple[str, str]
    classes: tuple[str, ...]
    files: tuple[Sequence[File], Sequence[File]]
    notices: tuple[str, ...]

    def smallest_share(self) -> float:
        """Part of the images that the smallest class of a part has."""
        counts = [Counter(label for _, label in of_part) for of_part in self.files]
        return min(min(of_part.values()) / of_part.total() for of_part in counts)


@dataclass
class _Found:
    """What a walk through folders has met."""

    root: Path
    left_out: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))  # by reason
    dangling: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, what: str, folder: str) -> None:
        self.left_out[reason][what, os.path.relpath(folder, self.root)] += 1

    def walk(self, folder: str, above: tuple[tuple[int, int], ...] = ()) -> list[str]:
        """The image files of a folder and of those in it, sorted; 60,000 of them in a fraction of a second."""
        try:
            stat = os.stat(folder)
            entries = list(os.scandir(folder))
        except OSError as error:
            raise DiskProblem(f"{folder}: cannot be read: {error}. Repair it or remove it.") from error
        above = (*above, (stat.st_dev, stat.st_ino))
        if above[-1] in above[:-1]:
            raise EnvironmentProblem(f"{folder}: is a link to a folder that it lies in, without end. Remove it.")
        found = []
        for entry in entries:
            if self.is_left_out(entry):
                continue
            if entry.is_dir():
                found += self.walk(entry.path, above)
            elif _is_image(entry):
                found.append(entry.path)
            else:
                self.leave_out("extension", os.path.splitext(entry.name)[1].lower() or "without an extension", folder)
        return sorted(found)

    def folders(self, folder: Path) -> list[str]:
        """The names of the class folders in a part, sorted; images that lie beside them belong to no class."""
        names = []
        for entry in os.scandir(folder):
            if self.is_left_out(entry):
                continue
            if entry.is_dir():
                names.append(entry.name)
            else:
                extension = os.path.splitext(entry.name)[1].lower()
                self.leave_out("level" if _is_image(entry) else "extension", extension or "without an extension", str(folder))
        return sorted(names)

    def is_left_out(self, entry: "os.DirEntry[str]") -> bool:
        """Whether an entry is a tool's, which is noted, or a link to nothing, which is an error in the end."""
        if is_left_behind(entry.name):
            name = "._*" if entry.name.startswith("._") else entry.name
            self.leave_out("tools", name, os.path.dirname(entry.path))
            return True
        if entry.is_symlink() and not os.path.exists(entry.path):
            self.dangling.append(entry.path)
            return True
        return False

    def notices(self) -> Iterator[str]:
        reasons = {
            "extension": "no images by their extension",
            "level": "images that lie in no class folder",
            "tools": "hidden, or left behind by tools",
        }
        for reason, words in reasons.items():
            if self.left_out[reason]:
                yield f"{self.root}: left out: {_counted(self.left_out[reason])} ({words})"


def _is_image(entry: "os.DirEntry[str]") -> bool:
    return os.path.splitext(entry.name)[1].lower() in extensions() and entry.is_file()


def _counted(met: Counter[tuple[str, str]]) -> str:
    """Such as `12 .txt in train/a, train/b and 3 more, 1 .xml in test`."""
    counts: Counter[str] = Counter()
    folders: dict[str, list[str]] = defaultdict(list)
    for (what, folder), count in sorted(met.items()):
        counts[what] += count
        folders[what].append(folder)
    shown = [f"{count:,} {what} in {some(folders[what], 2)}" for what, count in counts.most_common(SHOWN)]
    others = sum(count for _, count in counts.most_common()[SHOWN:])
    return ", ".join(shown) + (f", and {others:,} others" if others else "")


def some(names: Sequence[str], most: int = SHOWN) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def listed(root: Path, parts: tuple[str, str]) -> Listing:
    """The images of two parts.

    Raises:
        EnvironmentProblem: With everything that is wrong: a part or a class has no images, a class is only in one part, or a link
            leads nowhere.
    """
    for part in parts:
        if not (root / part).is_dir():
            raise EnvironmentProblem(_no_part(root, part, parts))
    found = _Found(root)
    in_parts = [found.folders(root / part) for part in parts]
    classes = in_parts[0]
    files = [
        [(path, label) for label, name in enumerate(classes) if name in here for path in found.walk(str(root / part / name))]
        for part, here in zip(parts, map(set, in_parts), strict=True)
    ]
    if problems := [*_dangling(found.dangling), *_class_problems(root, parts, in_parts, files, found)]:
        raise EnvironmentProblem("\n".join(problems))
    notices = (*found.notices(), *_unused(root, parts, classes), *_alike(root / parts[0], classes))
    return Listing(root, parts, tuple(classes), (files[0], files[1]), notices)


def flat(folder: Path, root: Path) -> Listing:
    """The images of class folders that are not in parts, all as training images.

    Args:
        folder: What the class folders are in.
        root: What messages and names are relative to.

    Raises:
        EnvironmentProblem: With everything that is wrong.
    """
    found = _Found(root)
    classes = found.folders(folder)
    files = [(path, label) for label, name in enumerate(classes) for path in found.walk(str(folder / name))]
    have = {classes[label] for _, label in files}
    if problems := [*_dangling(found.dangling), *_flat_problems(folder, root, classes, have, found)]:
        raise EnvironmentProblem("\n".join(problems))
    notices = (*found.notices(), *_alike(folder, classes))
    return Listing(root, ("train", "test"), tuple(classes), (files, []), notices)


def _flat_problems(folder: Path, root: Path, classes: Sequence[str], have: Collection[str], found: _Found) -> Iterator[str]:
    if len(classes) < 2 or not have:
        yield (
            f"{folder}: has no class folders with images. Expected train/<class>/ and test/<class>/, or <class>/ alone, "
            "or a table (CSV) of paths and labels."
        )
    elif empty := [name for name in classes if name not in have and not found.dangling]:
        inside = os.path.relpath(folder, root)
        has = f"{_class_words(empty)}{_instead(found, '' if inside == '.' else inside, empty)}"
        yield f"{folder}: there are no images of {has}. Add some, or remove the folder."


def _no_part(root: Path, part: str, parts: tuple[str, str]) -> str:
    hint = did_you_mean(part, folders_in(root))
    return f"{root}: there is no folder {part!r}. Expected {parts[0]}/<class>/ and {parts[1]}/<class>/. {hint}".strip()


def folders_in(root: Path) -> list[str]:
    """The names of the folders in a folder, sorted, without those that tools leave behind.

    Raises:
        EnvironmentProblem: It cannot be read.
    """
    try:
        return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not is_left_behind(entry.name))
    except OSError as error:
        raise EnvironmentProblem(f"{root}: cannot be read as a folder: {error}.") from error


def images_in(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """The image files of a folder of any form, in one order everywhere, and what is left out, a sentence each.

    Raises:
        EnvironmentProblem: It cannot be read, has no images, or a link in it leads nowhere.
    """
    if not folder.is_dir():
        raise EnvironmentProblem(f"{folder}: there is no such folder.")
    found = _Found(folder)
    files = found.walk(str(folder))
    if problems := [*_dangling(found.dangling)]:
        raise EnvironmentProblem("\n".join(problems))
    if not files:
        raise EnvironmentProblem("\n".join([f"{folder}: there are no images in it.", *found.notices()]))
    return files, tuple(found.notices())


def _dangling(links: Sequence[str]) -> Iterator[str]:
    if links:
        more = f", and so are {len(links) - 1:,} more" if len(links) > 1 else ""
        yield (
            f"{links[0]}: is a link to {os.readlink(links[0])}, where nothing is{more}. Fetch what it stands for, such as with "
            "`git annex get` or `dvc pull`, or remove it."
        )


def _class_problems(
    root: Path, parts: tuple[str, str], in_parts: Sequence[Sequence[str]], files: Sequence[Sequence[File]], found: _Found
) -> Iterator[str]:
    train, test = (root / part for part in parts)
    classes = in_parts[0]
    if len(classes) < 2:
        loose = sum(count for (_, folder), count in found.left_out["level"].items() if folder == parts[0])
        beside = f" and {loose:,} images beside them" if loose else ""
        yield f"{train}: has {len(classes)} class folder{'s' * (len(classes) != 1)}{beside}, and at least 2 are needed."
        return
    have = [{classes[label] for _, label in of_part} for of_part in files]
    broken = {Path(link).relative_to(root).parts[1] for link in found.dangling}
    if empty := [name for name in classes if name not in have[0] and name not in broken]:
        has = f"{_class_words(empty)}{_instead(found, parts[0], empty)}"
        yield f"{train}: there are no images of {has}. Add some, or remove the folder from all parts."
    absent = [name for name in classes if name in have[0] and name not in have[1] and name not in broken]
    unknown = [name for name in in_parts[1] if name not in classes]
    for name in list(absent):
        for other in unknown:
            if _folded(name) == _folded(other):
                yield f"{test / other}: is not written as {train / name}. Rename one of them."
                absent.remove(name)
                unknown.remove(other)
                break
    if absent:
        has = f"{_class_words(absent)}{_instead(found, parts[1], absent)}"
        yield f"{test}: has no images of {has}, which {train} has. Add some, or remove the class from all parts."
    if unknown:
        yield f"{test}: {_class_words(unknown)} cannot be learnt, as {train} has none. Add training images, or remove the folder."


def _class_words(names: Sequence[str]) -> str:
    return f"class{'es' * (len(names) > 1)} {some([repr(name) for name in names])}"


def _instead(found: _Found, part: str, names: Sequence[str]) -> str:
    """What was left out of class folders that have no images."""
    folders = {os.path.join(part, name) for name in names}
    met = Counter({key: count for key, count in found.left_out["extension"].items() if key[1] in folders})
    return f" ({_counted(met)} only, and that is read as no image)" if met else ""


def _folded(name: str) -> str:
    """What names have in common that differ by case, by spaces around them, or by how an accent is encoded."""
    return unicodedata.normalize("NFC", name).casefold().strip()


def _alike(folder: Path, classes: Sequence[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in classes:
        if other := seen.get(_folded(name)):
            yield f"{folder}: classes {other!r} and {name!r} are two, though they are written almost alike"
        seen[_folded(name)] = name


def _unused(root: Path, parts: tuple[str, str], classes: Sequence[str]) -> Iterator[str]:
    """Other parts, such as `val`, which a user may take for used."""
    for name in folders_in(root):
        if name not in parts and any((root / name / label).is_dir() for label in classes):
            yield f"{root / name}: has class folders too, and is not read"
