"""Writes the dashboards: `python -m deploy.grafana.builder [FOLDER]`, from the root of the repository."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.builder import fleet, frame, monitor, target

DASHBOARDS = {"fleet": fleet.dashboard, "target": target.dashboard, "monitor": monitor.dashboard}


def main() -> None:
    """Write each dashboard to its file in the folder given, or where they are committed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "dashboards"
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in DASHBOARDS.items():
        content = build().build()
        frame.arranged(content)
        text = json.dumps(content, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
