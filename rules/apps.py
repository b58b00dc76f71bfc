from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "rules"
    verbose_name = "Govern"

    def ready(self) -> None:
        from providers.account import account_named, account_renamed  # needs loaded models
        from rules import following, manifests, spending  # noqa: F401 - the types add themselves, which needs them, too
        from usage.ratings import RECOUNTED  # needs loaded models, too
        from usage.rows import COUNTED  # and so does this

        account_renamed.connect(following.rules_follow, dispatch_uid="gatehouse_rules_follow")
        account_named.connect(following.rules_naming, dispatch_uid="gatehouse_rules_naming")
        COUNTED.append(spending.count)
        RECOUNTED.append(spending.recount)
