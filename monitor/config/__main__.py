"""After a change of the models: `python -m monitor.config > config/monitor.schema.json` prints the JSON schema,
`python -m monitor.config --docs docs/configuration.md` writes the tables of that page.
"""

import sys
from pathlib import Path

from monitor.config.reference import with_tables
from monitor.config.schema import schema_text

match sys.argv[1:]:
    case []:
        sys.stdout.write(schema_text())
    case ["--docs", page]:
        path = Path(page)
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
    case _:
        sys.exit("usage: python -m monitor.config [--docs PAGE]")
