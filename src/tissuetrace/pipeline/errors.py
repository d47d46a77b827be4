"""What goes wrong for the user, in one line: where, what was found, what to do."""

from collections.abc import Sequence

__all__ = ["GateRefused", "InputError", "ProjectError"]


class ProjectError(Exception):
    """An outcome that the user is told in one line, without a traceback.

    Args:
        found: what is wrong, beside what was expected.
        where: the file, row, key or channel it was found in.
        todo: how to mend it, without a full stop.
        items: one line for each bad item, where there are several.
    """

    exit_code = 1

    def __init__(
        self, found: str, *, where: str = "", todo: str = "", items: Sequence[str] = ()
    ) -> None:
        place = f"{where}: " if where else ""
        advice = f". {todo}" if todo else ""
        super().__init__("\n  ".join([f"{place}{found}{advice}", *items]))


class InputError(ProjectError):
    """The user's to mend: input, parameters, environment, disk. Exit code 2."""

    exit_code = 2


class GateRefused(ProjectError):  # noqa: N818  # a verdict, named as the gates name it
    """A gate did not let the data pass. Exit code 3."""

    exit_code = 3
