"""What all errors have in common that are not faults of Spigot."""


class OperatorError(Exception):
    """Something that whoever runs Spigot can put right.

    The message is one line that says what is wrong and what to do; a command prints it and
    exits with status 1, without a traceback.
    """
