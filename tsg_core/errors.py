"""The one exception that a user is meant to read."""


class TsgError(ValueError):
    """A mistake in what was asked for, not in the program.

    Its text is a single line that names the value, the cause and, where there is one, the remedy. The command line
    prints it without a traceback and ends with status 2.
    """
