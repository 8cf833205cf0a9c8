"""Origins and kinds of token as settings."""

from __future__ import annotations

import pytest
from marshmallow import ValidationError

from dispatcher.auth.fields import OriginField, RoleField
from dispatcher.auth.roles import Role


@pytest.mark.parametrize("origin", ["https://ops.example", "http://localhost:3000", "http://[::1]:80"])
def test_an_origin_is_taken_as_browsers_write_it(origin: str) -> None:
    assert origin == OriginField().deserialize(origin.upper())


@pytest.mark.parametrize("text", ["*", "null", "ops.example", "https://ops.example/", "https://a b", "https://u@h", ""])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="Must be an origin"):
        OriginField().deserialize(text)


def test_a_kind_of_token_is_one_of_four() -> None:
    assert Role.READER is RoleField().deserialize("Reader")
    with pytest.raises(ValidationError, match="Must be one of admin, operator, reader, agent"):
        RoleField().deserialize("root")
