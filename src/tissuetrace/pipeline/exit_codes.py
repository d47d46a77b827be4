"""How stages ended, told to the command that waits for DVC, which itself keeps it to a line."""

import os
from pathlib import Path

__all__ = ["EXIT_CODES_VARIABLE", "read_exit_codes", "write_exit_code"]

EXIT_CODES_VARIABLE = "TISSUETRACE_EXIT_CODES"


def write_exit_code(code: int) -> None:
    """Add this process's exit code to the file that the environment names, if it names one."""
    target = os.environ.get(EXIT_CODES_VARIABLE)
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(f"{code} {os.environ.get('DVC_STAGE', 'unknown')}\n")


def read_exit_codes(file: Path) -> dict[str, int]:
    """Return the stages that failed, by their names in DVC, and their exit codes."""
    if not file.exists():
        return {}
    lines = [line.partition(" ") for line in file.read_text(encoding="utf-8").splitlines()]
    return {name: int(code) for code, _, name in lines}
