"""Data is data: no pickle is read, no bomb is opened, whatever a file is called."""

import pickle

from tests.soak import _files


def test_every_file_of_a_stranger_is_refused(tmp_path):
    answers = dict(_files.tried(tmp_path))
    assert {name: answer for name, answer in answers.items() if answer != "refused"} == {}
    assert len(answers) > 50


def test_the_mark_is_made_where_a_pickle_is_read(tmp_path):
    pickle.loads(pickle.dumps(_files.Marks(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def test_no_process_of_a_study_reads_a_pickle(spec, tmp_path):
    spec["base"]["epochs"] = 1
    calls, processes = _files.unpickled(spec, tmp_path)
    assert calls == []
    assert processes >= 3  # the driver and two workers
