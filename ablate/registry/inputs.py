"""The kept weights of a finished cell in place of the path of a file.

A spec names the cell, as in `{"cell": {"study": "teachers", "variant": "base", "seed": "same"}}`. In the recipe of a cell, `seed`
is a number, and beside `cell` there are the `key` of the cell that is meant, the `sha256` of the file of its weights, and, where
that is known, the `path` of this file. A factory gets the path, as of any other file.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablate.errors import EnvironmentProblem

from .params import Parameter, Schema, Signature

SAME = "same"  # the seed of the cell that uses the weights
TAKERS = frozenset(("model", "initializer", "optimizer", "scheduler", "transform", "loss", "metric", "step", "sampler"))
"""Kinds that are built for a cell, when it is known which weights are meant."""
CELL: Schema = {
    "type": "object",
    "description": "The kept weights of a finished cell of the store, in place of a path.",
    "properties": {
        "cell": {
            "type": "object",
            "properties": {
                "study": {"type": "string", "description": "Name of its study in the store."},
                "variant": {"type": "string", "description": "Name of its variant."},
                "seed": {
                    "anyOf": [{"enum": [SAME]}, {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}],
                    "default": SAME,
                    "description": f'Its seed; "{SAME}" is that of the cell which uses the weights.',
                },
            },
            "required": ["study", "variant"],
            "additionalProperties": False,
        }
    },
    "required": ["cell"],
    "additionalProperties": False,
    "x-expected": 'the weights of a cell, as {"cell": {"study": "…", "variant": "…"}}',
}


def with_cells(signature: Signature) -> Signature:
    """The signature with a cell's weights wherever a file may be named."""
    return replace(signature, parameters={name: _taking(one) for name, one in signature.parameters.items()})


def _taking(parameter: Parameter) -> Parameter:
    if parameter.path is None or parameter.path.kind != "file":
        return parameter
    forms = parameter.schema.get("anyOf", [parameter.schema])
    return replace(parameter, schema={"anyOf": [form for each in forms for form in ([each, CELL] if _is_text(each) else [each])]})


def _is_text(schema: Schema) -> bool:
    return schema.get("type") == "string"


def complete(value: Mapping[str, Any]) -> dict[str, Any]:
    """What a spec has in place of a path, with its default."""
    cell = value["cell"]
    return {"cell": {"study": cell["study"], "variant": cell["variant"], "seed": cell.get("seed", SAME)}}


def in_words(value: Mapping[str, Any]) -> str:
    cell = value["cell"]
    seed = "of the same seed" if cell["seed"] == SAME else f"seed {cell['seed']}"
    return f"the weights of variant {cell['variant']!r}, {seed}, of study {cell['study']!r}"


def path_of(value: Mapping[str, Any]) -> str:
    """The file that is meant, whose content is looked at.

    Raises:
        EnvironmentProblem: It is not known here, or has another content than was planned.
    """
    if "key" not in value:
        raise EnvironmentProblem(f"{in_words(value)} cannot be named in what the data is made of. Give the path of a file.")
    if "path" not in value:
        raise EnvironmentProblem(f"{in_words(value)} are not in this store (cell {value['key'][:12]}).")
    if file_digest(Path(value["path"])) != value["sha256"]:
        raise EnvironmentProblem(f"{value['path']}: has not {in_words(value)} any more (its SHA-256 differs).")
    return str(value["path"])


def content_of(value: str | Mapping[str, Any]) -> Any:
    """What a key has in place of a file: its digest; of a cell that is not looked up yet, how it is named."""
    if isinstance(value, str):
        return file_digest(Path(value).expanduser())
    return file_digest(Path(value["path"])) if "path" in value else value.get("sha256", value)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content.

    Raises:
        EnvironmentProblem: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error}") from error
