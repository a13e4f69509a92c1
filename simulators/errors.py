"""The errors a user can act on, each with the exit code that the command line gives it."""

__all__ = [
    "ConvergenceWarning",
    "DataError",
    "DivergedError",
    "InterruptedRun",
    "NumericalWarning",
    "PushforwardError",
]


class PushforwardError(Exception):
    """Base of the package's own errors; `exit_code` is what the command line returns."""

    exit_code = 1


class DataError(PushforwardError, ValueError):
    """The data, or a file, is not what it must be: says what, its value, and the remedy."""

    exit_code = 3


class DivergedError(PushforwardError, ArithmeticError):
    """A computation left the finite range: says where and at which step."""

    exit_code = 4


class InterruptedRun(PushforwardError):
    """A signal stopped the run after its state was saved; the same command resumes it."""

    exit_code = 75


class ConvergenceWarning(UserWarning):
    """An iteration stopped before its tolerance was met."""


class NumericalWarning(UserWarning):
    """A numerical guard acted."""
