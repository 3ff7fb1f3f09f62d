"""What the demo tells while it works: a line for each step, with a spinner and the seconds where one waits."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Context manager: `begin` shows a step until the next begins; at the end of the block the last one is done."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet."""
        self.console = console
        self._text: str | None = None
        self._began = 0.0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        # Without a terminal there is nothing to rewrite: a line at the end of a step must do.
        self._live = console.is_terminal

    def __enter__(self) -> Steps:
        """Begin to show."""
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the last step: done, or not where an exception leaves the block."""
        self._end("[green]✓[/]" if error is None else "[red]✗[/]")
        if self._live:
            self._progress.stop()

    def begin(self, text: str) -> None:
        """End the step before, and begin this one."""
        self._end("[green]✓[/]")
        self._text, self._began = text, time.monotonic()
        if self._live:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._progress.add_task(escape(text))

    def tell(self, text: str) -> None:
        """Print a line (with rich's markup) that belongs to the step."""
        self.console.print(f"  {text}", highlight=False)

    def _end(self, sign: str) -> None:
        if self._text is not None:
            seconds = time.monotonic() - self._began
            self.console.print(f"{sign} {escape(self._text)} [dim]({seconds:.1f} s)[/]", highlight=False)
        self._text = None
