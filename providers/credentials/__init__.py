"""Credentials other than keys: what is stored of them, and the access tokens that they are exchanged for."""
