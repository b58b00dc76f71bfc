"""What the gateway's tests need before their helpers are imported. The fixtures are in ``tests/fixtures.py``."""

import pytest

pytest.register_assert_rewrite("tests.gateway.calls")
