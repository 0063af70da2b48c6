"""The one exception whose message is written for users."""


class TsgError(ValueError):
    """A mistake in the request, not in the program.

    Its message is a single line that names the value, the cause and, if there is one, the remedy. The command line
    prints it without a traceback and exits with status 2.
    """
