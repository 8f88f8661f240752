"""What the parent and the child of a pool both see, in memory that outlives the child."""

import mmap

HEAD = 8
"""Words in front of the places."""

BEAT, LOOP_BEAT, INTERRUPT, EXIT_PLACE, LEFT_BEHIND, WAKE_LATE_US = range(6)
"""Words of the head: when the child's watch and its loop last ran, whether the coroutine that keeps
the loop is to be interrupted, the place that ended the process by itself plus 1, how many functions
were left behind, and how late its watch comes round lately."""

WORDS = 4
STATE, LATE_US, THREAD_ID = range(3)
"""Words of a place: what its attempt does, how late that began, and the thread that runs it."""

FREE, WAITING, BEGUN = range(3)
"""States of a place."""

SECOND_US = 1_000_000


class SharedTable:
    """A head and a row for each place, as words that are written at once.

    Args:
        places: How many attempts run at once, >= 1.
    """

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, 8 * (HEAD + WORDS * places))
        self._words = memoryview(self._memory).cast("q")

    def beat(self, word: int, now: float) -> None:
        """Note a sign of life, at monotonic seconds."""
        self._words[word] = round(now * SECOND_US)

    def beat_at(self, word: int) -> float:
        """Return when the last sign of life was, in monotonic seconds."""
        return self._words[word] / SECOND_US

    def __getitem__(self, word: int) -> int:
        return self._words[word]

    def __setitem__(self, word: int, value: int) -> None:
        self._words[word] = value

    def enter(self, place: int) -> None:
        """Let an attempt wait for its slot."""
        row = HEAD + WORDS * place
        self._words[row + LATE_US] = self._words[row + THREAD_ID] = 0
        self._words[row + STATE] = WAITING

    def begin(self, place: int, late_us: int, thread_id: int) -> None:
        """Note that the function of a place is called."""
        row = HEAD + WORDS * place
        self._words[row + LATE_US] = late_us
        self._words[row + THREAD_ID] = thread_id
        self._words[row + STATE] = BEGUN

    def leave(self, place: int) -> None:
        """Let the place be free."""
        self._words[HEAD + WORDS * place + STATE] = FREE

    def is_empty(self, places: int) -> bool:
        """Return whether no attempt is in any of the places."""
        return all(self._words[HEAD + WORDS * place + STATE] == FREE for place in range(places))

    def has_begun(self, place: int) -> bool:
        """Return whether the function of a place was called."""
        return self._words[HEAD + WORDS * place + STATE] == BEGUN

    def late_us(self, place: int) -> int | None:
        """Return how long after its slot that was; None if it was not."""
        return self._words[HEAD + WORDS * place + LATE_US] if self.has_begun(place) else None

    def thread_id(self, place: int) -> int:
        """Return the kernel's id of the thread that runs it; 0 if none does."""
        return self._words[HEAD + WORDS * place + THREAD_ID] if self.has_begun(place) else 0
