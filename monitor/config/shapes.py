"""The shape of the configuration: what may be written, its defaults and its meaning, and nothing about files.

Every attribute's docstring is also its description in the JSON schema. The models are immutable and equal by value, so a
reload can compare the old with the new.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from monitor.config.problems import ConfigError, Problem
from monitor.config.schedules import longest_gap
from monitor.config.values import (
    CertificateFile,
    Count,
    Crontab,
    Duration,
    HttpUrl,
    Interval,
    Labels,
    Listen,
    Positive,
    PositiveDuration,
    ProxyUrl,
    Secret,
    SecretFile,
    Slice,
    Staleness,
    StoreUrl,
    Text,
    Timezone,
    Unique,
    read_secret,
    which,
    word_or_list,
)
from monitor.errors import AuthError

NOT_YET: Mapping[str, frozenset[str]] = {
    "Config": frozenset({"alerts", "notify", "baseline"}),
    "ProjectConfig": frozenset({"refresh"}),
    "HttpConfig": frozenset({"web_config_file"}),
}
"""Keys that are planned but do nothing in this version, by model: refused rather than ignored. Remove one when its field is added."""

Variant = Literal["int8", "float32", "akida"]


def default(value: Any) -> Any:
    """A field whose default is written, and validated, as the operator would write it."""
    return Field(value, validate_default=True)


class Shape(BaseModel):
    """A mapping in the file. Reports all that is wrong with it at once, in sentences that repeat no value."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        json_schema_extra=lambda schema, model: model.add_rules(schema),
    )

    exactly_one: ClassVar[tuple[str, ...]] = ()
    """Keys of which exactly one must be written."""
    needs: ClassVar[Mapping[str, str]] = {}
    """Keys that mean nothing without another one."""

    @classmethod
    def add_rules(cls, schema: dict[str, Any]) -> None:
        """Add the rules between keys to the model's JSON schema."""
        if cls.exactly_one:
            schema["oneOf"] = [{"required": [name]} for name in cls.exactly_one]
            for name in cls.exactly_one:
                schema["properties"][name]["anyOf"].remove({"type": "null"})  # absent, but never empty
        if cls.needs:
            schema["dependentRequired"] = {name: [other] for name, other in cls.needs.items()}

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # pydantic would check rules between keys only where every key is right by itself: too late for one complete report
        errors = list(cls._broken_rules(data)) if isinstance(data, Mapping) else []
        try:
            shape = handler(data)
        except ValidationError as error:
            for each in error.errors(include_url=False):
                if each["type"] != "too_short" or not each["input"]:  # entries with errors of their own are not counted by pydantic
                    errors.append(_error(each["loc"], _message(cls, each)))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return shape

    @classmethod
    def _broken_rules(cls, data: Mapping[Any, Any]) -> Iterator[InitErrorDetails]:
        written = [name for name in cls.exactly_one if name in data]
        for name in written:
            if data[name] is None:
                yield _error((name,), "is empty; write a value, or remove the key")
        if len(written) > 1:
            yield _error((written[-1],), f"cannot stand beside {' and '.join(written[:-1])}; remove one of them")
        elif cls.exactly_one and not written:
            yield _error((), f"needs {' or '.join(cls.exactly_one)}; write one of them")
        for name, other in cls.needs.items():
            if name in data and other not in data:
                yield _error((name,), f"means nothing without {other}; remove it, or write {other}")


def _error(loc: tuple[int | str, ...], message: str) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("configuration", message), loc=loc, input=None)


def _message(shape: type[Shape], error: ErrorDetails) -> str:
    """What is wrong and what to write instead, in place of pydantic's words; never repeats the input."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return f"has no {error['loc'][-1]}; write `{error['loc'][-1]}: ...` below it"
    if kind == "extra_forbidden":
        return _unknown(shape, str(error["loc"][-1]))
    if kind == "configuration":
        return error["msg"]  # a shape further inside has explained it
    if error["input"] is None:
        return "is empty; write a value, or remove the key"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"write {str(context['expected']).replace(chr(39), '')}"
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}"
    sentences = {
        "model_type": "must be a mapping; write `key: value` lines below it",
        "model_attributes_type": "must be a mapping; write `key: value` lines below it",
        "dict_type": "must be a mapping; write `name: value` lines below it",
        "tuple_type": "must be a list; write [a, b], or one `- item` per line",
        "string_type": "must be text; put it into quotes",
        "path_type": "must be the path of a file; put it into quotes",
        "too_short": "must not be empty; write at least one entry, or remove the key",
        "string_too_short": "must not be empty; write a value, or remove the key",
    }
    return sentences.get(kind, error["msg"])


def _unknown(shape: type[Shape], key: str) -> str:
    if key in NOT_YET.get(shape.__name__, ()):
        return "is not available in this version; remove it"
    near = difflib.get_close_matches(key, shape.model_fields, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; write one of: {', '.join(shape.model_fields)}"


class Schedule(Shape):
    """When to pull: `every` so often, or by a `cron` expression."""

    exactly_one = ("every", "cron")
    needs: ClassVar[Mapping[str, str]] = {"timezone": "cron"}

    every: Interval | None = None
    """Time between two pulls, at least 1s. Each target keeps its own offset on this grid."""
    cron: Crontab | None = None
    """Five crontab fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday)."""
    timezone: Timezone = "UTC"
    """The time zone of `cron`, such as Europe/Berlin."""

    @property
    def interval(self) -> float:
        """Seconds between two pulls; for `cron` the longest gap between firings."""
        if self.every is not None:
            return self.every
        assert self.cron is not None  # one of the two is always written
        return longest_gap(self.cron)


class StudioConfig(Shape):
    """How Edge Impulse Studio is reached."""

    url: HttpUrl = "https://studio.edgeimpulse.com/v1"
    """Base URL of the Studio API."""
    timeout: PositiveDuration = default("60s")
    """For one request, from its start to the last byte."""
    requests_in_flight: Positive = 4
    """Requests at the same time, over all projects."""
    requests_in_flight_per_key: Positive = 2
    """Requests at the same time with one API key."""
    discover: Interval = default("1h")
    """How often projects, impulses and variants are looked up again."""
    proxy: ProxyUrl | None = None
    """HTTP proxy for Studio. Without it HTTPS_PROXY and NO_PROXY are honoured."""
    ca_file: CertificateFile | None = None
    """Certificates (PEM) of a private authority to trust instead of the system's."""


