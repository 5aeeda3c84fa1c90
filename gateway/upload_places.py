"""Places for files that are sent and transcribed: nobody has all of them. Pure."""

from __future__ import annotations

from collections import Counter

from gateway.budgets import Met


class UploadPlaces:
    """Gives places and takes them back.

    Args:
        most: places, of which a quarter (one at least) is always left for somebody else; where
            there is only one, it is anybody's.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_one = max(1, most - max(1, most // 4))
        self._taken: Counter[str] = Counter()

    def take(self, owner: str) -> Met | None:
        """None: ``owner`` has one more, until :meth:`give_back`."""
        if self._taken.total() >= self._most:
            return Met("uploads", "too many files are being sent or transcribed; try later")
        if self._taken[owner] >= self._of_one:
            text = f"{self._of_one} files of yours are being sent or transcribed; try later"
            return Met("uploads", text)
        self._taken[owner] += 1
        return None

    def give_back(self, owner: str) -> None:
        """A file is done with."""
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]
