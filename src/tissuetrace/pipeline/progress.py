"""A progress bar on a terminal, nothing elsewhere."""

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["progress"]

T = TypeVar("T")


def progress(items: Iterable[T], *, title: str, total: int | None = None) -> Iterable[T]:
    """Iterate, with a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal:
        return items
    return track(items, description=title, total=total, console=console, transient=True)
