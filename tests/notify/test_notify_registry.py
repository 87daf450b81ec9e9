"""The registry of notifiers: each kind of receiver that may be written has one."""

from __future__ import annotations

from typing import Any, get_type_hints

from monitor.config.receivers import NotifyConfig, model_of
from monitor.notify.registry import NOTIFIERS


def configured_by(notifier: Any) -> type:
    """The model that a notifier takes."""
    return get_type_hints(notifier.__init__)["config"]


def test_each_kind_has_a_notifier_of_its_model() -> None:
    """The kinds of `notify` are those of the registry, and each notifier takes the model of its kind."""
    models = {kind: model_of(kind) for kind in NotifyConfig.exactly_one}

    assert models == {kind: configured_by(notifier) for kind, notifier in NOTIFIERS.items()}
