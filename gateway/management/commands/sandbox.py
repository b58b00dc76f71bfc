"""`manage.py sandbox`: a thin wrapper around `python -m sandbox`."""

from typing import Any

from accounts.command import GatehouseCommand
from sandbox.__main__ import main


class Command(GatehouseCommand):
    help = (
        "Run the offline upstream: OpenAI's, Anthropic's, Gemini's and Vertex AI's APIs. All options are those of "
        "`python -m sandbox`."
    )
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        # The options are the sandbox's own, so Django's parser does not see them.
        raise SystemExit(main(argv[2:]))

    def handle(self, *args: Any, **options: Any) -> None:
        main([str(argument) for argument in args])
