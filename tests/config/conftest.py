"""What the tests of the configuration share: a folder to write files into and read them back from."""

from pathlib import Path
from textwrap import dedent

import pytest

from monitor.config import ConfigError, Loaded, load

ENVIRON = {"EI_API_KEY": "ei_0123456789", "EMPTY": "", "PORT": "9999", "MINUTES": "5", "SHARE": "0.9"}


class Folder:
    """A temporary folder whose `monitor.yaml` is loaded with a known environment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.main = path / "monitor.yaml"

    def write(self, text: str, name: str = "monitor.yaml") -> Path:
        """Write a file, and the folders it lies in."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), "utf-8")
        return file

    def load(self, text: str, **environ: str) -> Loaded:
        """Load the text as the main file."""
        self.write(text)
        return load(self.main, ENVIRON | environ)

    def problems(self, text: str, **environ: str) -> list[str]:
        """What is wrong with the text, so that it cannot be used, one line each, with paths relative to the folder."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, **environ)
        return str(caught.value).replace(f"{self.path}/", "").splitlines()

    def unreadable(self, text: str) -> list[str]:
        """Which files of keys hold none although the text can be used, one line each."""
        return [str(problem).replace(f"{self.path}/", "") for problem in self.load(text).unreadable]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder."""
    return Folder(tmp_path)
