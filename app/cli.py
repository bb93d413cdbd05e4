"""The `tallystick` command: a verb for each thing an operator does."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING, cast

import click

from app.serving import serve

if TYPE_CHECKING:
    from click import Command, Context, Group


class Verbs(click.Group):
    """Has `serve` at hand; the others, which need every part of the house, are fetched."""

    def list_commands(self, ctx: Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_others().list_commands(ctx)])

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        found = super().get_command(ctx, cmd_name)
        return found or _others().get_command(ctx, cmd_name)


def _others() -> Group:
    # What is imported stays: to look for garbage in it meanwhile takes a tenth of the time.
    gc.disable()
    try:
        return cast("Group", import_module("app.verbs.group").main)
    finally:
        gc.enable()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tallystick")
def main() -> None:
    """Sell an OpenAI-compatible API request by request for Cashu ecash."""


main.add_command(serve)


if __name__ == "__main__":
    main()
