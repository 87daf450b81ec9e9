"""The models of the configuration: what may be written, its defaults and its meaning, and nothing about files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, SecretStr, Tag
from pydantic_core import InitErrorDetails

from monitor import __version__
from monitor.alerts.rule_file import WatchedProject
from monitor.alerts.rules import Rule
from monitor.config.alert_rules import Alert, rules
from monitor.config.alert_values import BUILT_IN
from monitor.config.base import ConfigModel, broken, default
from monitor.config.durations import Duration, Interval, PositiveDuration, Staleness, parse_duration
from monitor.config.filters import FilterConfig
from monitor.config.paths import CertificateFile, PresentSecretFile, ReadableFile, Secret, SecretFile, read_secret
from monitor.config.problems import ConfigError, Problem
from monitor.config.receivers import NotifyConfig, written_name
from monitor.config.schedules import longest_gap
from monitor.config.urls import HttpUrl, Listen, ProxyUrl, StoreUrl, StudioUrl
from monitor.config.values import (
    Count,
    Crontab,
    GroupBy,
    Labels,
    Positive,
    Slice,
    Text,
    Timezone,
    Unique,
    which,
    word_or_list,
)
from monitor.errors import AuthError
from monitor.figures.groups import AUTO

RUNBOOKS = f"https://github.com/impulse-monitor/impulse-monitor/blob/v{__version__}/docs/runbooks"
"""Where this version's runbooks are found, unless `http.runbook_url` says otherwise."""

Variant = Literal["int8", "float32", "akida"]


class Schedule(ConfigModel):
    """When to pull: `every` so often, or by a `cron` expression."""

    exactly_one = ("every", "cron")
    needs: ClassVar[Mapping[str, str]] = {"timezone": "cron"}

    every: Interval | None = None
    """Time between two pulls, at least `1s`; `check` warns under `1m`. Each project's entry keeps its own offset on
    this grid, so that projects are not all pulled at once.
    """
    cron: Crontab | None = None
    """Five crontab fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday). Days of the month and
    of the week cannot both be given.
    """
    timezone: Timezone = "UTC"
    """Time zone of `cron`: a name of the IANA database, such as `Europe/Berlin`."""

    @property
    def interval(self) -> float:
        """Seconds between two pulls; for `cron` the longest gap between firings."""
        if self.every is not None:
            return self.every
        assert self.cron is not None  # one of the two is always written
        return longest_gap(self.cron)


BUDGETS = ("requests_in_flight", "requests_in_flight_per_key")


