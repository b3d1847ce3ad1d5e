"""JSON Schemas of what commands print with `--json`, made of the records that they print."""

import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from inspect import getdoc
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ablate.contracts import Estimate, Factor
from ablate.errors import UsageError, did_you_mean
from ablate.registry import HOOK, KINDS
from ablate.report.diff import Difference
from ablate.runner.power import Power
from ablate.runner.probing import Probe
from ablate.stats.image_records import PerImage
from ablate.stats.records import Analysis
from ablate.store.following import STATES
from ablate.store.tidying import Listed, Size
from ablate.study import Compare, Evaluated, VariantInfo
from ablate.version import JSON_VERSION

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": ["number", "null"]}  # what is not known or not finite is null
ANY: Schema = {}
PLAIN: Mapping[Any, Schema] = {
    str: TEXT,
    int: WHOLE,
    float: NUMBER,
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: ANY,
}


def schema(name: str) -> Schema:
    """The JSON Schema (2020-12) of what a command prints.

    Args:
        name: Of the command; `study` for a report, `studies` for several, `probe` for `check --probe`, `hook` for `show hook`.

    Raises:
        UsageError: Nothing of this name is printed.
    """
    made = _documents()
    if name not in made:
        raise UsageError(f"no document is called {name!r}. {did_you_mean(name, made, limit=20)}")
    return made[name]


def names() -> list[str]:
    """Of all documents."""
    return list(_documents())


