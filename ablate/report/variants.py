"""The variants of a plan in the terminal. Nothing here needs pandas, so that a spec is checked at once."""

from collections.abc import Container, Sequence

from rich.console import Group, RenderableType

from ablate.study import VariantInfo

from .console import indented, text


def variants_view(infos: Sequence[VariantInfo], references: Container[str], stored: dict[str, tuple[int, int]]) -> RenderableType:
    """What each variant changes of the first reference, and how many of its cells are stored."""
    parts: list[RenderableType] = []
    for info in infos:
        done, cells = stored[info.name]
        line = text(info.name, "bold")
        note = "reference, " if info.name in references else ""
        parts.append(line.append(f"  ({note}{done} of {cells} stored)", "dim"))
        parts += [indented(change) for change in info.changes]
    return Group(*parts)
