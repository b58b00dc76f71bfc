"""The parties of the cross-tenant tests: an owner, what the owner has on accounts of every isolation, and everyone
else.
"""

import json
from dataclasses import dataclass
from typing import Any

import httpx
from openai import OpenAI

from tests.support.batch_inputs import chat_lines, ended, training, tuned
from tests.support.installation import Gateway
from tests.support.places import Place
from tests.support.servers import wait_until

ISOLATIONS = ("owner", "team", "account")
OWNER = "ada@red.example"
# Who else there is, and which isolations let them see what the owner made.
OTHERS = {
    "same-team": {"team", "account"},
    "service-of-the-team": {"team", "account"},
    "other-user": {"account"},
    "service": {"account"},
    "superuser": {"account"},
    "manager": {"account"},
    "stranger": set[str](),
}
UNKNOWN = {
    "response": "resp_" + 48 * "0",
    "conversation": "conv_" + 48 * "0",
    "item": "msg_" + 48 * "0",
    "file": "file-" + 24 * "0",
    "vector_store": "vs_" + 24 * "0",
    "container": "cntr_" + 24 * "0",
    **dict.fromkeys(("input_file", "output_file", "error_file", "training_file"), "file-" + 24 * "0"),
    "batch": "batch_" + 24 * "0",
    "job": "ftjob-" + 24 * "0",
    "model": "ft:gpt-4o-mini-2024-07-18:sandbox::00000000",
    "checkpoint": "ft:gpt-4o-mini-2024-07-18:sandbox::00000000:ckpt-step-1",
}
MODEL = "gpt-4o-mini"
BASE = "gpt-4o-mini-2024-07-18"
NOTHING = {"MINE": "conv_none", "MY_INPUT": "file-none", "MY_TRAINING": "file-none"}


@dataclass
class Tenants:
    """The server, a token of everyone, what the owner has on each account, and what everyone has there to go with
    it.
    """

    gateway: Gateway
    tokens: dict[str, str]
    ids: dict[str, dict[str, str]]
    mine: dict[tuple[str, str], dict[str, str]]

    def call(self, who: str, account: str, place: Place, object_id: str, *, header: bool = True) -> httpx.Response:
        """Send one call with ``object_id`` at ``place``."""
        named = {
            "ID": object_id,
            "MODEL": f"{account}/{MODEL}",
            "PUBLIC": f"{account}/{object_id}",
            "BASE": BASE,
            "ITS": self.ids[account]["its"],
            **self.mine.get((who, account), NOTHING),
        }
        body, path = json.dumps(place.body), place.path
        for name, value in named.items():
            body, path = body.replace(f'"{name}"', f'"{value}"'), path.replace(name, value)
        headers = {"authorization": f"Bearer {self.tokens[who]}", "content-type": "application/json"}
        if header:
            headers["x-tfy-provider-name"] = account
        content = body.encode() if place.body is not None else None
        url = f"{self.gateway.origin}/v1/{path}"
        return self.gateway.http.request(place.method, url, content=content, headers=headers)


def company(gateway: Gateway, token: str, account: str) -> dict[str, str]:
    """Make what a place may need beside someone else's object: a conversation and files of the caller's own."""
    header = {"x-tfy-provider-name": account}
    with gateway.sdk(token, default_headers=header) as client:
        return {
            "MINE": gateway.post(token, "/v1/conversations", {}, headers=header).json()["id"],
            "MY_INPUT": client.files.create(file=("in.jsonl", chat_lines(1)), purpose="batch").id,
            "MY_TRAINING": client.files.create(file=("t.jsonl", training()), purpose="fine-tune").id,
        }


def begin_jobs(gateway: Gateway, token: str, account: str) -> tuple[OpenAI, Any, Any]:
    """Begin a batch of which a line fails and a fine-tuning job for the owner; return them behind a client."""
    client = gateway.sdk(token, default_headers={"x-tfy-provider-name": account})
    given = client.files.create(file=("in.jsonl", chat_lines(2)), purpose="batch")
    batch = client.batches.create(
        input_file_id=given.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"sandbox": "fail_lines=2"},
    )
    examples = client.files.create(file=("t.jsonl", training()), purpose="fine-tune")
    return client, batch, client.fine_tuning.jobs.create(training_file=examples.id, model=BASE)


def job_belongings(gateway: Gateway, token: str, account: str, client: OpenAI, batch: Any, job: Any) -> dict[str, str]:
    """Return what the owner's jobs have created, once they are over, counted and registered."""
    batch, job = ended(client, batch.id), tuned(client, job.id)
    wait_until(lambda: not gateway.installation.do("is_due", batch.id))
    model = f"{account}/{job.fine_tuned_model}"
    wait_until(lambda: gateway.get(token, f"/v1/models/{model}").status_code == 200)
    return {
        "input_file": batch.input_file_id,
        "output_file": batch.output_file_id,
        "error_file": batch.error_file_id,
        "training_file": job.training_file,
        "batch": batch.id,
        "job": job.id,
        "model": job.fine_tuned_model,
        "checkpoint": client.fine_tuning.jobs.checkpoints.list(job.id).data[0].fine_tuned_model_checkpoint,
    }


def belongings(gateway: Gateway, token: str, account: str) -> dict[str, str]:
    """Create an object of each kind for the owner; files and vector stores are only recorded as the owner's."""
    body = {"model": f"{account}/{MODEL}", "input": "Run code. [[sandbox: queued=1 working=1]]"}
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    made = gateway.post(token, "/v1/responses", {**body, "tools": [tool]}).json()
    header = {"x-tfy-provider-name": account}
    said = {"items": [{"type": "message", "role": "user", "content": "hi"}]}
    conversation = gateway.post(token, "/v1/conversations", said, headers=header).json()
    items = gateway.get(token, f"/v1/conversations/{conversation['id']}/items").json()["data"]
    for kind in ("file", "vector_store"):
        gateway.installation.do("own", f"{kind}-of-{account}", kind, account, OWNER)
    return {
        "response": made["id"],
        "item": made["output"][-1]["id"],
        "container": made["output"][0]["container_id"],
        "conversation": conversation["id"],
        "its": items[0]["id"],
        "file": f"file-of-{account}",
        "vector_store": f"vector_store-of-{account}",
    }
