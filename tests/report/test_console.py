"""Messages in a terminal, and pages about components."""

import io

import pytest
from rich.console import Console

from ablate.registry import Component, Loaded
from ablate.registry.params import signature
from ablate.report.component import component_page
from ablate.report.console import say


def printed(message, width=40, terminal=True):
    console = Console(width=width, file=io.StringIO(), force_terminal=terminal, color_system=None)
    say(console, message, head="error: ")
    return console.file.getvalue()


def test_a_terminal_breaks_a_message_between_words_and_a_file_does_not():
    message = "mine.json exists. Give another name: nothing is overwritten."
    assert printed(message, terminal=False) == f"error: {message}\n"
    lines = printed(message).splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines) == f"error: {message}"


def test_a_message_moves_no_cursor_and_has_no_markup():
    assert printed("[red]a\x1b[2Jb[/]") == "error: [red]a�[2Jb[/]\n"


def laid_out(*, path: str, colours: tuple[float, float] = (0.25, 0.75)) -> None:
    """First
    paragraph.

    Another one, whose lines are those of the source
    and not those of the window.

    - a list
    - of two

    Args:
        path: Where it is.
        colours: Some.
    """


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_page_is_laid_out_for_its_window(width):
    console = Console(width=width, file=io.StringIO())
    console.print(
        component_page(Loaded(Component("model", "laid_out", "a:b", "ablate-thing", "1.0"), signature(laid_out), laid_out))
    )
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines[3] == "First paragraph."
    assert (width == 200) == ("Another one, whose lines are those of the source and not those of the window." in lines)
    assert lines[lines.index("- a list") + 1] == "- of two"
    below = lines[next(place for place, line in enumerate(lines) if line.startswith("colours")) + 1]
    assert below.startswith(" " * len("colours  ") if width < 200 else "    Some.")
