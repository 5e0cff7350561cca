"""What goes wrong: the errors of the Personalize API, and the refusal of an object store.

The codes are those of the botocore models of ``personalize`` and ``personalize-events``; each operation documents
which it may answer (https://docs.aws.amazon.com/personalize/latest/dg/API_Operations.html).
"""

from __future__ import annotations


class ApiError(Exception):
    """An error the API answers instead of a result.

    Args:
        code: The error code, such as ``ResourceNotFoundException``.
        message: The text the caller reads.
        status: The HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Keep the three parts and make the message readable on its own."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class AccessRefused(Exception):  # noqa: N818 - a refusal of the store, not an error of the API
    """The object store refused the role; a job turns this into ``CREATE FAILED``.

    Args:
        reason: Who was refused what.
        key_arn: The key that may not be used, when that is why.
    """

    def __init__(self, reason: str, *, key_arn: str = "") -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason
        self.key_arn = key_arn
