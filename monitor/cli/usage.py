"""Wrong usage, said in one line with what to do; exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import IO, Any

import click


class OneLineUsageError(click.UsageError):
    """Wrong usage in one line, without the summary of the command's options that click puts above it."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line, to stderr where no file is named."""
        command = self.ctx.command_path if self.ctx else "impulse-monitor"
        text = " ".join(self.format_message().split()).rstrip(".")
        click.echo(f"{command}: {text}; see {command} --help", file=file, err=file is None)


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:  # a group alone: its help is the answer
        raise
    except click.UsageError as error:
        raise OneLineUsageError(error.format_message(), error.ctx) from None


class Commands(click.Group):
    """The command of commands: wrong usage of any of them is one line, and a misspelt one is told what may be meant."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options before the command's name."""
        with _in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the command, and run it."""
        with _in_one_line():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names."""
        name = args[0]
        near = get_close_matches(name, self.list_commands(ctx), n=1)
        if near and name not in self.commands and not name.startswith("-"):
            raise click.UsageError(f"No such command '{name}', did you mean {near[0]}?", ctx)
        return super().resolve_command(ctx, args)
