"""The configured request and the message that has an agent send it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.request import RequestSpec, is_repeatable
from dispatcher.wire import codec, limits
from dispatcher.wire.messages import Execute, HttpVersion

FULL = RequestSpec(
    url="https://target.example/",
    method="PUT",
    headers=(("A", "1"), ("A", "2")),
    body=b"\x00",
    timeout=12.5,
    follow_redirects=True,
    max_redirects=7,
    verify_tls=False,
    http_version=HttpVersion.HTTP_3,
    max_body_bytes=99,
)


def test_every_field_of_a_request_reaches_the_agent() -> None:
    execute = FULL.to_execute("id", "2001:db8::1", 3.25)
    shared = {field.name for field in dataclasses.fields(RequestSpec) if field.init} - {"timeout", "retries"}
    for name in shared:
        assert getattr(FULL, name) == getattr(execute, name)
    assert ("id", "2001:db8::1", 3.25, True) == (execute.id, execute.source, execute.timeout, execute.has_body)
    asked = {field.name for field in dataclasses.fields(Execute) if field.init}
    assert asked == shared | {"id", "source", "timeout", "has_body"}


@pytest.mark.parametrize(("body", "has_body"), [(None, False), (b"", True), (b"x", True)])
def test_no_body_and_an_empty_one_are_told_apart(body: bytes | None, has_body: bool) -> None:
    execute = RequestSpec("http://x/", body=body).to_execute("id", "::1", 1.0)
    assert (body or b"", has_body) == (execute.body, execute.has_body)


def test_the_defaults_are_what_users_are_told() -> None:
    spec = RequestSpec("http://x/")
    assert ("GET", 30.0, False, 5, True, "auto") == (
        spec.method,
        spec.timeout,
        spec.follow_redirects,
        spec.max_redirects,
        spec.verify_tls,
        spec.http_version,
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "get"])
def test_what_is_idempotent_is_what_rfc_9110_says(method: str) -> None:
    expected = method in ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
    assert expected == RequestSpec("http://x/", method=method).is_idempotent
    assert expected == is_repeatable(method, ["Accept"])
    assert is_repeatable(method, ["Accept", "IDEMPOTENCY-Key"])


@given(timeout=st.floats(0, limits.MAX_TIMEOUT_SECONDS))
def test_whatever_time_is_left_the_agent_can_read_it(timeout: float) -> None:
    execute = FULL.to_execute("id", "2001:db8::1", timeout)
    assert [execute] == codec.decode(codec.encode([execute]), [Execute])
