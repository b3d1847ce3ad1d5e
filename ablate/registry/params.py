"""A component factory's signature and docstring, as a JSON Schema.

What the engine gives a factory is positional-only; what a spec may set is keyword-only, annotated, and has a default unless
it is required. From these annotations the schema of the component's parameters is made, so that a spec is checked before
anything is built and an editor can complete it.
"""

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any, Literal, TypeVar, Union

Schema = dict[str, Any]
Marker = TypeVar("Marker")
Factory = Callable[..., Any]
SECTION = re.compile(r"[A-Z]\w+:")  # of a docstring, such as its arguments


@dataclass(frozen=True)
class Bound:
    """Limits of a number, for use in `Annotated`: `Annotated[float, Bound(above=0, maximum=1)]`.

    Attributes:
        minimum: Smallest allowed value.
        maximum: Largest allowed value.
        above: The value must be larger than this.
        below: The value must be smaller than this.
        words: How messages say what is expected, where the numbers alone do not tell why.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    words: str | None = None

    def schema(self) -> Schema:
        words = {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "exclusiveMinimum": self.above,
            "exclusiveMaximum": self.below,
            "x-expected": self.words,
        }
        return {word: value for word, value in words.items() if value is not None}


@dataclass(frozen=True)
class Choices:
    """The values that a string parameter of a family may have, listed only when they are needed.

    Attributes:
        list: Returns the allowed values; may import a heavy library.
    """

    list: Callable[[], Iterable[str]]


@dataclass(frozen=True)
class Nested:
    """Marks a parameter as a component of the given kind; the factory receives it built.

    `Annotated[Callable, Nested("transform")]` is one component; `Annotated[dict, Nested("transform", many=True)]` is a named,
    ordered mapping of them.
    """

    kind: str
    many: bool = False


@dataclass(frozen=True)
class Path:
    """Marks a string parameter as a place on disk, whose content and not its name decides what a cell gives.

    So a cell's key has no path in it. `file` has its digest there instead; a `folder`, and a `folder or file`, is for datasets,
    which give a fingerprint.
    A path is relative to the working directory, and `~` is the home directory.
    """

    kind: Literal["file", "folder", "folder or file"]


@dataclass(frozen=True)
class Absent:
    """Marks a parameter that a resolved spec has only where its value is not the default.

    So a component can get a new parameter, and cells that do without it keep their keys.
    """


FilePath = Annotated[str, Path("file")]
FolderPath = Annotated[str, Path("folder")]
DataPath = Annotated[str, Path("folder or file")]
Positive = Annotated[float, Bound(above=0)]
NonNegative = Annotated[float, Bound(minimum=0)]
Unit = Annotated[float, Bound(minimum=0, maximum=1)]
Fraction = Annotated[float, Bound(minimum=0, below=1)]
PositiveInt = Annotated[int, Bound(minimum=1)]
NonNegativeInt = Annotated[int, Bound(minimum=0)]

_SCALARS: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    Any: {},
}


class SignatureError(TypeError):
    """A factory's signature cannot be turned into a schema."""


@dataclass(frozen=True)
class Parameter:
    """One keyword-only parameter of a factory.

    Attributes:
        name: As a spec writes it.
        schema: JSON Schema of its values.
        required: Whether a spec has to give it.
        default: The value when a spec does not.
        doc: Its line in the docstring.
        nested: Set when the value is a component, or a mapping of components.
        choices: Set when the value is a name out of a family.
        path: Set when the value is a place on disk.
        absent: Set when a resolved spec has it only where its value is not the default.
    """

    name: str
    schema: Schema
    required: bool
    default: Any
    doc: str
    nested: Nested | None
    choices: Choices | None
    path: Path | None
    absent: Absent | None = None

    def left_out(self, value: Any) -> bool:
        """Whether a resolved spec does without this value, which is in its type."""
        return self.absent is not None and type(value) is type(self.default) and bool(value == self.default)


