"""The command `impulse-monitor`: what a person can type. Results go to stdout, logs to stderr; exit 1 means that the
answer is no.
"""

from __future__ import annotations

import click

from monitor.cli import copying, init, notify, reference, service, store, studio
from monitor.cli.common import version_option
from monitor.cli.usage import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@version_option
def main() -> None:
    """Watch models tested in Edge Impulse Studio and alert when they get worse."""


for _command in (
    service.run,
    service.demo,
    init.init,
    studio.check,
    studio.pull,
    store.history,
    store.baseline,
    store.samples,
    store.alerts,
    copying.store,
    notify.notify,
    reference.rules,
    reference.metrics,
    service.simulate,
):
    main.add_command(_command)
