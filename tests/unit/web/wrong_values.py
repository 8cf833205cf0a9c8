"""Values that the REST API takes or refuses, by the field that they are for. Shared by several tests."""

from __future__ import annotations

from dispatcher.wire import limits

GOOD = [
    ("url", "https://[2001:db8::1]:8443/a?b=c#d"),
    ("url", "HTTP://TARGET.TEST"),
    ("url", "http://ä.test/"),
    ("url", "http://t/" + "x" * (limits.MAX_URL_CHARS - 9)),
    ("method", "PURGE"),
    ("method", "get"),
    ("headers", {}),
    ("headers", {"X": ""}),
    ("headers", [["Set-Cookie", "a"], ["Set-Cookie", "b"]]),
    ("headers", {"X": "\u00e4\t"}),
    ("body", ""),
    ("body", "\u0000\U0001f600"),
    ("body", None),
    ("body_base64", ""),
    ("body_base64", "AP8="),
    ("timeout", 1),
    ("timeout", 0.001),
    ("timeout", 3600),
    ("follow_redirects", True),
    ("max_redirects", 0),
    ("max_redirects", 100),
    ("verify_tls", False),
    ("http_version", "2"),
    ("max_body_bytes", 0),
    ("max_body_bytes", 256 * 1024 * 1024),
    ("retries", 0),
    ("retries", 10),
]

WRONG_VALUES: dict[str, list[object]] = {
    "url": [
        *(
            None,
            5,
            True,
            [],
            {},
            "",
            "target.test",
            "ftp://t/",
            "http://",
            "http:///x",
        ),
        *(
            "http://t:0/",
            "http://t:65536/",
            "http://t:x/",
            "http://[::1/",
            "http://[::g]/",
        ),
        *(
            "http://t/ x",
            "http://t/\n",
            " http://t/",
            "http://t/\x7f",
            "http://t\\@u/",
        ),
        *(
            "http://t/" + "x" * limits.MAX_URL_CHARS,
            "http://\ud800/",
            "//t/",
        ),
    ],
    "method": [
        *(
            None,
            5,
            "",
            "A B",
            "GET\r\n",
            "CONNECT",
            "connect",
            "X" * 33,
            "G\u00c4T",
        ),
    ],
    "headers": [
        *(
            None,
            5,
            "X: y",
            True,
            [5],
            [["a"]],
            [["a", "b", "c"]],
            [["a", 5]],
            {"a": 5},
        ),
        *(
            {"": "x"},
            {"a b": "x"},
            {"a:": "x"},
            {"a": "x\r\ny"},
            {"a": "\x00"},
        ),
        *(
            {"a": "\u20ac"},
            {"a": None},
            {"Content-Length": "5"},
            {"te": "x"},
        ),
        *(
            [["a", "b"]] * 1025,
            {"a": "x" * limits.MAX_HEADER_BYTES},
        ),
    ],
    "body": [
        *(
            5,
            True,
            [],
            {},
            "\ud800",
        ),
    ],
    "body_base64": [
        *(
            5,
            "x",
            "AP8",
            "AP8=\n",
            "A P8=",
            "\u00e4",
            "AP8=AP8=",
        ),
    ],
    "timeout": [
        *(
            None,
            0,
            -1,
            3600.1,
            "5",
            True,
            [],
            10**400,
            float("inf"),
        ),
    ],
    "follow_redirects": [
        *(
            None,
            0,
            1,
            "true",
            "yes",
            [],
        ),
    ],
    "max_redirects": [
        *(
            None,
            -1,
            101,
            1.5,
            1.0,
            "5",
            True,
            10**400,
        ),
    ],
    "verify_tls": [
        *(
            None,
            0,
            "false",
        ),
    ],
    "http_version": [
        *(
            None,
            2,
            1.1,
            "",
            "1.0",
            "AUTO",
            "h2",
        ),
    ],
    "max_body_bytes": [
        *(
            None,
            -1,
            256 * 1024 * 1024 + 1,
            "1",
            True,
            0.0,
        ),
    ],
    "retries": [
        *(
            None,
            -1,
            11,
            "1",
            True,
            1.0,
        ),
    ],
}

UNKNOWN = ("URL", "revision", "unknown", "", "_schema", "__class__")

WRONG = [(name, value) for name, values in WRONG_VALUES.items() for value in values]
WRONG += [(name, 1) for name in UNKNOWN]

QUERY_WRONG_VALUES: dict[str, list[str]] = {
    "limit": [
        *(
            "",
            "0",
            "501",
            "-1",
            "1.0",
            "1_0",
            "x",
            " 5",
            "\u0663",
            "9" * 40,
        ),
    ],
    "cursor": [
        *(
            "",
            "-1",
            "A",
            "1",
            "1-0",
            "1-0000000g",
            "z" * 13 + "-00000000",
            "1-00000000 ",
            "1-00000000\n",
            "\u0663",
        ),
    ],
    "agent_id": [
        *(
            "",
            "x" * 65,
        ),
    ],
    "source_ip": [
        *(
            "",
            "1.2.3.4",
            "::g",
            "[::1",
            "::1]",
            "fe80::1%",
            "fe80::1%a b",
            "x",
        ),
    ],
    "outcome": [
        *(
            "",
            "COMPLETED",
            "done",
        ),
    ],
    "status": [
        *(
            "",
            "99",
            "1000",
            "2xx",
            "2_00",
        ),
    ],
    "error": [
        *(
            "",
            "TIMEOUT",
            "no",
        ),
    ],
    "since": [
        *(
            "",
            "5",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
        ),
    ],
    "until": [
        *(
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "2026-W01-1T00:00Z",
        ),
    ],
    "unknown": [
        *(
            "",
            "1",
        ),
    ],
}

QUERY_WRONG = [(name, value) for name, values in QUERY_WRONG_VALUES.items() for value in values]

REGISTER_WRONG_VALUES: dict[str, list[object]] = {
    "agent_id": [
        *(
            "",
            "-a",
            "a b",
            "a\n",
            "a/b",
            "x" * 65,
            5,
            True,
            "register",
            "\u00e4",
        ),
    ],
    "hostname": [
        *(
            None,
            5,
            "x" * 256,
            "\ud800",
        ),
    ],
    "version": [
        *(
            None,
            5,
            "x" * 65,
            "\ud800",
        ),
    ],
    "addresses": [
        *(
            None,
            "::1",
            {},
            [None],
            ["1.2.3.4"],
            [5],
            ["::1"] * 1001,
        ),
    ],
}

REGISTER_WRONG = [(name, value) for name, values in REGISTER_WRONG_VALUES.items() for value in values]
REGISTER_WRONG += [("unknown", 1)]
