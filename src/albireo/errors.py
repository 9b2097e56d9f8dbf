"""The one exception for a user's mistake."""


class UserError(ValueError):
    """A mistake a user can mend: the message is one sentence that says what to do.

    The command line prints the message alone and exits with status 2.
    """
