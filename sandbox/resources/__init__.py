"""One file per OpenAI resource. Each ends in its ROUTES, which `sandbox/app.py` lists."""
