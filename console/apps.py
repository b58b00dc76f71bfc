"""The console, and its own site in the place of Django's ``admin.site``."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps  # by its module: a second default AppConfig here would be ambiguous


class AdminSiteConfig(admin_apps.SimpleAdminConfig):
    """Django's admin with the console's site. Its pages are loaded with the addresses: most commands need none."""

    default_site = "console.site.ConsoleSite"
    default = False


class ConsoleConfig(AppConfig):
    """The console's own pages."""

    name = "console"
    default = True
