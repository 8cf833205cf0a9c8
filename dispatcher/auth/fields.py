"""Settings of their own kind that say who may do what, as marshmallow fields for `settings.py`."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields

from dispatcher.auth.roles import Role

_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


class OriginField(fields.String):
    """An origin as browsers write it: scheme, host and perhaps a port, in lower case, and no path."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        origin = str(value).lower()
        if not _ORIGIN.fullmatch(origin):
            raise ValidationError("Must be an origin such as https://ops.example, without a path.")
        return origin


class RoleField(fields.Field[Role]):
    """A kind of token."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Role:
        try:
            return Role(str(value).lower())
        except ValueError as error:
            raise ValidationError(f"Must be one of {', '.join(Role)}.") from error
