"""YAML as data, for sources whose trackers write it. Objects of Python that a file names are never made: their tags become text.

PyYAML is not among ablate's requirements: packages that use this require it.
"""

from pathlib import Path
from typing import Any

from ablate.errors import UsageError


def load(path: Path) -> Any:
    """What a YAML file says; None of an empty one.

    Raises:
        UsageError: It is not YAML.
    """
    import yaml

    try:
        return yaml.load(path.read_bytes(), Loader=_loader())  # noqa: S506, a safe loader that knows no other tags either
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path}: it is not YAML: {' '.join(str(error).split())}.") from None


def _loader() -> Any:
    """The safe loader, libyaml's where it is there, in which an unknown tag gives what stands below it, or its name."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_multi_constructor("", _untagged)
    return Loader


def _untagged(loader: Any, tag: str, node: Any) -> Any:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return node.value or tag
