"""nginx configurations: the instant upstream, and the bare reverse proxy that is the yardstick."""

from pathlib import Path

from benchmarks.payloads import UNIQUE

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
HEAD = """daemon off;
master_process off;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_buffer_size 2m;
  keepalive_timeout 3600s;
  keepalive_requests 100000000;
  map "$http_transfer_encoding:$content_length" $large {{ default ""; "~^chunked" 1; "~:[0-9]{{6,}}$" 1; }}
  {temporary}
  {servers}
}}
"""
# nginx answers with canned text before it has read a body. What is large takes a way around: passed on to the same
# server without its body, so read wholly first.
CANNED_SERVER = """server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    add_header x-request-id req_benchmark;
    add_header openai-processing-ms 1;
    location = /healthz {{ return 200 ok; }}
    error_page 418 = @read;
    location @read {{
      client_body_buffer_size 32m;
      proxy_pass http://127.0.0.1:{port};
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Transfer-Encoding "";
    }}
    {locations}
  }}"""
PROXY_SERVER = """upstream up{target} {{ server 127.0.0.1:{target}; keepalive 2048; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://up{target};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
    }}
    location = /v1/realtime {{
      proxy_pass http://up{target};
      proxy_http_version 1.1;
      proxy_set_header Connection "upgrade";
      proxy_set_header Upgrade $http_upgrade;
      proxy_read_timeout 3600s;
    }}
  }}"""


def config(folder: Path, *servers: str) -> Path:
    """Write a whole configuration with these ``server`` blocks into ``folder`` and return its path."""
    folder.mkdir(parents=True)
    temporary = "\n  ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    path = folder / "nginx.conf"
    path.write_text(HEAD.format(folder=folder, temporary=temporary, servers="\n  ".join(servers)))
    return path


def canned_server(port: int, answers: dict[str, str]) -> str:
    """Return a ``server`` block that answers each path at once with its text (no ``'`` or ``$`` in it).

    ``UNIQUE`` in a string becomes 32 hexadecimal digits that are others in each answer. A body of 100 kB and more, or
    of unknown length, is read before the answer.
    """
    for path, text in answers.items():
        if set(text) & set("'$"):
            raise ValueError(f"nginx can't quote the answer for {path}")
    locations = "\n    ".join(_location(path, text) for path, text in answers.items())
    return CANNED_SERVER.format(port=port, locations=locations)


def _location(path: str, text: str) -> str:
    answer = text.replace(UNIQUE, "$request_id")
    return f"location = {path} {{ if ($large) {{ return 418; }} return 200 '{answer}'; }}"


def proxy_server(port: int, target: int) -> str:
    """Return a ``server`` block on ``port`` that passes everything on to the loopback port ``target``."""
    return PROXY_SERVER.format(port=port, target=target)
