"""What Nimbus answers instead of a result."""

from __future__ import annotations

from heronshim.errors import HeronshimError


class NimbusError(HeronshimError):
    """An exception that the service declares; `name` is the interface file's."""

    name = ""


class NotAliveError(NimbusError):
    """There is no topology of that name or id."""

    name = "NotAliveException"


class AlreadyAliveError(NimbusError):
    """A topology of that name exists."""

    name = "AlreadyAliveException"


class InvalidTopologyError(NimbusError):
    """What was submitted cannot run; says why."""

    name = "InvalidTopologyException"


class AuthorizationError(NimbusError):
    """Refused. Also what heronshim does not serve, since every method declares it."""

    name = "AuthorizationException"


class KeyNotFoundError(NimbusError):
    """There is no such blob."""

    name = "KeyNotFoundException"


class MainError(HeronshimError):
    """An author's main, or what looked into what it made, did not do what it was started for."""
