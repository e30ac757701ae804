"""The two consoles of this process, and how text that comes from outside is printed: no markup, nothing hidden."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

__all__ = ["ERR", "OUT", "print_line", "printable"]

OUT, ERR = Console(), Console(stderr=True)


def printable(text: str) -> str:
    """Control characters made visible: a file's name must not move the cursor or forge a line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def print_line(text: str, style: str = "", *, console: Console = OUT) -> None:
    """Print a line as it is: no markup, control characters visible, and not broken where the terminal ends."""
    console.print(Text(printable(text), style=style), soft_wrap=True)