@dataclass(frozen=True)
class Signature:
    """What a spec can set on a component, and its documentation."""

    parameters: Mapping[str, Parameter]
    summary: str
    doc: str

    def schema(self) -> Schema:
        """Closed JSON Schema of the component's arguments, `use` not included."""
        return {
            "type": "object",
            "properties": {name: self._property(parameter) for name, parameter in self.parameters.items()},
            "required": [name for name, parameter in self.parameters.items() if parameter.required],
            "additionalProperties": False,
        }

    @staticmethod
    def _property(parameter: Parameter) -> Schema:
        schema = dict(parameter.schema)
        if parameter.doc:
            schema["description"] = parameter.doc
        if not parameter.required:
            schema["default"] = parameter.default
        return schema


def summary(doc: str) -> str:
    """The first paragraph of documentation, as one line; a section such as `Args:` is none of it."""
    lines = takewhile(lambda line: line.strip() and not SECTION.fullmatch(line), doc.strip().split("\n"))
    return " ".join(" ".join(lines).split())


def signature(factory: Factory) -> Signature:
    """What a spec can set on `factory`.

    Raises:
        SignatureError: A keyword parameter has no usable annotation, or the factory takes free keywords.
    """
    from docstring_parser import parse as parse_docstring

    text = inspect.getdoc(factory) or ""
    doc = parse_docstring(text)
    docs = {param.arg_name: " ".join((param.description or "").split()) for param in doc.params}
    hints = typing.get_type_hints(factory, include_extras=True)
    parameters = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise SignatureError(
                f"parameter {name!r} must be positional-only (what the engine gives) or keyword-only (what a spec sets)"
            )
        if name not in hints:
            raise SignatureError(f"parameter {name!r} has no annotation")
        parameters[name] = _parameter(parameter, hints[name], docs.get(name, ""))
    return Signature(parameters, summary(text), (doc.description or "").strip())


def _parameter(parameter: inspect.Parameter, annotation: Any, doc: str) -> Parameter:
    try:
        schema = _schema_of(annotation)
    except SignatureError as error:
        raise SignatureError(f"parameter {parameter.name!r}: {error}") from None
    required = parameter.default is parameter.empty
    try:
        json.dumps(None if required else _plain(parameter.default), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SignatureError(f"parameter {parameter.name!r}: its default cannot be written as JSON: {error}") from None
    return Parameter(
        name=parameter.name,
        schema=schema,
        required=required,
        default=None if required else _plain(parameter.default),
        doc=doc,
        nested=_marker(annotation, Nested),
        choices=_marker(annotation, Choices),
        path=_marker(annotation, Path),
        absent=_marker(annotation, Absent),
    )


def _marker(annotation: Any, kind: type[Marker]) -> Marker | None:
    """The first marker of this type in an annotation, looked for through `| None`."""
    for part in (annotation, *typing.get_args(annotation)):
        for marker in getattr(part, "__metadata__", ()):
            if isinstance(marker, kind):
                return marker
    return None


def _plain(default: Any) -> Any:
    """A default as JSON has it: tuples become lists."""
    if isinstance(default, (tuple, list)):
        return [_plain(item) for item in default]
    if isinstance(default, Mapping):
        return {key: _plain(value) for key, value in default.items()}
    return default


def _schema_of(annotation: Any) -> Schema:
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _annotated_schema(args[0], args[1:])
    if origin is Literal:
        return {"enum": list(args)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema_of(arg) for arg in args]}
    if origin is tuple and Ellipsis not in args:
        items = [_schema_of(arg) for arg in args]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (list, tuple):
        return {"type": "array", "items": _schema_of(args[0])}
    if annotation is dict or origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(args[1]) if args else {}}
    raise SignatureError(f"annotation {annotation!r} is not one that a JSON value can have")


def _annotated_schema(annotation: Any, markers: tuple[Any, ...]) -> Schema:
    for marker in markers:
        if isinstance(marker, Nested):
            component: Schema = {"type": "object", "x-kind": marker.kind}
            return {"type": "object", "additionalProperties": component} if marker.many else component
    schema = _schema_of(annotation)
    for marker in markers:
        if isinstance(marker, Bound):
            schema |= marker.schema()
    return schema
