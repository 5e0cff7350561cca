"""The secrets of root users: one is drawn for each start, those of other accounts follow from it.

Whoever knows an account's secret can sign as its root user only: the secret of another account is not the same, and
can be derived by who has the first one.
"""

from __future__ import annotations

import hashlib
import hmac


def secret_of(account: str, secret: str) -> str:
    """Return the secret of another account's root user.

    Args:
        account: The other account.
        secret: That of the account the server was started for.
    """
    return hmac.new(secret.encode(), account.encode(), hashlib.sha1).hexdigest()  # 40 characters, as on AWS
