"""The watcher thread touches the socket only while the author's thread is in the author's code."""

from __future__ import annotations

import pytest

from heronshim.instance.main import InstanceShell


class Lock:
    """Free; what `then` does happens between the watcher's look and its getting the lock."""

    def __init__(self, then) -> None:
        self.then = then

    def acquire(self, *, blocking: bool) -> bool:
        assert not blocking
        self.then()
        return True

    def release(self) -> None:
        pass


@pytest.mark.parametrize(("call_ended", "services"), [(False, 1), (True, 0)])
def test_the_watcher_leaves_the_socket_alone_when_the_call_ended_before_it_got_the_lock(
    monkeypatch, call_ended, services
):
    monkeypatch.setattr("heronshim.instance.main.WATCH_S", 0)
    shell = InstanceShell.__new__(InstanceShell)
    served = []

    def on_lock() -> None:
        shell._stopping = True
        if call_ended:
            shell._in_user_code_since_ns = 0

    shell._stopping = False
    shell._in_user_code_since_ns = 7
    shell._lock = Lock(on_lock)
    shell._service = lambda **_: served.append(True)
    shell._watch()
    assert len(served) == services
