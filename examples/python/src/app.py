"""What the component exports: this module has a class for each exported interface that has functions of its own, and `destination.py` beside it
the class of the resource."""

import json
from urllib.parse import urlsplit

# Found here by componentize-py; and said here, so that it is read when the component is built and not in every instance.
import destination  # noqa: F401
from guarded import bug, reported
from wit_world import exports
from wit_world.exports.connector import Problem

DESCRIPTOR = {
    "format": 1,
    "about": {
        "name": "python-webhook",
        "version": "0.1.0",
        "summary": "Posts each record to a URL.",
        "author": "the authors of Wharf",
        "description": "An example of a destination in Python, made with componentize-py from the contract alone.",
    },
    "parameters": [
        {"name": "url", "type": "string", "required": True, "summary": "Where records are posted.",
         "rules": {"pattern": "https?://.+"}},
        {"name": "timeout-seconds", "type": "int", "default": "10", "summary": "How long a request may wait for each step of its answer.",
         "rules": {"min": 1, "max": 600}},
        {"name": "token", "type": "string", "secret": True, "summary": "Sent as `authorization: Bearer`, where it is given."},
    ],
    # Requests go out one after another, and none after one that is to be tried again.
    "guarantees": {"order": "batch", "redelivery": "repeats"},
    # In Python a record costs microseconds, and a request milliseconds: a batch ends well within the usual limit of time.
    "preferences": {"records": 100},
    # As many requests as there is time for in one call.
    "bounds": {"records": 1000},
    "requests": [{"capability": "http", "pattern": "{url}", "reason": "records are posted there"}],
}


class Connector(exports.Connector):
    @reported
    def describe(self) -> str:
        return json.dumps(DESCRIPTOR)

    def check(self, settings: list[tuple[str, str]]) -> list[Problem]:
        try:
            url = urlsplit(dict(settings)["url"])
            # A port that is no number is found by reading it.
            if not url.hostname or url.port == 0:
                return [Problem("url", "names no host")]
            if url.username or url.password:
                return [Problem("url", "holds credentials: have the host add them, with `credentials` of the grant")]
        except ValueError as error:
            return [Problem("url", str(error))]
        except Exception as error:
            return [Problem("url", bug(error))]
        return []
