from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = "Settings"

    def ready(self) -> None:
        from accounts import token_limits  # needs loaded models, as those below
        from providers import access, checks, reach  # noqa: F401 - registers the system checks
        from providers.account import account_named, account_renamed

        account_renamed.connect(reach.virtual_models_follow, dispatch_uid="gatehouse_virtual_models_follow")
        account_named.connect(reach.virtual_models_naming, dispatch_uid="gatehouse_virtual_models_naming")
        token_limits.register(access.knows_limit, access.limit_names)
