"""Errors as types: one class for each code that the module replies.

    -NOACCOUNT 'x' was never opened …  ──▶  NoAccount   .code "NOACCOUNT"   .status 403   .repeatable False
    nothing is replied at all          ──▶  Unavailable  .status 503

A denial is no error: it is a verdict with granted 0. The classes and their HTTP status are those of
docs/reference/errors.md. All of them are redis.RedisError, so code that catches that goes on to work.
"""

from typing import ClassVar

import redis

from .verdict import Verdict


class QuotaError(redis.RedisError):
    """An error reply of the module. Nothing has been changed by the command that got it.

    `code` is its first word, `text` the sentence behind it, `status` the HTTP status that fits. `repeatable`: the same
    command may be sent again after some milliseconds.
    """

    code: ClassVar[str] = "ERR"
    status: ClassVar[int] = 500
    repeatable: ClassVar[bool] = False

    def __init__(self, text: str) -> None:
        super().__init__(f"{self.code} {text}")
        self.text = text


class BadCommand(QuotaError):
    """ERR: the syntax or a range is wrong; the text names the argument."""


class WrongType(QuotaError):
    """WRONGTYPE: the key holds another type."""

    code = "WRONGTYPE"


class SameAccount(QuotaError):
    """SAMEACCOUNT: one account is named twice, or would be above itself."""

    code, status = "SAMEACCOUNT", 400


class Overflow(QuotaError):
    """OVERFLOW: the new state would not fit 64 bits."""

    code, status = "OVERFLOW", 400


class NoAccount(QuotaError):
    """NOACCOUNT: the account was never opened, is closed or has expired."""

    code, status = "NOACCOUNT", 403


class NoPlan(QuotaError):
    """NOPLAN: this server has no plan of that name. In a cluster every primary needs it."""

    code = "NOPLAN"


class NoResource(QuotaError):
    """NORESOURCE: the account's plan has no such resource."""

    code, status = "NORESOURCE", 403


class NoPolicy(QuotaError):
    """NOPOLICY: this server has no policy of that name. In a cluster every primary needs it."""

    code = "NOPOLICY"


class NoKey(QuotaError):
    """NOKEY: the API key is unknown, was revoked or rotated, or has expired."""

    code, status = "NOKEY", 401


class NoScope(QuotaError):
    """NOSCOPE: the API key lacks the scope."""

    code, status = "NOSCOPE", 403


class NotStarted(QuotaError):
    """NOTSTARTED: the account's anchor is in the future."""

    code, status = "NOTSTARTED", 403


class Suspended(QuotaError):
    """SUSPENDED: an operator has suspended the account."""

    code, status = "SUSPENDED", 403


class IdConflict(QuotaError):
    """IDCONFLICT: the id was used with other content."""

    code, status = "IDCONFLICT", 409


class RefundExceeds(QuotaError):
    """REFUNDEXCEEDS: more would be given back than was taken."""

    code, status = "REFUNDEXCEEDS", 409


class Resolved(QuotaError):
    """RESOLVED: the reservation was committed or released, or has expired."""

    code, status = "RESOLVED", 409


class NoSuchId(QuotaError):
    """NOSUCHID: nothing is remembered under this id, or the lease has another fencing token."""

    code, status = "NOSUCHID", 404


class Limited(QuotaError):
    """LIMITED: a bound of the server is reached; the text names it."""

    code, status = "LIMITED", 503


class OutOfMemory(QuotaError):
    """OOM: memory is full, and the command would make a new key or record."""

    code, status = "OOM", 503


class TryAgain(QuotaError):
    """TRYAGAIN: the slot is moving to another node."""

    code, status, repeatable = "TRYAGAIN", 503, True


class Unblocked(QuotaError):
    """UNBLOCKED: a client that waited was woken before its turn."""

    code, status, repeatable = "UNBLOCKED", 503, True


class Unavailable(redis.ConnectionError):
    """The server gave no answer, and the call fails closed.

    `sent` is False where no request has left this process: then nothing can have been charged. Otherwise it may have
    been, once; a call with the same id finds out.
    """

    status: ClassVar[int] = 503

    def __init__(self, text: str, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class Denied(Exception):
    """Raised where a denial cannot be an answer: a decorated function, or a commit of what was never reserved.

    `verdict` is the denial.
    """

    def __init__(self, text: str, verdict: Verdict | None = None) -> None:
        super().__init__(text)
        self.verdict = verdict


BY_CODE: dict[str, type[QuotaError]] = {kind.code: kind for kind in QuotaError.__subclasses__()}
# What a server says that is not ready to decide: the command was not executed, and its answer is worth waiting for.
NOT_READY = ("LOADING", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "NOREPLICAS")
# redis-py takes the code away from replies that it has a class for.
CODE_OF_CLASS = {"OutOfMemoryError": "OOM", "TryAgainError": "TRYAGAIN", "BusyLoadingError": "LOADING",
                 "ReadOnlyError": "READONLY", "MasterDownError": "MASTERDOWN", "ClusterDownError": "CLUSTERDOWN"}


def code_of(error: Exception) -> tuple[str, str]:
    """(code, text) of an error reply as redis-py raises it; "" where it has no code of ours or of the server."""
    text = str(error)
    if type(error).__name__ in CODE_OF_CLASS:
        return CODE_OF_CLASS[type(error).__name__], text
    first, _, rest = text.partition(" ")
    if first in BY_CODE or first in NOT_READY:
        return first, rest
    # redis-py strips ERR; what other codes begin with, such as NOPERM, has classes of redis-py's own.
    return ("ERR", text) if type(error) is redis.ResponseError and not first.isupper() else ("", text)


def typed(error: Exception) -> Exception:
    """The error of our class for a reply of redis-py's; others (NOPERM, CROSSSLOT …) stay as they are."""
    code, text = code_of(error)
    return BY_CODE[code](text) if code in BY_CODE else error
