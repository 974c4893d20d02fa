"""Times and phone numbers in their normal forms. Pure."""

import re
from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """Write milliseconds and `Z`, always: a repeat of an effect must be byte-equal.

    So the order of such texts is the order of time, too.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_SEPARATORS = re.compile(r"[\s().-]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def e164(address: str | None) -> str | None:
    """Return the E.164 number an address certainly is, else None.

    A number without `+` is not certain: `00` is an international prefix in most countries only,
    and a national number has no country. `sip:` addresses and `anonymous` are no numbers.
    """
    if address is None:
        return None
    number = address.strip().removeprefix("tel:").partition(";")[0]  # RFC 3966 parameters
    number = _SEPARATORS.sub("", number)
    return number if _E164.fullmatch(number) else None
