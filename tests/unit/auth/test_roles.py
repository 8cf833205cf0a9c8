"""What each kind of token may do."""

from __future__ import annotations

import pytest

from dispatcher.auth.roles import Permission, Role, least_for

MAY = {
    Role.ADMIN: {"read", "execute", "manage", "connect", "fetch"},
    Role.OPERATOR: {"read", "execute", "fetch"},
    Role.READER: {"read", "fetch"},
    Role.AGENT: {"connect", "fetch"},
}


@pytest.mark.parametrize("role", Role)
def test_a_kind_of_token_may_do_what_it_is_for_and_nothing_else(role: Role) -> None:
    assert MAY[role] == {str(wanted) for wanted in Permission if role.may(wanted)}


def test_who_may_too_little_is_told_the_least_kind_that_may() -> None:
    assert ["reader", "operator", "admin", "agent"] == [
        str(least_for(wanted))
        for wanted in (Permission.READ, Permission.EXECUTE, Permission.MANAGE, Permission.CONNECT)
    ]
