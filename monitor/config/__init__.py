"""What the operator writes: its models, and reading it with every problem at its line.

`load` gives a `Config` or raises `ConfigError`; `fingerprint` says whether loading again could give another one.
"""

from monitor.config.alert_rules import AlertConfig
from monitor.config.filters import FilterConfig, FiltersCombinator, MetadataFilter, NoMetadata
from monitor.config.loading import Loaded, fingerprint, load, load_for_store
from monitor.config.models import (
    BaselineConfig,
    Config,
    ExpositionConfig,
    HttpConfig,
    LimitsConfig,
    ProjectConfig,
    Schedule,
    StudioConfig,
)
from monitor.config.problems import ConfigError, Problem
from monitor.config.receivers import NotifyConfig
from monitor.config.schedules import StaleAfter, cron_trigger
from monitor.config.schema import schema
from monitor.config.urls import Address

__all__ = [
    "Address",
    "AlertConfig",
    "BaselineConfig",
    "Config",
    "ConfigError",
    "ExpositionConfig",
    "FilterConfig",
    "FiltersCombinator",
    "HttpConfig",
    "LimitsConfig",
    "Loaded",
    "MetadataFilter",
    "NoMetadata",
    "NotifyConfig",
    "Problem",
    "ProjectConfig",
    "Schedule",
    "StaleAfter",
    "StudioConfig",
    "cron_trigger",
    "fingerprint",
    "load",
    "load_for_store",
    "schema",
]
