"""Django set up before it is known for which installation: a fork takes over the settings of its own environment.

What Django and Gatehouse read of their settings while they are set up must be the same in the fork's, or be read again;
else the fork is of no use, and the process has to begin without it.
"""

import os
import sys
import tempfile
from importlib import import_module

import django
from asgiref.local import Local
from django.conf import Settings, settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connections
from django.test.signals import storages_changed
from django.urls import get_resolver

MODULE = "gateway.settings"
READ_AGAIN = {"DATABASES", "STORAGES", "LOGGING"}
"""The first two are forgotten by :func:`take_over`; ``django.setup``, which every program calls, sets up logs again."""


def set_up() -> None:
    """Set Django up with a data folder of its own, which is gone afterwards, and import what servers need.

    A password is hashed quickly in the forks. Workers of a server of several are new interpreters, with the slow hash:
    what bounds sign-ins is tested there.
    """
    PBKDF2PasswordHasher.iterations = 1
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DJANGO_SETTINGS_MODULE=MODULE, GATEHOUSE_DATA_DIR=folder, GATEHOUSE_EGRESS_ALLOW="127.0.0.1")
        django.setup()
        for name in ("gateway.asgi", "gateway.management.commands.serve", "tests.support.operations"):
            import_module(name)
        assert get_resolver().url_patterns


def take_over() -> bool:
    """Read the settings from the environment as it is now; return whether what was set up is right for them."""
    if os.environ["DJANGO_SETTINGS_MODULE"] != MODULE:
        return False
    del sys.modules[MODULE]
    try:
        fresh = Settings(MODULE)
    except Exception:  # a bad setting: a process that is not set up yet shall say so in its own way
        return False
    old = settings._wrapped
    read = [(name, getattr(old, name)) for name in vars(settings) if name.isupper() and name not in READ_AGAIN]
    if any(getattr(fresh, name, value) != value for name, value in read):
        return False
    if old._explicit_settings - fresh._explicit_settings:
        return False
    vars(old).update(vars(fresh))
    for name in vars(settings).keys() - {"_wrapped"}:  # what Django keeps of what was read
        vars(settings).pop(name)
    connections._settings = None
    vars(connections).pop("settings", None)
    connections._connections = Local(connections.thread_critical)
    storages_changed(setting="STORAGES")
    return True
