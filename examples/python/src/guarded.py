"""An exception that nobody meant ends an instance with a trap, whose frames are the interpreter's own. These wrap what is exported, so that
a bug reads as one: which exception, and in which line of which file."""

import functools
import sys
import traceback

from componentize_py_types import Err
from wit_world.imports.wharf_connector_types import Failure, FailureKind


def bug(error: BaseException) -> str:
    """A bug in words, for whoever mends it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"a bug in this connector: {type(error).__name__}: {error}, in {place.name} ({place.filename}:{place.lineno})"


def guarded(function):
    """For what may fail: a bug is a fatal failure, which stops the destination and loses nothing. A failure that was meant goes through."""

    @functools.wraps(function)
    def wrapped(*arguments):
        try:
            return function(*arguments)
        except Err:
            raise
        except Exception as error:
            traceback.print_exc()
            raise Err(Failure(FailureKind.FATAL, bug(error), None, None)) from error

    return wrapped


def reported(function):
    """For what cannot fail: the host shows what was written last to standard error."""

    @functools.wraps(function)
    def wrapped(*arguments):
        try:
            return function(*arguments)
        except Exception as error:
            print(bug(error), file=sys.stderr)
            raise

    return wrapped
