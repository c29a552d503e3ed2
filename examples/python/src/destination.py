"""The destination: one request for each record, in order."""

from urllib.parse import urlsplit

from componentize_py_types import Err
from guarded import guarded
from http_client import Denied, Lost, Target, Unreached, post
from wit_world.exports import destination as exported
from wit_world.imports import context, records
from wit_world.imports.wharf_connector_types import (
    Batch,
    Column,
    Failure,
    FailureKind,
    Outcome_Failed,
    Outcome_Untried,
    Receipt,
    Span,
    Verdict,
)



class Session(exported.Session):
    def __init__(self, settings: dict[str, str]):
        url = urlsplit(settings["url"])
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self.target = Target(url.scheme, url.netloc, path, int(settings["timeout-seconds"]))
        self.token = settings.get("token")
        self.pipeline = context.get("pipeline") or ""

    @classmethod
    @guarded
    def open(cls, settings: list[tuple[str, str]]) -> "Session":
        return cls(dict(settings))

    @guarded
    def write(self, batch: Batch) -> Receipt:
        content_type = records.content_type("after") or "application/octet-stream"
        partition, sequences, ordinals = records.partition(), records.sequences(), records.ordinals()
        delivered, verdicts = [], []
        # Where the records begin that are delivered and in no span yet.
        begin = 0
        for index, value in enumerate(values(batch.after)):
            ordinal = ordinals[index] if ordinals else 0
            headers = [
                ("content-type", content_type.encode()),
                # The same on every delivery: a server that remembers it takes a record once.
                ("idempotency-key", f'"{self.pipeline}:{partition}:{sequences[index]}:{ordinal}"'.encode()),
            ]
            if self.token:
                headers.append(("authorization", f"Bearer {self.token}".encode()))
            failure = self.send(headers, value)
            if failure is None:
                continue
            if index == 0 and of_all(failure):
                # Nothing was delivered: it speaks for the whole batch, and the host sees an outage rather than a bad record.
                raise Err(failure)
            if begin < index:
                delivered.append(Span(begin, index))
            begin = index + 1
            verdicts.append(Verdict(Span(index, begin), Outcome_Failed(failure)))
            if failure.kind != FailureKind.REJECTED:
                # Order is kept: what comes behind a record that is to be sent again waits for it. `unauthorized` and `fatal` reach to the end.
                last = verdicts[-1]
                if failure.kind in (FailureKind.UNAUTHORIZED, FailureKind.FATAL):
                    last.records.end = batch.count
                elif begin < batch.count:
                    verdicts.append(Verdict(Span(begin, batch.count), Outcome_Untried()))
                return Receipt(delivered, verdicts)
        if begin < batch.count:
            delivered.append(Span(begin, batch.count))
        return Receipt(delivered, verdicts)

    def send(self, headers: list[tuple[str, bytes]], body: bytes | None) -> Failure | None:
        """Posts one record, and says what went wrong."""
        what = f"POST {self.target.scheme}://{self.target.authority}{self.target.path.partition('?')[0]}"
        if body is None:
            return Failure(FailureKind.REJECTED, f"{what}: the record has no value", None, None)
        try:
            status, retry_after, text = post(self.target, headers, body)
        except Denied as error:
            return Failure(FailureKind.FATAL, f"{what}: {error}", None, None)
        except Unreached as error:
            return Failure(FailureKind.TRANSIENT, f"{what}: {error}", None, None)
        except Lost as error:
            return Failure(FailureKind.UNCERTAIN, f"{what}: {error}", None, None)
        if 200 <= status < 300:
            return None
        wait = int(retry_after) * 1000 if retry_after and retry_after.isdecimal() else None
        return Failure(kind(status, wait), f"{what}: {status}: {text or 'no reason given'}", str(status), wait)

    def ack(self, batches: list[str]) -> None:
        pass

    def close(self) -> None:
        pass


def of_all(failure: Failure) -> bool:
    """Whether it is about the far side, and not about one record."""
    unreached = failure.kind == FailureKind.TRANSIENT and failure.code in (None, "503")
    return unreached or failure.kind in (FailureKind.THROTTLED, FailureKind.UNAUTHORIZED, FailureKind.FATAL)


def kind(status: int, wait: int | None) -> FailureKind:
    """What a status means for a record."""
    if status == 429 or (status == 503 and wait is not None):
        return FailureKind.THROTTLED
    if status in (401, 403, 407):
        return FailureKind.UNAUTHORIZED
    # Whoever passed it on had no answer: it may have taken effect behind them.
    if status in (502, 504):
        return FailureKind.UNCERTAIN
    if status == 408 or status >= 500:
        return FailureKind.TRANSIENT
    # A redirection is not followed: it would lead where nothing is granted.
    return FailureKind.FATAL if status < 400 else FailureKind.REJECTED


def values(column: Column):
    """Each value of a column; None where one is absent."""
    for index in range(len(column.offsets) - 1):
        if column.validity is not None and not column.validity[index // 8] >> (index % 8) & 1:
            yield None
        else:
            yield column.data[column.offsets[index]:column.offsets[index + 1]]