def schema_of(kind: Any) -> Schema:
    """The schema of a type that records have, as JSON holds it."""
    if kind in PLAIN:
        return dict(PLAIN[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _of_record(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        if set(arguments) == {float, type(None)}:
            return dict(NUMBER)
        return {"anyOf": [schema_of(one) for one in arguments]}
    if origin in (tuple, list, Sequence) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        if origin is tuple and Ellipsis not in arguments:
            return {"type": "array", "prefixItems": [schema_of(one) for one in arguments], "items": False}
        return _list(schema_of(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    raise TypeError(f"no JSON is known for {kind}")


def _of_record(kind: type) -> Schema:
    hints, told = get_type_hints(kind, localns={"PerImage": PerImage}), documented(kind)
    members = {field.name: _about(schema_of(hints[field.name]), told.get(field.name, "")) for field in fields(kind)}
    return {"description": (getdoc(kind) or "").partition("\n")[0], **_object(members)}


def documented(kind: type) -> dict[str, str]:
    """What a docstring says of each attribute of a record."""
    lines = (getdoc(kind) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", lines, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _about(made: Schema, text: str) -> Schema:
    return {**made, "description": text} if text else made


def _object(members: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": dict(members), "required": required}


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _maybe(made: Schema) -> Schema:
    return {"anyOf": [made, {"type": "null"}]}


def _document(text: str, members: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    """A whole document: an object with the version."""
    version = {"const": JSON_VERSION, "description": "Of the form of this document."}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "description": text}
    return {**head, **_object({"version": version, **members}, optional)}


@cache
def _documents() -> dict[str, Schema]:
    made: Sequence[Callable[[], dict[str, Schema]]] = (_of_studies, _of_plans, _of_stores, _of_components)
    return {name: one for part in made for name, one in part().items()}


def _rows(text: str, **columns: Schema) -> Schema:
    """The rows of a table; there may be more columns, such as one a metric."""
    return _about(_list(_object(columns)), text)


def _of_studies() -> dict[str, Schema]:
    members = {
        "name": TEXT,
        "question": TEXT,
        "answer": _about(TEXT, "The conclusion in a sentence."),
        "compare": schema_of(Compare),
        "factors": _list(schema_of(Factor)),
        "design": _about(_maybe({"type": "object"}), "Its spec; null where there are no factors."),
        "variants": _list(schema_of(VariantInfo)),
        "summary": _rows("One row a variant.", variant=TEXT, n=WHOLE, mean=NUMBER, sd=NUMBER, difference=NUMBER),
        "analysis": schema_of(Analysis),
        "cells": _rows("One row a cell, with a column a metric.", variant=TEXT, seed=WHOLE, key=TEXT, status={"enum": [*STATES]}),
        "missing": _rows("The cells that are done and have no value, and why.", variant=TEXT, seed=WHOLE),
        "epochs": _rows("One row a cell and epoch, with a column a metric.", variant=TEXT, seed=WHOLE, epoch=WHOLE),
        "published": _about({"type": "object"}, "Somebody's numbers, as the spec has them."),
        "reproduction": _rows("Every published number beside the measured mean.", metric=TEXT, variant=TEXT, n=WHOLE),
        "provenance": _about(_list({"type": "object"}), "Machines and packages of the finished cells."),
        "notices": _about(_list(TEXT), "What the datasets had to say."),
        "reused": _about(_list(TEXT), "What is taken of other versions, in sentences."),
        "tuning": _about(_maybe({"type": "object"}), "Trials and what was chosen; null where nothing was tuned."),
        "split": {"enum": ["by_seed", None]},
        "evaluations": _about(_list(schema_of(Evaluated)), "What the cells were measured by after the study."),
        "imported": _about(_maybe({"type": "object"}), "Where runs come from that were not run for the study; null elsewhere."),
    }
    study = _document(
        "A study and what is concluded from it: `run --json`, `report --json`, `judge --json`, study.json.", members
    )
    one = {"type": "object", "properties": members, "required": list(members)}
    return {
        "study": study,
        "studies": _document("Several studies: `report A B --json`.", {"studies": _list(one)}),
        "diff": _document("Two cells or two studies side by side: `diff --json`.", schema_of(Difference)["properties"]),
    }


def _of_plans() -> dict[str, Schema]:
    variant = {**schema_of(VariantInfo)["properties"], "cells": WHOLE, "stored": WHOLE}
    cell = {"variant": TEXT, "seed": WHOLE, "key": TEXT, "stored": {"type": "boolean"}}
    otherwise = {"cells": WHOLE, "versions": _about({"type": "object"}, "Of each package that differs, the stored and the own.")}
    time = {**schema_of(Estimate)["properties"], "price_per_hour": NUMBER}
    plan = {
        "name": TEXT,
        "reference": _about(TEXT, "The variant that the others are compared with."),
        "variants": _list(_object(variant)),
        "cells": _list(_object(cell)),
        "notices": _about(_list(TEXT), "What is worth knowing before a run."),
        "reused": _about(_list(TEXT), "What is taken of other versions, in sentences."),
        "other_versions": _about(_list(_object(otherwise)), "Cells to train that are stored of other versions."),
        "tuning": _about({"type": "object"}, "What is searched; only where settings are tuned."),
        "time": _about(_object(time), "How long a run takes; only with `--time` or `--dry-run`."),
    }
    return {
        "check": _document("A plan: `check --json`, `run --dry-run --json`.", plan, optional=["tuning", "time"]),
        "probe": _document("The first record of each variant: `check --probe --json`.", {"variants": _list(schema_of(Probe))}),
        "power": _document("What a study can show: `power --json`.", schema_of(Power)["properties"]),
    }


def _of_stores() -> dict[str, Schema]:
    counts = {"study": TEXT, "cells": WHOLE, **dict.fromkeys(STATES, WHOLE)}
    image = {"path": TEXT, "class": TEXT, "probability": NUMBER}
    cell = {"study": TEXT, "variant": TEXT, "seed": WHOLE}
    figure = {"figure": TEXT, "value": NUMBER, "unit": TEXT, "goal": TEXT}
    return {
        "store-list": _document("Studies and their size: `store list --json`.", {"studies": _list(schema_of(Listed))}),
        "store-size": _document("How large a store is: `store size --json`.", {"bytes": WHOLE, **schema_of(Size)["properties"]}),
        "status": _document("The studies of a store: `status --json`.", {"studies": _list(_object(counts))}),
        "predict": _document("Classes of images: `predict --json`.", {**cell, "images": _list(_object(image))}),
        "evaluate": _document(
            "The columns that cells have now: `evaluate --json`. Values are in the study.",
            {"study": TEXT, "columns": _list(TEXT)},
        ),
        "bench": _document("What this machine does: `bench --json`.", {"figures": _list(_object(figure))}),
    }


def _of_components() -> dict[str, Schema]:
    listed = {"kind": {"enum": [*KINDS, HOOK]}, "name": TEXT, "distribution": TEXT, "version": TEXT, "problem": TEXT}
    shown = {"kind": TEXT, "name": TEXT, "distribution": TEXT, "distribution_version": TEXT, "target": TEXT, "doc": TEXT}
    schema = _about({"type": "object"}, "The JSON Schema of its parameters.")
    families = _about({"type": "object"}, "The members of each parameter that has a set of names.")
    components = _list(_object({**listed, "description": TEXT}))
    return {
        "list": _document("What is installed: `list --json`.", {"components": components, "problems": _list(TEXT)}),
        "show": _document("A component: `show KIND NAME --json`.", {**shown, "schema": schema, "families": families}),
        "hook": _document("A listener: `show hook NAME --json`.", {**shown, "listens_to": _list(TEXT)}),
    }
