"""The door to the tour: a program of its own, for nobody who serves needs what it imports."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.demo.tour import Tour


@click.command()
@click.option("--directory", type=click.Path(path_type=Path), required=True)
@click.option("--exit/--stay", "leave", default=False)
def main(directory: Path, *, leave: bool) -> None:
    """Run the tour; `tallystick demo` explains it."""
    upstream = os.environ.get("UPSTREAM_BASE_URL")
    sys.exit(Tour(directory, upstream, stay=not leave).run())


if __name__ == "__main__":
    main()
