"""Settings: secrets of this machine are made once and kept to their owner; in production everything comes from outside."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from dynamorm import DB, KMSProvider
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from examples.payments.settings import local, new_secret, production


def test_secrets_are_made_once_also_by_many_at_once(tmp_path):
    with Engine() as engine, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: local(tmp_path / "data", engine=engine), range(16)))
    assert all(one.config.idempotency_key is not None for one in made)  # a payload may be a card number
    assert len({(one.audit_key, one.acquirer_secrets, *one.demo_keys.values()) for one in made}) == 1
    (file,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_secret_is_not_shown(tmp_path):
    with Engine() as engine:
        settings = local(tmp_path, engine=engine)
        shown = repr(settings)
    for secret in (*settings.acquirer_secrets, *settings.demo_keys.values(), repr(settings.audit_key)):
        assert secret not in shown


ENVIRON = {
    "PAYMENTS_KMS_KEY": "alias/payments",
    "PAYMENTS_AUDIT_KEY": "ab" * 32,
    "PAYMENTS_ACQUIRER_SECRETS": f"{new_secret()} {new_secret()}",
    "PAYMENTS_URL": "https://payments.example",
    "DYNAMORM_IDEMPOTENCY_KEY": "aWRlbXBvdGVuY3kga2V5IG9mIHRoZSBzZXJ2aWNlLCAzMiBieXRlcw==",
    "DYNAMORM_CURSOR_KEY": "Y3Vyc29yIGtleSBvZiB0aGUgc2VydmljZSwgMzIgYnl0ZXM=",
}


@pytest.fixture
def account(monkeypatch):
    """The settings of AWS that production has."""
    for name, value in {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "DYNAMORM_ACCOUNT_ID": "123456789012",
    }.items():
        monkeypatch.setenv(name, value)


def test_production_is_told_everything(account, tmp_path):
    settings = production(ENVIRON)
    assert not settings.is_local
    assert not settings.is_own("https://payments.example/play/receiver/acme")
    assert settings.demo_keys == {}
    assert settings.config.idempotency_key is not None
    assert len(settings.acquirer_secrets) == 2
    assert isinstance(settings.keys(), KMSProvider)
    with Engine() as engine, DB(settings.config) as db, pytest.raises(ConfigError):
        db.set_encryption_provider(local(tmp_path, engine=engine).keys())  # keys in a file


@pytest.mark.parametrize("name", list(ENVIRON))
def test_nothing_of_production_has_a_default(account, name):
    with pytest.raises(ConfigError, match=f"set {name} "):
        production({one: value for one, value in ENVIRON.items() if one != name})
