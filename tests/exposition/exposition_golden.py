"""Files that the code writes and people read: compared by the tests, written anew with `UPDATE_GOLDEN=1 pytest
tests/exposition`.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs"


def agree(path: Path, text: str) -> None:
    """Fail where the file is not `text`; write it instead where UPDATE_GOLDEN is set."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        f"{path.name} is out of date: see that the change is meant, then UPDATE_GOLDEN=1 pytest tests/exposition"
    )
