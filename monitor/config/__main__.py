"""`python -m monitor.config > config/monitor.schema.json`: the JSON schema, after a change of the shapes."""

import sys

from monitor.config.schema import schema_text

sys.stdout.write(schema_text())
