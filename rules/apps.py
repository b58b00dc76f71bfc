from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "rules"
    verbose_name = "Govern"

    def ready(self) -> None:
        from rules import manifests, spending  # noqa: F401 - the types add themselves, which needs loaded models
        from usage.ratings import RECOUNTED  # needs loaded models, too
        from usage.rows import COUNTED  # and so does this

        COUNTED.append(spending.count)
        RECOUNTED.append(spending.recount)