class LimitsConfig(Shape):
    """How many series one target may have."""

    classes: Count = 30
    """Classes up to which the confusion matrix is exported."""
    slice_values: Count = 20
    """Values per slice that are exported."""


class HttpConfig(Shape):
    """The service's own endpoints."""

    listen: Listen = default("127.0.0.1:9890")
    """HOST:PORT; [::1]:9890 for IPv6; :9890 for every interface; port 0 takes a free one."""
    external_url: HttpUrl | None = None
    """Under which users reach this service: for links in alerts and pages."""
    admin_token_file: SecretFile | None = None
    """File with the bearer token for the POST endpoints, which are off without it. Read again at each use."""

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
            raise ConfigError([Problem(self.admin_token_file, 1, "", f"the file of http.admin_token_file {error}")]) from None


class MetadataFilter(Shape):
    """One condition on the samples' metadata."""

    key: Text
    """The metadata key."""
    op: Literal["eq", "neq"] = "eq"
    """Whether samples with these values are taken (eq) or left out (neq)."""
    values: Annotated[tuple[Text, ...], Unique] = ()
    """The values; none means every value of the key."""


class FilterConfig(Shape):
    """Which samples count. Changing it starts a new baseline."""

    data_type: Literal["image", "audio"] | None = None
    """Only samples of this type."""
    labels: Annotated[tuple[Text, ...], Field(min_length=1), Unique] | None = None
    """Only samples with one of these labels."""
    metadata: Annotated[tuple[MetadataFilter, ...], Field(min_length=1)] | None = None
    """Only samples whose metadata meets all of these conditions."""


class TargetSelection(Shape):
    """Which targets an entry stands for."""

    id: Positive
    """The project's number, as in the address of its page in Studio."""
    impulses: Annotated[
        Annotated[Literal["all"], word_or_list("all", "[1, 4]"), Tag("word")]
        | Annotated[tuple[Positive, ...], Field(min_length=1), Unique, Tag("list")],
        Discriminator(which),
    ] = "all"
    """`all`, or a list of impulse numbers."""
    variants: Annotated[
        Annotated[Literal["enabled"], word_or_list("enabled", "[int8, float32]"), Tag("word")]
        | Annotated[tuple[Variant, ...], Field(min_length=1), Unique, Tag("list")],
        Discriminator(which),
    ] = "enabled"
    """`enabled` (whatever Studio has enabled), or a list of int8, float32, akida."""
    category: Literal["testing", "training", "post-processing"] = "testing"
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
    """The project's API key; a read-only one suffices. Better ${NAME} than in plain text."""
    api_key_file: SecretFile | None = None
    """File with the API key, in place of `api_key`. Read again at each pull, so a key can be rotated without a restart."""
    schedule: Schedule | None = None
    """This project's own schedule, in place of the general one."""
    labels: Labels = {}
    """Labels for this project's alerts and for edge_impulse_target_info."""
    filters: FilterConfig | None = None
    """Which samples count; without it all of the category."""
    slices: Annotated[tuple[Slice, ...], Unique] = ()
    """By what quality is also given in parts: metadata.KEY or device_name."""

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
            raise AuthError(f"project {self.id}: the API key file {self.api_key_file} {error}") from None


class IncludedFile(Shape):
    """A file named by `include`."""

    projects: tuple[ProjectConfig, ...] = ()
    """More projects."""


class Config(Shape):
    """Configuration of Impulse Monitor."""

    studio: StudioConfig = default({})
    """How Edge Impulse Studio is reached."""
    store: StoreUrl = default("sqlite:///impulse-monitor.db")
    """Where runs are kept: sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER@HOST/DATABASE."""
    schedule: Schedule = default({"every": "15m"})
    """When projects without a schedule of their own are pulled."""
    retention: PositiveDuration = default("90d")
    """How long runs are kept; never deletes a baseline, nor a target's last good run."""
    stale_after: Staleness = default("3 intervals")
    """How old the last good figures may get before they are no longer exported: `N intervals` of the schedule, or a duration."""
    limits: LimitsConfig = default({})
    """How many series one target may have."""
    include: tuple[Text, ...] = ()
    """More files with `projects:` (and nothing else), as paths or patterns such as projects.d/*.yaml."""
    projects: tuple[ProjectConfig, ...] = ()
    """The projects to watch."""
    http: HttpConfig = default({})
    """The service's own endpoints."""
    shutdown_grace: Duration = default("10s")
    """How long pulls in flight may take to end when the service stops."""

    def schedule_of(self, project: ProjectConfig) -> Schedule:
        """The project's own schedule, else the general one."""
        return project.schedule or self.schedule

    def stale_after_of(self, project: ProjectConfig) -> float:
        """Seconds after a project's last good pull until its figures leave."""
        return self.stale_after.resolve(self.schedule_of(project).interval)