class StudioConfig(ConfigModel):
    """How Edge Impulse Studio is reached."""

    url: StudioUrl = "https://studio.edgeimpulse.com/v1"
    """Base URL of the Studio API, with the `/v1` at its end."""
    site: HttpUrl | None = None
    """Address of Studio's pages, for links to them. Without it, `url` without the `/v1` at its end."""
    timeout: PositiveDuration = default("60s")
    """For one request, from its start to the last byte."""
    requests_in_flight: Positive = 4
    """Requests at the same time, over all projects."""
    requests_in_flight_per_key: Positive = 2
    """Requests at the same time with one API key."""
    discover: Interval = default("1h")
    """How often projects, impulses and variants are looked up again; at least `1s`."""
    proxy: ProxyUrl | None = None
    """HTTP proxy for Studio, `http://host:port`. Without it the variables `HTTPS_PROXY` and `NO_PROXY` are honoured."""
    ca_file: CertificateFile | None = None
    """Certificates (PEM) of a private authority to trust instead of the system's."""

    @property
    def pages(self) -> str:
        """Where Studio's pages are, without a slash at the end."""
        return self.site or self.url.removesuffix("/v1")

    def share(self, budget: str, shards: int) -> int:
        """What one of so many shards takes of one of the `BUDGETS`: an equal part, rounded down, 1 at least."""
        whole: int = getattr(self, budget)
        return max(1, whole // shards)


class LimitsConfig(ConfigModel):
    """How many series one target may have."""

    classes: Count = 30
    """Classes up to which the confusion matrix is exported (it has classes² series)."""
    slice_values: Count = 20
    """Values per slice that are exported."""


class ExpositionConfig(ConfigModel):
    """Which series of a target are exported: in a large fleet those by class are most of all. Pages, alerts and the API
    are the same without them.
    """

    classes: bool = True
    """Whether figures of each class are exported: precision, recall and its bounds, F1, windows, average precision."""
    confusion: bool = True
    """Whether confusion matrices are exported: up to `limits.classes`² series."""

    @property
    def left_out(self) -> frozenset[str]:
        """The keys that are false."""
        return frozenset(name for name, exported in self if not exported)


class BaselineConfig(ConfigModel):
    """Which run each target is compared with."""

    mode: Literal["pinned", "previous", "rolling"] = "pinned"
    """`pinned`: the first good run, until another is pinned; `previous`: the last run with other results; `rolling`:
    the newest run that is at least `age` old.
    """
    age: Interval | None = None
    """Required for `rolling`: the least age of the baseline, such as `7d`; less than `retention`."""

    @classmethod
    def add_rules(cls, schema: dict[str, Any]) -> None:
        """Add that `age` belongs to `rolling`."""
        super().add_rules(schema)
        rolling = {"properties": {"mode": {"const": "rolling"}}, "required": ["mode"]}
        schema |= {"if": rolling, "then": {"required": ["age"]}, "else": {"properties": {"age": {"type": "null"}}}}

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        rolling = data.get("mode") == "rolling"
        if rolling and data.get("age") is None:
            yield broken(("mode",), "needs age; write for example `age: 7d` beside it")
        if not rolling and data.get("age") is not None:
            yield broken(("age",), "means nothing but for mode rolling; remove it, or write `mode: rolling`")


class HttpConfig(ConfigModel):
    """The service's own endpoints."""

    listen: Listen = default("127.0.0.1:9890")
    """`HOST:PORT`; `[::1]:9890` for IPv6; `:9890` for every interface; port `0` takes a free one."""
    health_listen: Listen | None = None
    """`HOST:PORT` that answers `/-/healthy` and `/-/ready` alone, without TLS or password: for probes that have neither
    certificate nor password.
    """
    external_url: HttpUrl | None = None
    """Address under which users reach this service: for links in alerts and pages."""
    runbook_url: HttpUrl | None = None
    """Address of the pages of `docs/runbooks`: alerts link to `ADDRESS/ALERT.md`. Without it, this version's pages on
    the project's own site.
    """
    web_config_file: ReadableFile | None = None
    """File with TLS and basic authentication, in the format of Prometheus's exporter-toolkit; see `docs/security.md`.
    """
    admin_token_file: PresentSecretFile | None = None
    """File with the bearer token of the `POST` endpoints, which are off without it. Read again at each use."""

    def read_admin_token(self) -> SecretStr | None:
        """The token as the file has it now; None where no file is configured.

        Raises:
            ConfigError: The file cannot be read or holds no token.
        """
        if self.admin_token_file is None:
            return None
        try:
            return read_secret(self.admin_token_file)
        except ValueError as error:
            raise ConfigError(
                [Problem(self.admin_token_file, 1, "", f"the file of http.admin_token_file {error}")]
            ) from None


class TargetSelection(ConfigModel):
    """Which targets an entry stands for."""

    id: Positive
    """The project's number, as in the address of its page in Studio."""
    impulses: Annotated[
        Annotated[Literal["all"], word_or_list("all", "[1, 4]"), Tag("word")]
        | Annotated[tuple[Positive, ...], Field(min_length=1), Unique, Tag("list")],
        Discriminator(which),
    ] = "all"
    """`all`, or a list of impulse numbers: `[1, 4]`."""
    variants: Annotated[
        Annotated[Literal["enabled"], word_or_list("enabled", "[int8, float32]"), Tag("word")]
        | Annotated[tuple[Variant, ...], Field(min_length=1), Unique, Tag("list")],
        Discriminator(which),
    ] = "enabled"
    """`enabled` (those that Studio has enabled), or a list of `int8`, `float32`, `akida`."""
    category: Literal["testing", "training", "validation", "post-processing"] = "testing"
    """The part of the data set whose results are read."""

    def overlaps(self, other: TargetSelection) -> bool:
        """Whether both could give the same target; `all` and `enabled` may mean anything."""
        return (
            (self.id, self.category) == (other.id, other.category)
            and ("all" in (self.impulses, other.impulses) or not set(self.impulses).isdisjoint(other.impulses))
            and ("enabled" in (self.variants, other.variants) or not set(self.variants).isdisjoint(other.variants))
        )


class ProjectConfig(TargetSelection):
    """One project of Studio, and which of its results are watched."""

    exactly_one = ("api_key", "api_key_file")

    api_key: Secret | None = None
    """The project's API key; a read-only one suffices, but for `refresh`. Better `${NAME}` than in plain text."""
    api_key_file: SecretFile | None = None
    """File with the API key, in place of `api_key`. Read again at each pull, so a key can be
    rotated without a restart.
    """
    schedule: Schedule | None = None
    """This project's own schedule, in place of the general one."""
    labels: Labels = default({})
    """Labels for this project's alerts and for `edge_impulse_target_info`. Names as in Prometheus, without those of the
    series, the alerts and Prometheus itself. Values must not be empty.
    """
    filters: FilterConfig | None = None
    """Which samples count; without it all of the category. Changing it starts a new baseline."""
    group_by: GroupBy = AUTO
    """Which samples are perhaps alike because they came together: `auto` (of one device and UTC day), `none`, or
    `metadata.KEY` (each week, from Monday on, UTC, for itself: a site that always sends samples would be a group that
    never ends). The first run says whether they are; then intervals and tests count groups instead of samples.
    """
    slices: Annotated[tuple[Slice, ...], Unique] = ()
    """By what quality is also given in parts: `metadata.KEY` or `device_name`."""
    refresh: Literal["never", "when_stale", "always"] = "never"
    """Whether a model-testing job is started in Studio before a pull. `when_stale`: where Studio says that the impulse
    is stale, or holds no results; `always`: before each. Spends the project's compute, and needs an admin's key.
    """

    def read_key(self) -> SecretStr:
        """The API key; from `api_key_file` as the file has it now. Blocks for the time of reading a small file.

        Raises:
            AuthError: The file cannot be read or holds no key.
        """
        if self.api_key is not None:
            return self.api_key
        assert self.api_key_file is not None  # one of the two is always written
        try:
            return read_secret(self.api_key_file)
        except ValueError as error:
            raise AuthError(f"project {self.id}: the API key file {self.api_key_file}", "", f" {error}") from None


class IncludedFile(ConfigModel):
    """A file named by `include`."""

    projects: tuple[ProjectConfig, ...] = ()
    """More projects."""


class Config(ConfigModel):
    """Configuration of Impulse Monitor."""

    studio: StudioConfig = default({})
    """How Edge Impulse Studio is reached."""
    store: StoreUrl = default("sqlite:///impulse-monitor.db")
    """Where runs are kept: `sqlite:///FILE`, `sqlite:////ABSOLUTE/FILE` or `postgresql://USER@HOST/DATABASE`. The
    folder of a SQLite file must exist. A password in a PostgreSQL URL is percent-encoded, and best taken from a
    variable.
    """
    schedule: Schedule = default({"every": "15m"})
    """When projects without a schedule of their own are pulled."""
    retention: PositiveDuration = default("90d")
    """How long runs are kept. A baseline and a target's last good run are never deleted."""
    stale_after: Staleness = default("3 intervals")
    """How old the last good figures may get before they are no longer exported: `N intervals` of the target's schedule,
    or a duration.
    """
    limits: LimitsConfig = default({})
    """How many series one target may have."""
    exposition: ExpositionConfig = default({})
    """Which series of a target are exported."""
    baseline: BaselineConfig = default({})
    """Which run each target is compared with."""
    include: tuple[Text, ...] = ()
    """More files with `projects:` (and nothing else), as paths or patterns such as `projects.d/*.yaml`."""
    projects: tuple[ProjectConfig, ...] = ()
    """The projects to watch."""
    defaults: Literal["on", "off"] = "on"
    """`off` drops the built-in alerts, except those that are named below `alerts`."""
    alerts: tuple[Alert, ...] = ()
    """Alerts beside the built-in ones; one of a built-in alert's name changes or replaces that one."""
    notify: tuple[NotifyConfig, ...] = ()
    """Receivers of alerts."""
    http: HttpConfig = default({})
    """The service's own endpoints."""
    shutdown_grace: Duration = default("10s")
    """How long pulls in flight may take to end when the service stops; `0` cancels them."""

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        yield from super()._broken_rules(data)
        alerts, notify = (
            entries if isinstance(entries := data.get(key), list | tuple) else () for key in ("alerts", "notify")
        )
        for index, first in _repeated([each.get("alert") if isinstance(each, Mapping) else None for each in alerts]):
            yield broken(
                ("alerts", index, "alert"),
                f"is the name of entry {first + 1} too; choose another, or remove one of them",
            )
        for index, first in _repeated(list(map(written_name, notify))):
            yield broken(
                ("notify", index), f"is called the same as entry {first + 1}; write `name: ...` with a name of its own"
            )
        baseline = data.get("baseline")
        try:
            age = parse_duration(baseline["age"])  # type: ignore[index]
            kept = parse_duration(data.get("retention", "90d"))
        except (TypeError, KeyError, ValueError):
            return  # wrong or absent, which is said elsewhere
        if age >= kept:
            yield broken(
                ("baseline", "age"),
                "is not less than retention, so that no run gets so old; write a shorter one, or keep runs longer",
            )

    def rules(self) -> tuple[Rule, ...]:
        """The alerts that apply: the built-in ones, as far as they are not replaced or off, then the others; each with
        its runbook.
        """
        found = rules(self.alerts, self.defaults == "on")
        base = self.http.runbook_url or RUNBOOKS
        return tuple(
            replace(rule, runbook=f"{base}/{rule.name}.md") if rule.name in BUILT_IN else rule for rule in found
        )

    def watched(self) -> tuple[WatchedProject, ...]:
        """The projects, as a rule file for Prometheus needs to know them."""
        return tuple(
            WatchedProject(each.id, each.category, self.schedule_of(each).interval, each.labels)
            for each in self.projects
        )

    def schedule_of(self, project: ProjectConfig) -> Schedule:
        """The project's own schedule, else the general one."""
        return project.schedule or self.schedule

    def stale_after_of(self, project: ProjectConfig) -> float:
        """Seconds after a project's last good pull until its figures leave."""
        return self.stale_after.resolve(self.schedule_of(project).interval)


def _repeated(names: Sequence[object]) -> Iterator[tuple[int, int]]:
    """For each name that stands before it already, its index and that of the first."""
    for index, name in enumerate(names):
        if name is not None and (first := names.index(name)) < index:
            yield index, first
