from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "rules"
    verbose_name = "Govern"

    def ready(self) -> None:
        from rules import manifests, spending  # noqa: F401 - the types add themselves, which needs loaded models
        from usage.rows import COUNTED  # needs loaded models, too

        COUNTED.append(spending.count)
