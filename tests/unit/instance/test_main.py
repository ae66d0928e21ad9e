"""What an instance does about the end of its link."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from heronshim.core.io.dealer_link import LinkEvent, LinkEventKind
from heronshim.errors import ErrorCode
from heronshim.instance.main import InstanceShell


@pytest.mark.parametrize(
    ("code", "ends"), [(ErrorCode.STALE_INCARNATION, True), (ErrorCode.TOKEN, False)]
)
def test_an_instance_that_was_replaced_ends_itself(code: ErrorCode, ends: bool) -> None:
    shell = InstanceShell.__new__(InstanceShell)
    shell._start = SimpleNamespace(process="count-3")
    shell._stopping = False
    shell._on_link_event(LinkEvent(LinkEventKind.REFUSED, "no", code), 0)
    assert shell._stopping is ends
