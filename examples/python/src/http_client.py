"""One request through the host's `wasi:http`, and its answer."""

from dataclasses import dataclass

from componentize_py_types import Err
from wit_world.imports import outgoing_handler, wasi_http_types as http
from wit_world.imports.streams import StreamError_Closed

# How many bytes a stream takes in one go at the least, by the words of `wasi:io`.
PIECE = 4096
# How much of an answer is read, and told to a person.
QUOTED = 300


class Denied(Exception):
    """The host lets it not go there."""


class Unreached(Exception):
    """It was not sent."""


class Lost(Exception):
    """It may have been taken, and nobody said so."""


@dataclass
class Target:
    scheme: str
    authority: str
    path: str
    timeout: int


DENIED = {
    http.ErrorCode_HttpRequestDenied: "not granted: the pipeline file lets it not go there (grants, `http`)",
    http.ErrorCode_DestinationIpProhibited: "the address is not a public one, and the grant does not say `private: true`",
    http.ErrorCode_ConfigurationError: "the host is not set up for it",
}
UNREACHED = {
    http.ErrorCode_DnsTimeout: "its name cannot be looked up",
    http.ErrorCode_DnsError: "its name cannot be looked up",
    http.ErrorCode_DestinationNotFound: "there is no host of that name",
    http.ErrorCode_DestinationUnavailable: "the host cannot be reached",
    http.ErrorCode_DestinationIpUnroutable: "the host cannot be reached",
    http.ErrorCode_ConnectionRefused: "the connection was refused: nobody listens there",
    http.ErrorCode_ConnectionTimeout: "no connection within the time",
    http.ErrorCode_ConnectionLimitReached: "the host has too many connections open",
    http.ErrorCode_TlsProtocolError: "no secure connection could be made",
    http.ErrorCode_TlsCertificateError: "its certificate is not one that is trusted",
    http.ErrorCode_TlsAlertReceived: "no secure connection could be made",
}


def post(target: Target, headers: list[tuple[str, bytes]], body: bytes) -> tuple[int, str | None, str]:
    """Posts a body. Gives the status, the header `retry-after`, and the beginning of the text."""
    headers = headers + [("content-length", str(len(body)).encode())]
    request = http.OutgoingRequest(http.Fields.from_list(headers))
    request.set_method(http.Method_Post())
    request.set_scheme(http.Scheme_Https() if target.scheme == "https" else http.Scheme_Http())
    request.set_authority(target.authority)
    request.set_path_with_query(target.path)
    options = http.RequestOptions()
    nanoseconds = target.timeout * 1_000_000_000
    options.set_connect_timeout(nanoseconds)
    options.set_first_byte_timeout(nanoseconds)
    options.set_between_bytes_timeout(nanoseconds)

    outgoing = request.body()
    try:
        future = outgoing_handler.handle(request, options)
    except Err as error:
        raise trouble(error.value) from None
    send(outgoing, body)
    response = answer(future)
    with response:
        status = response.status()
        with response.headers() as fields:
            waits = fields.get("retry-after")
        return status, (waits[0].decode("latin-1") if waits else None), beginning(response)


def send(outgoing: http.OutgoingBody, body: bytes) -> None:
    """Sends the body. Where it is not taken, the answer says why."""
    try:
        with outgoing.write() as stream:
            for start in range(0, len(body), PIECE):
                stream.blocking_write_and_flush(body[start:start + PIECE])
        http.OutgoingBody.finish(outgoing, None)
    except Err:
        pass


def answer(future: http.FutureIncomingResponse) -> http.IncomingResponse:
    with future:
        with future.subscribe() as pollable:
            pollable.block()
        came = future.get()
    # Ready, and asked for once: what is left is whether it went well.
    came = came.value
    if isinstance(came, Err):
        raise trouble(came.value)
    return came.value


def beginning(response: http.IncomingResponse) -> str:
    """The beginning of an answer's text, in one line. What is wrong with it is of no account: the status is there."""
    text = b""
    with response.consume() as body, body.stream() as stream:
        try:
            while len(text) < QUOTED:
                text += stream.blocking_read(QUOTED - len(text))
        except Err as error:
            if not isinstance(error.value, StreamError_Closed):
                return ""
    return " ".join(text.decode(errors="replace").split())


def trouble(code: http.ErrorCode) -> Exception:
    """What an error of `wasi:http` means for the request."""
    kind = type(code)
    if kind in DENIED:
        return Denied(DENIED[kind])
    if kind in UNREACHED:
        return Unreached(UNREACHED[kind])
    if kind is http.ErrorCode_InternalError and code.value:
        return Lost(code.value)
    return Lost(kind.__name__.removeprefix("ErrorCode_"))
