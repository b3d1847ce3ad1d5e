"""JSON Merge Patch (RFC 7396) on a recipe, and dotted paths into a JSON document.

Two rules beside the RFC's: changing a component's `use` resets its other arguments, because they belong to the component that
they were written for; and removing what is not there is an error, because it would silently do nothing.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ablate.contracts import Json
from ablate.errors import Problem, UsageError

_SEGMENT = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<plain>[^.]+)')


def merge(base: Json, patch: Json) -> Json:
    """The document with the patch applied; neither is modified."""
    if not isinstance(patch, Mapping):
        return patch
    replaces_component = _use(patch) is not None and isinstance(base, Mapping) and base.get("use") != patch["use"]
    result = {} if replaces_component or not isinstance(base, Mapping) else dict(base)
    for key, value in patch.items():
        if value is None and key in result and result[key] is not None:
            del result[key]
        elif value is not None:
            result[key] = merge(result.get(key), value)
    return result


def _use(value: Json) -> str | None:
    """What a component names; None for what is no component, such as transforms of which one is called `use`."""
    use = value.get("use") if isinstance(value, Mapping) else None
    return use if isinstance(use, str) else None


def useless_removals(base: Json, patch: Json, path: str) -> Iterator[Problem]:
    """A problem for each `null` of the patch that removes nothing."""
    if not isinstance(patch, Mapping):
        return
    for key, value in patch.items():
        present = base.get(key) if isinstance(base, Mapping) else None
        here = join(path, key)
        if value is None and present is None:
            yield Problem(here, "null removes this key, but the base has none", "Remove the line, or correct the name.")
        elif isinstance(value, Mapping):
            yield from useless_removals(present, value, here)


def join(path: str, key: str | int) -> str:
    """The dotted path one step further; a key with a dot in it, or with what cannot be printed, is quoted as JSON."""
    text = str(key)
    if not re.fullmatch(r"[^.\"]+", text) or not text.isprintable():
        text = json.dumps(text, ensure_ascii=not text.isprintable())
    return f"{path}.{text}" if path else text


def split(path: str) -> list[str]:
    """The keys of a dotted path, in which a key that has a dot is quoted."""
    segments = list(_SEGMENT.finditer(path))
    try:
        keys = [str(json.loads(match[0], strict=False)) if match["plain"] is None else match["plain"] for match in segments]
    except ValueError:
        keys = []
    if not keys or ".".join(match.group() for match in segments) != path:
        raise UsageError(
            f'{path!r} is not a path. Write keys with dots between them, such as base.optimizer.lr or factors.lr."0.1".'
        )
    return keys


def replace(document: Json, keys: Sequence[str], value: Json) -> Json:
    """The document with `value` at the path; objects on the way are made where there are none."""
    if not keys:
        return value
    copy = dict(document) if isinstance(document, Mapping) else {}
    copy[keys[0]] = replace(copy.get(keys[0]), keys[1:], value)
    return copy


def without(document: Json, keys: Sequence[str]) -> Json:
    """The document without what is at the path, and without the objects that this leaves empty."""
    if not isinstance(document, Mapping) or keys[0] not in document:
        return document
    inner = without(document[keys[0]], keys[1:]) if keys[1:] else None
    rest = {key: value for key, value in document.items() if key != keys[0]}
    return {key: inner if key == keys[0] else value for key, value in document.items()} if inner else rest


def has(document: Json, path: str) -> bool:
    """Whether a document has something at the path, `null` included."""
    for key in split(path):
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True


def get(document: Json, keys: Sequence[str]) -> Json:
    """What a document has at a path; None where it has nothing."""
    for key in keys:
        if not isinstance(document, Mapping):
            return None
        document = document.get(key)
    return document


def flatten(document: Json, path: str = "") -> dict[str, Json]:
    """Every leaf of a document by its dotted path; lists are leaves, and so are empty objects."""
    if not isinstance(document, Mapping) or not document:
        return {path: document}
    return {leaf: value for key, item in document.items() for leaf, value in flatten(item, join(path, key)).items()}


def changes(before: Json, after: Json) -> tuple[str, ...]:
    """What differs between two recipes, one line a path, such as `optimizer.lr: 0.001 → 0.002`.

    Where another component takes the place of one, its arguments are not compared one by one.
    """
    return tuple(_changes(before, after, ""))


def _changes(before: Json, after: Json, path: str) -> Iterator[str]:
    nested = isinstance(before, Mapping) and isinstance(after, Mapping)
    if before == after and (not nested or repr(before) == repr(after)):  # a dictionary's text tells its order, at every depth
        return
    if not nested or _use(before) != _use(after):
        yield f"{path}: {show(before)} → {show(after)}"
        return
    inner = [line for key in {**before, **after} for line in _changes(before.get(key), after.get(key), join(path, key))]
    if inner or _order(before) == _order(after):
        yield from inner
    else:
        yield f"{path}: order {', '.join(before)} → {', '.join(after)}"


def _order(value: Json) -> list[str]:
    return list(value) if isinstance(value, Mapping) and _use(value) is None else []


def show(value: Json) -> str:
    """A value as a line of a diff has it; a component as a call."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        use = _use(value)
        inner = ", ".join(f"{key}={show(item)}" for key, item in value.items() if key != "use" or use is None)
        return "{" + inner + "}" if use is None else f"{use.removeprefix('ablate-core:')}({inner})"
    if isinstance(value, list):
        return "[" + ", ".join(show(item) for item in value) + "]"
    return value if isinstance(value, str) and _reads_as_text(value) else json.dumps(value, ensure_ascii=False)


def _reads_as_text(text: str) -> bool:
    """Whether nobody takes a text without quotes for nothing, a number, or what else JSON has."""
    try:
        json.loads(text)
    except ValueError:
        return text.strip() not in ("", "none")
    return False
