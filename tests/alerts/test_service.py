"""A running service looks at its alerts by itself, and sends what it finds."""

from pathlib import Path

from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import ACCOUNT, USER, seed
from tests.support.http_receiver import HttpReceiver
from tests.support.installation import Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

MANIFESTS = """
{type: gatehouse-channel, name: hook, kind: webhook, address: "${HOOK}", secret: "0123456789abcdef"}
---
{type: gatehouse-alert, name: errors, kind: error_rate, threshold: 50, least_calls: 2, per: account, channels: [hook]}
"""


def test_it_sends_one_notice(tmp_path: Path, migrated_data: Path, running_upstream: SandboxProcess) -> None:
    with HttpReceiver() as receiver:
        env = {"GATEHOUSE_ALERT_SECONDS": "1", "HOOK": f"{receiver.url}/hook"}
        with Installation(tmp_path / "installation", migrated_data, env) as installation:
            seed(installation, running_upstream.url)
            file = tmp_path / "alerts.yaml"
            file.write_text(MANIFESTS)
            done = installation.command("apply", "-f", str(file))
            assert done.returncode == 0, done.stderr
            gateway = installation.gateway()
            token = gateway.token("alerts", user=USER)
            for _ in range(3):
                gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=500]]"))
            wait_until(lambda: bool(receiver.got), 20)
            listed = installation.command("alerts")
            assert f"{ACCOUNT}: 100.0 % of 3 calls failed" in listed.stdout
        (event,) = receiver.bodies()
        assert (event["type"], event["data"]["subject"]) == ("alert.opened", ACCOUNT)
