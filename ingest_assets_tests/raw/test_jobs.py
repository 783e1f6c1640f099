"""The notes of jobs: durable, the last of each counts, and a torn line is as if it had not been begun."""

from ingest_assets.raw.jobs import FILE, JobNote, JobNotes


def note(part, number, **more):
    """A note of a job."""
    return JobNote(part, "key", "2026-01-01T00:00:00+00:00", id=number, **more)


def test_the_last_note_of_a_job_counts(tmp_path):
    notes = JobNotes(tmp_path)
    for one in (note("a", None), note("b", "1"), note("a", "2", values={"file": "x"}, over="done")):
        notes.add(one)

    again = JobNotes(tmp_path)

    assert again.get("a") == note("a", "2", values={"file": "x"}, over="done")
    assert [one.id for one in again.all()] == ["2", "1"]


def test_a_torn_line_is_left_out_and_replaced_by_the_next(tmp_path):
    notes = JobNotes(tmp_path)
    notes.add(note("a", "1"))
    notes.add(note("a", "2"))
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-5])

    torn = JobNotes(tmp_path)
    assert torn.get("a") == note("a", "1")
    torn.add(note("a", "3"))

    assert JobNotes(tmp_path).get("a") == note("a", "3")
    assert len(file.read_bytes().splitlines()) == 2
