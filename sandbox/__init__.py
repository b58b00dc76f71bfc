"""An offline upstream that speaks OpenAI's, Anthropic's and Gemini's dialects, for the demo, the tests and the
benchmarks.

It is independent: nothing here imports Django or another package of the project. `sandbox/app.py` composes the
route rows of `sandbox/resources/*.py`, one file per OpenAI resource, of `sandbox/anthropic` and of `sandbox/gemini`.
"""
