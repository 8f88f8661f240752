"""The measured job as Spigot knows it: ``SPIGOT_APPS=start_notes_app``."""

from rq import get_current_job
from start_notes import note

from spigot import job_type
from spigot.worker.running.claimed_job import ClaimedJob


@job_type("note")
def note_with_slot() -> None:
    """Note the start beside its slot."""
    job = get_current_job()
    assert isinstance(job, ClaimedJob)
    note(job.claim.slot_us)
