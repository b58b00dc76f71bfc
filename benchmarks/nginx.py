"""nginx configurations: the instant upstream, and the bare reverse proxy that is the yardstick."""

from pathlib import Path

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
  {temporary}
  {servers}
}}
"""
CANNED_SERVER = """server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    add_header x-request-id req_benchmark;
    add_header openai-processing-ms 1;
    location = /healthz {{ return 200 ok; }}
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
      proxy_read_timeout 600s;
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
    """Return a ``server`` block that answers each path at once with its text (no ``'`` or ``$`` in it)."""
    for path, text in answers.items():
        if set(text) & set("'$"):
            raise ValueError(f"nginx can't quote the answer for {path}")
    locations = "\n    ".join(f"location = {path} {{ return 200 '{text}'; }}" for path, text in answers.items())
    return CANNED_SERVER.format(port=port, locations=locations)


def proxy_server(port: int, target: int) -> str:
    """Return a ``server`` block on ``port`` that passes everything on to the loopback port ``target``."""
    return PROXY_SERVER.format(port=port, target=target)
