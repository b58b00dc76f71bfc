"""Bodies and headers that are refused, a row each."""

import json

from tests.gateway.calls import chat

DEEP = 100_000
# name: (body, the error's code, its param)
BAD_BODIES = {
    "empty": (b"", "invalid_json", None),
    "blank": (b"  \n ", "invalid_json", None),
    "nonsense": (b"hello", "invalid_json", None),
    "cut": (json.dumps(chat()).encode()[:-5], "invalid_json", None),
    "two-objects": (b'{"model":"a/b"}{"model":"a/b"}', "invalid_json", None),
    "a-list": (b"[]", "invalid_json", None),
    "a-text": (b'"x"', "invalid_json", None),
    "null": (b"null", "invalid_json", None),
    "single-quotes": (b"{'model': 'a/b'}", "invalid_json", None),
    "nan": (b'{"model":"a/b","temperature":NaN}', "invalid_json", None),
    "byte-order-mark": (b"\xef\xbb\xbf" + json.dumps(chat()).encode(), "invalid_json", None),
    "utf-16": (json.dumps(chat()).encode("utf-16"), "invalid_encoding", None),
    "bad-utf-8": (b'{"model":"a/\xff\xfe"}', "invalid_encoding", None),
    "a-cut-character": (b'{"model":"a/b","x":"\xe2\x82"}', "invalid_encoding", None),
    "an-encoded-surrogate": (b'{"model":"a/b","x":"\xed\xa0\x80"}', "invalid_encoding", None),
    "deep-lists": (b'{"model":"a/b","x":' + b"[" * DEEP + b"]" * DEEP + b"}", "invalid_json", None),
    "deep-objects": (b'{"x":' * DEEP + b"1" + b"}" * DEEP, "invalid_json", None),
    "deep-and-open": (b"[" * DEEP, "invalid_json", None),
    "model-twice": (
        b'{"model":"openai-main/gpt-4o-mini","messages":[],"model":"foreign/x"}',
        "duplicate_field",
        "model",
    ),
    "model-twice-escaped": (
        b'{"model":"openai-main/gpt-4o-mini","mode\\u006c":"foreign/x"}',
        "duplicate_field",
        "model",
    ),
    "any-field-twice": (b'{ "model" : "openai-main/gpt-4o-mini", "user":"a", "user":"b"}', "duplicate_field", "user"),
    "no-model": (b'{"messages":[]}', "missing_required_parameter", "model"),
    "model-null": (b'{"model":null}', "missing_required_parameter", "model"),
    "model-empty": (b'{"model":""}', "missing_required_parameter", "model"),
    "model-blank": (b'{"model":"  "}', "missing_required_parameter", "model"),
    "model-a-number": (b'{"model":5}', "invalid_type", "model"),
    "model-a-list": (b'{"model":["openai-main/gpt-4o-mini"]}', "invalid_type", "model"),
    "model-an-object": (b'{"model":{"id":"x"}}', "invalid_type", "model"),
    "model-a-surrogate": (b'{"model":"\\ud800"}', "invalid_json", None),
    "stream-options-a-text": (
        json.dumps(chat(stream=True, stream_options="usage")).encode(),
        "invalid_type",
        "stream_options",
    ),
}

# (header, value)
BAD_HEADERS: list[tuple[str, str | bytes]] = [
    ("x-tfy-metadata", "project=x"),
    ("x-tfy-metadata", '["a"]'),
    ("x-tfy-metadata", '{"a": 1}'),
    ("x-tfy-metadata", '{"a": null}'),
    ("x-tfy-metadata", '{"a": {"b": "c"}}'),
    ("x-tfy-metadata", json.dumps({"a": "x" * 129})),
    ("x-tfy-metadata", json.dumps({"x" * 129: "a"})),
    ("x-tfy-metadata", json.dumps({f"k{number}": "v" for number in range(65)})),
    ("x-tfy-metadata", b'{"a": "\xff"}'),
    ("x-tfy-metadata", b'{"\xff": "a"}'),
    ("x-tfy-metadata", "[" * 7000),
    ("x-tfy-request-timeout", "soon"),
    ("x-tfy-request-timeout", "0"),
    ("x-tfy-request-timeout", "-5"),
    ("x-tfy-request-timeout", "1.5"),
    ("x-tfy-request-timeout", "86400001"),
    ("x-tfy-request-timeout", "000001000000000000000"),
    ("x-tfy-request-timeout", "9" * 6000),
    ("x-tfy-ttft-timeout-ms", "fast"),
    ("x-tfy-ttft-timeout-ms", ""),
    ("x-tfy-retry-config", "3"),
    ("x-tfy-retry-config", "{"),
    ("x-tfy-retry-config", b'{"\xff": 1}'),
    ("x-tfy-retry-config", '{"attempts": ' + "[" * 7000),
    ("x-tfy-retry-config", '{"attempts": 1e400}'),
    ("x-tfy-retry-config", '{"attempts": -1}'),
    ("x-tfy-retry-config", '{"attempts": 1000}'),
    ("x-tfy-retry-config", '{"attempts": "two"}'),
    ("x-tfy-retry-config", '{"attempts": true}'),
    ("x-tfy-retry-config", '{"attempts": 1, "onStatusCodes": 429}'),
    ("x-tfy-retry-config", '{"attempts": 1, "onStatusCodes": [200]}'),
    ("x-tfy-retry-config", '{"attempts": 1, "on_status_codes": ["5xx"]}'),
    ("x-tfy-retry-config", '{"attempts": 1, "on_status_codes": [[500]]}'),
]
