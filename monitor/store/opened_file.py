"""`OpenedFile`: which SQLite file was opened, and that the path still leads to it.

SQLite finds the write-ahead log by the path of its database. Where another file has taken that path, connections to the
one before and to the new one would use one log and one index of it: both files would be damaged, and the process may
end by a signal. So the store asks before it connects and before it commits, and lets go of a file as a whole.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from monitor.store.errors import StoreUnavailable

_CHECKPOINT_WAIT = 1.0
"""Seconds that others may keep the log of a file that is let go."""


class OpenedFile:
    """A SQLite file that stays open until it is let go. All methods block.

    Args:
        path: A file that exists, in WAL mode.
        where: The path, for people.

    Raises:
        sqlite3.Error: It cannot be opened.
        StoreUnavailable: Another file took the path meanwhile.
    """

    def __init__(self, path: Path, where: str) -> None:
        self._path = path
        self._where = where
        before = self._identity()
        self._connection = sqlite3.connect(
            path, timeout=_CHECKPOINT_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            # only now it is opened, and its log
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._opened = self._identity()
            if self._opened is None or self._opened != before:
                raise self._lost()
        except BaseException:
            self._connection.close()
            raise

    def verify(self) -> None:
        """See that the path leads to this file.

        Raises:
            StoreUnavailable: It leads to another one, or to none.
        """
        if self._identity() != self._opened:
            raise self._lost()

    def finish(self) -> None:
        """Put what is only in the log of a file that was moved into it, wherever it is now: no other file takes that
        log for its own.

        Raises:
            sqlite3.Error: It cannot be done.
            StoreUnavailable: Another program reads in the file.
        """
        if self._identity() != self._opened:
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise StoreUnavailable(
                    f"store {self._where} was moved away while another program reads it; end that program"
                )

    def close(self) -> None:
        """Close the file, after all other connections to it, and after `finish`."""
        self._connection.close()

    def _identity(self) -> tuple[int, int] | None:
        """Device and number of the file at the path; None where there is none."""
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(
                f"store {self._where} cannot be looked at ({error.strerror}); check the disk and its mount"
            ) from None
        return found.st_dev, found.st_ino

    def _lost(self) -> StoreUnavailable:
        if self._path.exists():
            said = (
                "is another file than the one that was opened: it was replaced while the service ran; it is "
                "opened "
                "again in some seconds"
            )
        else:
            said = (
                "is no longer there: it was deleted or moved away while the service ran; a new, empty one is "
                "begun "
                "in some seconds"
            )
        return StoreUnavailable(f"store {self._where} {said}")
