"""For tests of applications: what they enqueue is kept, or run at once, and no server is needed.

``fake`` keeps what was enqueued, to be asserted on. ``inline`` runs each job as soon as it is
enqueued, with the retries, holds and refusals that a worker would see, in no time. With both the
door counts in this process. The pytest fixture ``spigot_server`` is a private real server.

They need the extra ``testing``: ``pip install 'spigot-jobs[testing]'``.
"""

from .fake_queue import Enqueued, FakeQueue, fake, inline
from .inline_worker import EndlessJobError

__all__ = ["EndlessJobError", "Enqueued", "FakeQueue", "fake", "inline"]
