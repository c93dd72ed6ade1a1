"""Signatures of posted bodies: the original's, and that of webhooks, which cannot be sent again."""

import base64
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from standardwebhooks import Webhook, WebhookVerificationError

from resolvers.errors import Unauthenticated

TOLERANCE_S = 300  # of the library
WEBHOOK_HINT = "sign id.timestamp.body with SECRET: docs/identity.md"

# A full stop ends the id in what is signed: with one inside, the same signature would fit another message.
_ID = re.compile(r"[!-\-/-~]{1,255}")
_TIMESTAMP = re.compile(r"[0-9]{1,11}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_MAX_SIGNATURES = 10


class WebhookHeaders(NamedTuple):
    """The three headers of a standard webhook; a missing one is empty."""

    id: str
    timestamp: str
    signature: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "WebhookHeaders | None":
        """Those of a request; None when it has none of them."""
        given = cls(*(headers.get(f"webhook-{name}", "") for name in cls._fields))
        return given if any(given) else None


def signature(body: bytes, secret: str) -> str:
    """The HMAC-SHA256 of a body as 64 lower-case hex digits, as posting clients send it in `Authorization`."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def is_signed(body: bytes, given: str, secrets: Sequence[str]) -> bool:
    """Whether `given` is the signature of the raw body with one of the keys, compared in constant time."""
    given_bytes = given.encode()
    matches = [hmac.compare_digest(signature(body, secret).encode(), given_bytes) for secret in secrets]
    return any(matches)


def verify_webhook(body: bytes, given: WebhookHeaders, secrets: Sequence[str]) -> None:
    """Raise Unauthenticated unless one of the signatures is of this body, id and time, with one of the keys.

    The time must be within 5 minutes of now. Whether the id was there before is for those who store to find out.
    """
    if not _ID.fullmatch(given.id):
        raise Unauthenticated("webhook-id: 1 to 255 visible characters without a full stop", hint=WEBHOOK_HINT)
    if not _TIMESTAMP.fullmatch(given.timestamp):
        raise Unauthenticated("webhook-timestamp: whole Unix seconds", hint=WEBHOOK_HINT)
    if abs(time.time() - int(given.timestamp)) > TOLERANCE_S:
        message = f"webhook-timestamp: more than {TOLERANCE_S} s from this server's clock"
        raise Unauthenticated(message, hint="sign again with the present time, and look at both clocks")
    headers = {f"webhook-{name}": value for name, value in given._asdict().items()}
    signatures = [word for word in given.signature.split(" ") if _SIGNATURE.fullmatch(word)]
    headers["webhook-signature"] = " ".join(signatures[:_MAX_SIGNATURES])
    if not any(_is_verified(key, body, headers) for secret in secrets for key in webhook_keys(secret)):
        raise Unauthenticated("webhook-signature: none of them fits", hint=WEBHOOK_HINT)


def webhook_keys(secret: str) -> list[bytes]:
    """The keys that a setting may mean: its own bytes, and where it is base64 also what that stands for, because the
    libraries that sign webhooks decode theirs.
    """
    keys, text = [secret.encode()], secret.removeprefix("whsec_")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)  # padding may be left out
    except ValueError:
        return keys
    return [*keys, decoded] if decoded else keys


def _is_verified(key: bytes, body: bytes, headers: dict[str, str]) -> bool:
    try:
        Webhook(key).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, UnicodeDecodeError):
        return False
    return True
