"""Text without styles."""

import pytest

from ablate.plain import aligned, broken, fitted, printable

ROWS = [("kind", "name", "description"), ("optimizer", "adam", "Adam in a few words, which are too many for one line of it.")]


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_table_fits_its_window_and_loses_no_word(width):
    told = fitted(ROWS, width)
    assert max(map(len, told.splitlines())) <= width
    assert [word for row in ROWS[1:] for cell in row for word in cell.split()] == [
        word for word in told.split() if word not in ROWS[0]
    ]


def test_where_there_is_room_it_is_the_table_of_files():
    assert fitted(ROWS, 200) == aligned(ROWS)


def test_the_last_column_goes_on_below_itself():
    first, second, third = fitted(ROWS, 60).splitlines()
    assert first == "kind       name  description"
    assert len(third) - len(third.lstrip()) == second.index("Adam")


def test_a_message_is_broken_between_words_below_itself():
    message = "error: a.json: 1 problem\n  base.optimizer: no installed package provides 'sgdd'. Did you mean 'sgd'?\n\n      ^"
    told = broken(message, 40)
    assert max(map(len, told.split("\n"))) <= 40
    assert told.split() == message.split()
    first, second, third, *_, blank, caret = told.split("\n")
    assert (first, blank, caret) == ("error: a.json: 1 problem", "", "      ^")
    assert second.startswith("  base")
    assert third.startswith("  provides")
    assert broken(message, 200) == message


def test_an_address_stays_whole():
    address = "http://127.0.0.1:8123/" + "x" * 50
    assert broken(f"    {address} is its address", 40) == f"    {address}\n    is its address"


@pytest.mark.parametrize("text", ["👩\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "می\u200cخواهم", "क्\u200dष", "two\nlines"])
def test_what_joins_letters_and_emoji_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize("text", ["a\u200db", "\u200dä", "ä\u200c", "é\u200db", "م\u200c\u200cخ", "\u202ex", "x\x1b", "\u2066م"])
def test_what_hides_or_moves_is_shown(text):
    assert "�" in printable(text)
