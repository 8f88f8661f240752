"""When a worker last heard that its bucket is held, for those who are about to start a job.

A job is claimed a little ahead of its slot. If the downstream refuses another one meanwhile, the
bucket is held, and whoever holds a claim is told: the job goes back, uncounted, instead of
asking a downstream that has just said no.

On a busy machine the thread that hears the news may wait long for a processor, or for the
interpreter. So whoever is about to start a job looks by itself at what has come for that thread and
was not read: a peek takes nothing away, costs no round trip, and a forked process can do it too.
"""

import mmap
import ssl
import struct
import time
from contextlib import suppress
from socket import (
    AF_UNIX,
    CMSG_SPACE,
    MSG_DONTWAIT,
    MSG_PEEK,
    SOCK_DGRAM,
    fromfd,
    send_fds,
    socket,
    socketpair,
)
from typing import Any

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store import keys

SECOND_US = 1_000_000

LOOK_AGAIN_SECONDS = 0.001

PEEKED_BYTES = 1 << 16

DESCRIPTOR = struct.Struct("i")

PEEK_AT_ONCE = MSG_PEEK | MSG_DONTWAIT


class HoldNews:
    """One time, in memory that this process shares with those that it forks.

    Args:
        bucket: Whose holds count.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket.encode()
        channel = keys.holds().encode()
        self._message = b"$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
            len(channel), channel, len(self._bucket), self._bucket
        )  # fmt: skip
        shared = memoryview(mmap.mmap(-1, 24)).cast("q")
        self._heard_us, self._unread, self._connected = shared[:1], shared[1:2], shared[2:]
        self._peeked: socket | None = None
        self._peeked_as = 0
        self._mailbox: tuple[socket, ...] = ()
        self._looked_at = 0.0

    def share(self) -> None:
        """Let processes that are forked from now on look at connections that are made later."""
        self._mailbox = socketpair(AF_UNIX, SOCK_DGRAM)

    def listen_on(self, read: socket) -> None:
        """Look from now on at what comes on a connection that is subscribed to holds.

        Args:
            read: The connection's own, which someone else reads. What comes encrypted tells nothing
                before that.
        """
        if isinstance(read, ssl.SSLSocket):
            self._replace(None)
            return
        # a second one: the first may be closed at any time, and its number given to another
        own = fromfd(read.fileno(), read.family, read.type)
        self._replace(own)
        self._peeked_as = self._connected[0] + 1
        if self._mailbox:
            inbox, outbox = self._mailbox
            with suppress(BlockingIOError):  # there was none before
                inbox.recv(1, MSG_DONTWAIT)
            send_fds(outbox, [b"1"], [own.fileno()])
        self._connected[0] = self._peeked_as

    def close(self) -> None:
        """Look at no connection any more."""
        self._replace(None)
        mailbox, self._mailbox = self._mailbox, ()
        for end in mailbox:
            end.close()

    def _replace(self, new: socket | None) -> None:
        before, self._peeked = self._peeked, new
        if before is not None:
            before.close()

    def _take_over(self) -> None:
        """Look at the connection that the parent made after this process was forked.

        The descriptor stays in the mailbox, for others that want one of their own.
        """
        made = self._connected[0]
        with suppress(BlockingIOError):  # the parent makes another one just now
            # not recv_fds: it forgets its flags (Python 3.11 to 3.13), and would take and wait
            space = CMSG_SPACE(DESCRIPTOR.size)
            _, sent, _, _ = self._mailbox[0].recvmsg(1, space, PEEK_AT_ONCE)
            for _, _, descriptor in sent:
                # the one before is closed once no other thread looks at it any more
                own = socket(fileno=DESCRIPTOR.unpack(descriptor)[0])
                own.set_inheritable(False)
                self._peeked, self._peeked_as = own, made

    def hear(self, message: dict[str, Any]) -> None:
        """Heed a message that was read; call ``look`` right before it is read."""
        if message["data"] != self._bucket:
            return
        if self._unread[0] > 0:  # and noted: whatever was claimed since then need not wait
            self._unread[0] -= 1
        else:
            self._note()

    def look(self) -> None:
        """Note what has come and was not read yet; from any thread or forked process."""
        came = self._peek().count(self._message)
        if came > self._unread[0]:
            self._note()
        self._unread[0] = came  # what is never read must not stop every job from now on

    def came_after(self, claim: Claim) -> bool:
        """Return whether the bucket was held after a job was asked for, so that it must wait.

        Whoever asked later was told of the hold, and got a job only once it was over.
        """
        self.look()
        return self._heard_us[0] / SECOND_US > claim.asked_at

    def came_lately_after(self, claim: Claim, now: float) -> bool:
        """Return the same, as of a look within the last millisecond.

        For whoever starts many jobs at once: each look is a system call.

        Args:
            claim: Of the job.
            now: The present, monotonic seconds.
        """
        if now - self._looked_at >= LOOK_AGAIN_SECONDS:
            self.look()
            self._looked_at = now  # not before, or another thread would go by a look to come
        return self._heard_us[0] / SECOND_US > claim.asked_at

    def note_gap(self) -> None:
        """Take it for news that nothing could be heard until now: there may have been a hold."""
        self._note()

    def _note(self) -> None:
        self._heard_us[0] = round(time.monotonic() * SECOND_US)

    def _peek(self) -> bytes:
        if self._mailbox and self._peeked_as != self._connected[0]:
            self._take_over()
        peeked = self._peeked
        if peeked is None:
            return b""
        try:
            return peeked.recv(PEEKED_BYTES, PEEK_AT_ONCE)
        except OSError:  # nothing has come, or the connection is gone, whose thread makes another
            return b""
