"""The four kinds of token and what each may do. Pure; the handlers say what they need, and nobody else decides."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """What an endpoint needs of whoever asks."""

    READ = "read"
    EXECUTE = "execute"
    MANAGE = "manage"
    CONNECT = "connect"
    FETCH = "fetch"
    """Get the program itself: every kind of token may."""


class Role(StrEnum):
    """The kind of a token."""

    ADMIN = "admin"
    OPERATOR = "operator"
    READER = "reader"
    AGENT = "agent"

    def may(self, wanted: Permission) -> bool:
        """Say whether a token of this kind is enough for `wanted`."""
        return wanted in _GRANTS[self]


_GRANTS = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset((Permission.READ, Permission.EXECUTE, Permission.FETCH)),
    Role.READER: frozenset((Permission.READ, Permission.FETCH)),
    Role.AGENT: frozenset((Permission.CONNECT, Permission.FETCH)),
}


def least_for(wanted: Permission) -> Role:
    """Return the kind of token that may do `wanted` and as little else as there is."""
    return min((role for role in Role if role.may(wanted)), key=lambda role: len(_GRANTS[role]))
