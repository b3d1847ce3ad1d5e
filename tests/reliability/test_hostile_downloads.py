"""Downloads: a checksum decides, nothing is written elsewhere, and several processes download once."""

from collections import Counter

from tests.soak import _downloads


def test_what_a_server_sends_is_not_believed(tmp_path):
    found = dict(_downloads.answers(tmp_path, ["truncated", "a file that does not come", "an archive that writes outside"]))
    assert found.pop("the true server afterwards").startswith("loaded 3 ")
    assert len(found) == 3
    assert "timed out" in found["a file that does not come"]
    assert all(answer.startswith("refused") and " wrote " not in answer for answer in found.values()), found


def test_processes_that_want_the_same_download_it_once(tmp_path):
    said, asked = _downloads.together(tmp_path, 3)
    assert len(set(said)) == 1
    assert said[0].startswith("loaded 3 ")
    assert Counter(asked) == {f"/{name}": 2 for name in _downloads.files()}  # torchvision looks for a redirection first
