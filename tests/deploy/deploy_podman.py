"""podman without an engine behind it and without a registry: what the tests of the image build and run with.

The base image is made here, from Debian's packages, and carries the name that the Dockerfile's FROM has. It is kept in
the user's cache folder, with the layers of the last build: both are made once per machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from monitor import __version__

ROOT = Path(__file__).parents[2]
IMAGE = f"localhost/impulse-monitor:test-{sha256(bytes(ROOT)).hexdigest()[:8]}"
"""Of this working tree: the tests of another one build theirs in the same storage, perhaps now."""

HARDENED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "512m", "--pids-limit", "200"),
    # podman runs them by systemd timers, which not every machine has; the tests run the command themselves
    "--no-healthcheck",
)
"""How every container of the tests runs."""

_CONTAINERS = """\
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_PATHS = ("usr/share/man", "usr/share/doc", "usr/share/locale")
_LIKE_THE_PYTHON_IMAGE = """\
for name in python3 python3.11; do ln -s /usr/bin/$name "$1/usr/local/bin/$name"; done
ln -s python3 "$1/usr/local/bin/python"
rm -f "$1/usr/lib/python3.11/EXTERNALLY-MANAGED"
: > "$1/etc/pip.conf"
"""


def from_name() -> str:
    """The name of the Dockerfile's base image."""
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("ARG PYTHON_IMAGE="):
            return line.partition("=")[2]
    raise AssertionError("the Dockerfile names no PYTHON_IMAGE")


@dataclass(frozen=True, slots=True)
class Podman:
    """podman with a storage of its own under `folder`."""

    program: str
    folder: Path

    @property
    def command(self) -> list[str]:
        """podman with its options for the storage."""
        return [
            self.program,
            "--root",
            str(self.folder / "root"),
            "--runroot",
            str(self.folder / "run"),
            "--storage-driver",
            "overlay",
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The variables it runs with."""
        return os.environ | {"CONTAINERS_CONF": str(self.configuration)}

    @property
    def configuration(self) -> Path:
        """Its configuration: written once and put in place whole, because a podman that reads half of one says nothing
        and goes by its defaults, which need more rights than a container of a CI has.
        """
        path = self.folder / f"containers-{sha256(_CONTAINERS.encode()).hexdigest()[:8]}.conf"
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False, encoding="utf-8") as file:
                file.write(_CONTAINERS)
            os.replace(file.name, path)
        return path

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one command of podman; raises AssertionError with its output where it fails and `check` is set."""
        done = subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"podman {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
        return done

    def make_base(self, mmdebstrap: str, name: str) -> None:
        """Make the stand-in of Python's image, unless it is there."""
        if self("image", "exists", name, check=False).returncode == 0:
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            archive = str(Path(folder) / "base.tar")
            options = [f"--dpkgopt=path-exclude=/{path}/*" for path in _PATHS]
            options += [
                "--dpkgopt=force-unsafe-io",
                '--aptopt=APT::Install-Recommends "false"',
                '--aptopt=Acquire::Languages "none"',
            ]
            options += [
                "--include=python3,python3-pip,python3-venv,ca-certificates",
                f"--customize-hook={_LIKE_THE_PYTHON_IMAGE}",
            ]
            command = [mmdebstrap, "--quiet", "--variant=minbase", "--mode=root", *options, "bookworm", archive]
            done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
            changes = (
                "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "ENV LANG=C.UTF-8",
                'CMD ["python3"]',
            )
            self(
                "import",
                "-q",
                *(part for change in changes for part in ("--change", change)),
                archive,
                name,
                timeout=300,
            )

    def build(self, *options: str) -> str:
        """Build the repository's Dockerfile as `IMAGE`; answers the image's id. The build trusts the machine's
        authorities.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            pip = Path(folder) / "pip.conf"
            pip.write_text(f"[global]\ncert = {_AUTHORITIES}\n", encoding="utf-8")
            authorities = os.environ.get("SSL_CERT_FILE", _AUTHORITIES)
            volumes = ("--volume", f"{authorities}:{_AUTHORITIES}:ro", "--volume", f"{pip}:/etc/pip.conf:ro")
            # The docker format, because the other one has no health check.
            how: tuple[str, ...] = (
                "--pull=never",
                "--isolation",
                "chroot",
                "--format",
                "docker",
                "--network",
                "host",
                *volumes,
            )
            how += ("--build-arg", f"VERSION={__version__}")
            done = self("build", "-q", *how, *options, "-t", IMAGE, str(ROOT), timeout=500)
        return done.stdout.strip().splitlines()[-1]

    def inspect(self, identity: str, kind: str = "container") -> dict[str, Any]:
        """What podman knows about a container or an image."""
        return dict(json.loads(self(kind, "inspect", identity).stdout)[0])

    @contextmanager
    def container(self, *arguments: str, options: tuple[str, ...] = ()) -> Iterator[Container]:
        """A hardened container of `IMAGE`, removed with its volumes at the end."""
        identity = self("create", *HARDENED, *options, IMAGE, *arguments).stdout.strip()
        try:
            self("start", identity)
            yield Container(self, identity)
        finally:
            self("rm", "-f", "-v", "-t", "0", identity)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that was started."""

    podman: Podman
    id: str

    def run(self, *command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command inside it."""
        variables = [part for name, value in (environment or {}).items() for part in ("-e", f"{name}={value}")]
        return self.podman("exec", *variables, self.id, *command, check=False)

    def mount_options(self, path: str) -> list[str]:
        """The options that the kernel has mounted `path` with; only root could tell otherwise
        whether it is read-only.
        """
        mounts = [line.split(" ") for line in self.run("cat", "/proc/mounts").stdout.splitlines()]
        return [options for _, target, _, options, *_ in mounts if target == path][-1].split(",")

    def logs(self) -> str:
        """All it has written."""
        done = self.podman("logs", self.id)
        return done.stdout + done.stderr

    def state(self) -> dict[str, Any]:
        """Its state, such as ExitCode and OOMKilled."""
        return dict(self.podman.inspect(self.id)["State"])
