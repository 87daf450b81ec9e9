"""Random and mutated inputs for what reads foreign bytes: pages, `debugInfoJson`, the configuration, the web
configuration.

`python -m tests.chaos fuzz [--target page] [--inputs 100000] [--engine atheris]`; exit code 0 where nothing but the
documented errors was raised. With atheris (the extra `dev`) inputs are led by what they reach; the engine `random`
needs nothing and mutates bytes, JSON and YAML.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from monitor import config
from monitor.config import ConfigError
from monitor.figures import EvaluationSettings, evaluate
from monitor.simulator import Studio, projects, replies
from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder, SetChanged
from monitor.studio.decoding import MALFORMED, decode
from monitor.web import web_config

DATA = Path(__file__).parents[1] / "data" / "replies"
_page, _reply = msgspec.json.Decoder(wire.Page), msgspec.json.Decoder(wire.Reply)
_SETTINGS = EvaluationSettings(("metadata.site", "device_name"), 5, frozenset({"anomaly"}), frozenset({"idle"}))


def read_page(body: bytes) -> None:
    """What a pull makes of one body: decoded, as columns, fingerprinted, evaluated."""
    unknown: Counter[str] = Counter()
    with contextlib.suppress(msgspec.MsgspecError):
        decode(_reply, body, unknown)
    try:
        try:
            page = _page.decode(body)
        except MALFORMED:
            page = decode(_page, body, unknown)
    except msgspec.MsgspecError:
        return
    if not page.success:
        return
    builder = ColumnBuilder(("site",))
    builder.add(page)
    try:
        results = builder.finish()
    except SetChanged:
        return
    results.fingerprint()
    evaluate(results, _SETTINGS, 1)


def read_debug_info(text: bytes) -> None:
    """What a pull makes of one image's `debugInfoJson`, on a page with two more images."""
    before, after = _around_debug_info()
    read_page(before + json.dumps(text.decode("utf-8", "replace")).encode() + after)


@functools.cache
def _around_debug_info() -> tuple[bytes, bytes]:
    """A page of FOMO's before and after the first image's `debugInfoJson`: written once, since an input is a tenth of
    it.
    """
    page, mark = json.loads((DATA / "fomo-unnamed.json").read_bytes()), "what is tried"
    page |= {"totalCount": 3, "result": page["result"][:3], "predictions": page["predictions"][:3]}
    next(_debug_infos(page))["debugInfoJson"] = mark
    before, after = json.dumps(page).encode().split(json.dumps(mark).encode())
    return before, after


def _debug_infos(value: Any) -> Any:
    if isinstance(value, dict):
        if "debugInfoJson" in value:
            yield value
        for each in value.values():
            yield from _debug_infos(each)
    elif isinstance(value, list):
        for each in value:
            yield from _debug_infos(each)


_folder = tempfile.TemporaryDirectory()


def read_config(text: bytes) -> None:
    """What `check` makes of one configuration."""
    path = Path(_folder.name) / "monitor.yaml"
    path.write_bytes(text)
    with contextlib.suppress(ConfigError):
        config.load(path, {"NAME": "value", "EMPTY": ""})


def read_web_config(text: bytes) -> None:
    """What a start makes of one web configuration."""
    path = Path(_folder.name) / "web.yml"
    path.write_bytes(text)
    with contextlib.suppress(ConfigError):
        web_config.load(path, {"NAME": "value"})


def _pages() -> list[bytes]:
    makes = (*projects.KINDS, projects.kmeans_alone, projects.visual_anomaly_by_mean, projects.judged_freeform)
    studio = Studio([make(sizes={"testing": 1}) for make in makes])
    kept = [path.read_bytes() for path in sorted(DATA.glob("*.json"))]
    return [*(replies.page(studio, project, {}) for project in studio.projects.values()), *kept]


def _infos() -> list[bytes]:
    return [
        entry["debugInfoJson"].encode()
        for page in _pages()
        for entry in _debug_infos(json.loads(page))
        if entry["debugInfoJson"]
    ]


_CONFIG = """
studio: {url: "https://studio.example/v1", timeout: 60s, proxy: "http://user:${NAME}@proxy.example:3128"}
schedule: {cron: "*/20 6-22 * * mon-fri", timezone: Europe/Berlin}
stale_after: 3 intervals
baseline: {mode: rolling, age: 7d}
store: "sqlite:///x.db"
http: {listen: "[::1]:9890", external_url: "https://monitor.example/"}
limits: {classes: 30, slice_values: 20}
projects:
  - id: 12345
    api_key: ei_0123456789
    impulses: [1, 2]
    variants: [int8]
    labels: {team: edge}
    slices: [metadata.site, device_name]
    filters: {labels: [idle], metadata: [{key: site, op: "=", values: [lab]}]}
alerts:
  - {alert: AccuracyRegressed, metric: accuracy, drop: 0.03, for: 2 pulls, severity: warning}
notify:
  - webhook: {url: "https://hooks.example/path"}
  - apprise: {url: "json://user:secret@host.example/"}
"""
_WEB = """
tls_server_config:
  {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_auth_type: VerifyClientCertIfGiven}
basic_auth_users: {reader: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}
"""

TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "page": (read_page, _pages),
    "debug-info": (read_debug_info, _infos),
    "config": (read_config, lambda: [_CONFIG.encode()]),
    "web-config": (read_web_config, lambda: [_WEB.encode()]),
}
"""By name: what reads the input, and good inputs to begin with."""

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53 + 1, -(2**63), 2**64, 10**400),
    *(
        float("nan"),
        float("inf"),
        "",
        " ",
        "NaN",
        "1e999",
        "0x1",
        "\ud83d",
        "\x00",
        "é" * 300,
        "2026-13-45T99:99:99Z",
        [],
        {},
        [[]],
        [None],
    ),
]
_WORDS = (
    b"null",
    b"NaN",
    b"1e999",
    b"-",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"[" * 200,
    b"{",
    b"}",
    b'"',
    b"\\ud800",
    b"${",
    b"!!python",
    b"&a",
    b"*a",
    b": ",
)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut, repeat, overwrite, insert."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, until = sorted(rng.randrange(len(found) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                del found[at : min(until, at + rng.choice((1, 5, 10_000)))]
            case 1:
                found[at:at] = rng.choice(_WORDS)
            case 2 if found:
                found[min(at, len(found) - 1)] = rng.randrange(256)
            case 3:
                found[at:at] = found[at : min(until, at + 200)]
            case _:
                found[at : at + 4] = rng.choice(_WORDS)
    return bytes(found)


def mutate_tree(value: Any, rng: random.Random) -> Any:
    """Another value somewhere in decoded JSON or YAML: odd, absent, twice, or one from elsewhere."""
    found = copy.deepcopy(value)
    places = [(found, key) for found, key in _places(found)]
    for _ in range(rng.randint(1, 4)):
        holder, key = rng.choice(places)
        try:
            match rng.randrange(4):
                case 0 | 1:
                    holder[key] = copy.deepcopy(rng.choice(ODD))
                case 2:
                    del holder[key]
                case _:
                    other, place = rng.choice(places)
                    holder[key] = copy.deepcopy(other[place])
        except (IndexError, KeyError):  # went with one before
            continue
    return found


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(items):
        yield value, key
        yield from _places(each)


def mutated(seed: bytes, rng: random.Random, *, of_yaml: bool) -> bytes:
    """One input."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    if rng.random() < 0.4:
        return mutate_bytes(seed, rng)
    tree = mutate_tree(yaml.safe_load(seed) if of_yaml else json.loads(seed), rng)
    if not of_yaml:
        return json.dumps(tree).encode()
    try:
        return yaml.safe_dump(tree, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return mutate_bytes(seed, rng)


def at_random(target: str, inputs: int, seed: int) -> list[str]:
    """What so many random inputs led to beyond documented errors: tracebacks, each with its input."""
    reads, seeds = TARGETS[target]
    rng, good = random.Random(seed), seeds()
    problems: dict[str, str] = {}
    slowest = 0.0
    for _ in range(inputs):
        data = mutated(rng.choice(good), rng, of_yaml="config" in target)
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's, of sums beyond the largest number: such figures are left out
                reads(data)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            problems.setdefault(
                f"{type(error).__name__} {where.filename}:{where.lineno}", f"{traceback.format_exc()}\n{data[:3000]!r}"
            )
        slowest = max(slowest, time.process_time() - began)
    print(
        f"{target}: {inputs} inputs, {len(problems)} kinds of unhandled error, the slowest {slowest:.2f} s", flush=True
    )
    return list(problems.values())


def main() -> int:
    """Try inputs, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument(
        "--engine",
        choices=("atheris", "random"),
        default="atheris" if importlib.util.find_spec("atheris") else "random",
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.engine == "random":
        problems = [
            each
            for target in ([arguments.target] if arguments.target else TARGETS)
            for each in at_random(target, arguments.inputs, arguments.seed)
        ]
        print("\n".join(problems))
        return int(bool(problems))
    failed = 0
    # each in a process of its own: the engine ends its process
    for target in [arguments.target] if arguments.target else TARGETS:
        code = subprocess.run(
            [sys.executable, "-m", "tests.chaos.led", target, str(arguments.inputs)], check=False
        ).returncode
        print(
            f"{target}: {arguments.inputs} inputs, {'no unhandled error' if code == 0 else f'exit code {code}'}",
            flush=True,
        )
        failed += code != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
