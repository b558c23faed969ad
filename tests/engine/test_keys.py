"""The engine's KMS: rows of what AWS documents, and the rule that only the same key and the same context open a ciphertext.

Each row names its page: ``kms``: https://docs.aws.amazon.com/kms/latest/developerguide/PAGE.html, ``api``:
https://docs.aws.amazon.com/kms/latest/APIReference/API_PAGE.html.
"""

import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.engine import Engine
from dynamorm.testing import freeze_time

DAY = 86_400
PLAIN = b64encode(b"secret").decode()


class Keys:
    """A KMS asked with keyword arguments; errors come as their names."""

    def __init__(self, engine):
        self.engine = engine

    def __getattr__(self, operation):
        def ask(**request):
            status, body = self.engine.handle(f"TrentService.{operation}", json.dumps(request).encode())
            answer = json.loads(body)
            assert (status == 200) is ("__type" not in answer)
            assert status in (200, 400, 412)
            return answer.get("__type", answer)

        return ask


@pytest.fixture
def kms():
    with Engine() as engine:
        yield Keys(engine)


@pytest.fixture
def made(kms):
    return kms.CreateKey(Description="of a test")["KeyMetadata"]


def test_a_new_key_is_described(kms, made):
    assert kms.DescribeKey(KeyId=made["KeyId"]) == {"KeyMetadata": made}
    assert made["Arn"] == f"arn:aws:kms:us-east-1:000000000000:key/{made['KeyId']}"
    assert (made["KeyState"], made["Enabled"], made["KeyUsage"]) == ("Enabled", True, "ENCRYPT_DECRYPT")
    assert kms.ListKeys()["Keys"] == [{"KeyId": made["KeyId"], "KeyArn": made["Arn"]}]


@pytest.mark.parametrize("form", ["id", "arn", "alias", "alias arn"])
def test_a_key_has_four_names(kms, made, form):
    kms.CreateAlias(AliasName="alias/mine", TargetKeyId=made["KeyId"])
    name = {
        "id": made["KeyId"],
        "arn": made["Arn"],
        "alias": "alias/mine",
        "alias arn": made["Arn"].replace(f"key/{made['KeyId']}", "alias/mine"),
    }[form]
    found = kms.GenerateDataKey(KeyId=name, KeySpec="AES_256", EncryptionContext={"tenant": "a"})
    assert found["KeyId"] == made["Arn"]
    assert len(b64decode(found["Plaintext"])) == 32
    opened = kms.Decrypt(CiphertextBlob=found["CiphertextBlob"], EncryptionContext={"tenant": "a"}, KeyId=name)
    assert (opened["Plaintext"], opened["KeyId"]) == (found["Plaintext"], made["Arn"])


def test_a_data_key_without_its_plaintext_is_opened_alike(kms, made):
    found = kms.GenerateDataKeyWithoutPlaintext(KeyId=made["KeyId"], NumberOfBytes=64)
    assert found.keys() == {"CiphertextBlob", "KeyId"}
    assert len(b64decode(kms.Decrypt(CiphertextBlob=found["CiphertextBlob"])["Plaintext"])) == 64


ROWS = [
    ("api:GenerateDataKey", "GenerateDataKey", {}, "ValidationException"),
    ("api:GenerateDataKey", "GenerateDataKey", {"KeySpec": "AES_256", "NumberOfBytes": 1}, "ValidationException"),
    ("api:GenerateDataKey", "GenerateDataKey", {"KeySpec": "RSA"}, "ValidationException"),
    ("api:GenerateDataKey", "GenerateDataKey", {"NumberOfBytes": 1025}, "ValidationException"),
    ("api:GenerateDataKey", "GenerateDataKey", {"KeySpec": "AES_128", "DryRun": True}, "DryRunOperationException"),
    ("api:Encrypt", "Encrypt", {}, "ValidationException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": ""}, "ValidationException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": b64encode(bytes(4097)).decode()}, "ValidationException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": "%"}, "SerializationException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}, "InvalidKeyUsageException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "EncryptionContext": {"a": 1}}, "SerializationException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "KeyId": "alias/none"}, "NotFoundException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "KeyId": "none"}, "NotFoundException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "KeyId": "arn:aws:kms"}, "InvalidArnException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "KeyId": "arn:aws:kms:eu-west-1:1:key/x"}, "NotFoundException"),
    ("api:Encrypt", "Encrypt", {"Plaintext": PLAIN, "KeyId": "12345678-1234-1234-1234-123456789012"}, "NotFoundException"),
    ("api:Decrypt", "Decrypt", {}, "ValidationException"),
    ("api:Decrypt", "Decrypt", {"CiphertextBlob": PLAIN}, "InvalidCiphertextException"),
    ("api:CancelKeyDeletion", "CancelKeyDeletion", {}, "KMSInvalidStateException"),
    ("api:ScheduleKeyDeletion", "ScheduleKeyDeletion", {"PendingWindowInDays": 6}, "ValidationException"),
    ("api:ScheduleKeyDeletion", "ScheduleKeyDeletion", {"PendingWindowInDays": 31}, "ValidationException"),
    ("api:EnableKey", "EnableKey", {"KeyId": "alias/mine"}, "NotFoundException"),
    ("api:CreateAlias", "CreateAlias", {"AliasName": "mine"}, "InvalidAliasNameException"),
    ("api:CreateAlias", "CreateAlias", {"AliasName": "alias/aws/mine"}, "NotAuthorizedException"),
    ("api:CreateAlias", "CreateAlias", {"AliasName": "alias/mine"}, "AlreadyExistsException"),
    ("api:UpdateAlias", "UpdateAlias", {"AliasName": "alias/none"}, "NotFoundException"),
    ("api:DeleteAlias", "DeleteAlias", {"AliasName": "alias/none"}, "NotFoundException"),
    ("api:EnableKeyRotation", "EnableKeyRotation", {"RotationPeriodInDays": 89}, "ValidationException"),
    ("api:CreateKey", "CreateKey", {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
    ("api:CreateKey", "CreateKey", {"KeySpec": "WRONG"}, "ValidationException"),
    ("api:CreateGrant", "CreateGrant", {}, "UnknownOperationException"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("page", "operation", "request_", "error"), ROWS, ids=[f"{at}-{one[0]}" for at, one in enumerate(ROWS)]
)
def test_what_is_refused(kms, made, page, operation, request_, error):
    kms.CreateAlias(AliasName="alias/mine", TargetKeyId=made["KeyId"])
    named = {"TargetKeyId": made["KeyId"]} if "Alias" in operation else {"KeyId": made["KeyId"]}
    request_ = ({} if operation in ("CreateKey", "DeleteAlias", "Decrypt") else named) | request_
    assert getattr(kms, operation)(**request_) == error


STATES = [
    ("Disabled", "DisabledException"),
    ("PendingDeletion", "KMSInvalidStateException"),
]


@pytest.mark.parametrize(("state", "error"), STATES)
def test_a_key_in_another_state_serves_nobody_until_it_is_enabled(kms, made, state, error):
    """Source: kms:key-state."""
    key = made["KeyId"]
    blob = kms.Encrypt(KeyId=key, Plaintext=PLAIN)["CiphertextBlob"]
    if state == "Disabled":
        assert kms.DisableKey(KeyId=key) == {}
    else:
        assert kms.ScheduleKeyDeletion(KeyId=key, PendingWindowInDays=7)["KeyState"] == state
        assert kms.EnableKey(KeyId=key) == error
        assert kms.ScheduleKeyDeletion(KeyId=key) == error
    assert kms.DescribeKey(KeyId=key)["KeyMetadata"]["KeyState"] == state
    assert kms.Encrypt(KeyId=key, Plaintext=PLAIN) == error
    assert kms.Decrypt(CiphertextBlob=blob) == error
    assert kms.GenerateDataKey(KeyId=key, KeySpec="AES_256") == error
    assert kms.EnableKeyRotation(KeyId=key) == error
    if state == "PendingDeletion":
        assert kms.CancelKeyDeletion(KeyId=key) == {"KeyId": made["Arn"]}
        assert kms.DescribeKey(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    assert kms.EnableKey(KeyId=key) == {}
    assert kms.Decrypt(CiphertextBlob=blob)["Plaintext"] == PLAIN


def test_a_key_whose_deletion_came_due_is_gone_for_ever(kms):
    with freeze_time("2026-01-01T00:00:00Z") as clock:
        key = kms.CreateKey()["KeyMetadata"]["KeyId"]
        blob = kms.Encrypt(KeyId=key, Plaintext=PLAIN)["CiphertextBlob"]
        kms.ScheduleKeyDeletion(KeyId=key, PendingWindowInDays=7)
        clock.tick(7 * DAY - 1)
        assert kms.DescribeKey(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
        clock.tick(2)
        assert kms.DescribeKey(KeyId=key) == kms.Decrypt(CiphertextBlob=blob) == "NotFoundException"
        assert kms.ListKeys()["Keys"] == []


def test_what_was_encrypted_before_a_rotation_is_opened_after_it(kms):
    """Source: kms:rotate-keys."""
    with freeze_time("2026-01-01T00:00:00Z") as clock:
        key = kms.CreateKey()["KeyMetadata"]["KeyId"]
        assert kms.GetKeyRotationStatus(KeyId=key)["KeyRotationEnabled"] is False
        blobs = [kms.Encrypt(KeyId=key, Plaintext=PLAIN)["CiphertextBlob"]]
        assert kms.EnableKeyRotation(KeyId=key, RotationPeriodInDays=90) == {}
        for _ in range(3):
            clock.tick(90 * DAY)
            blobs.append(kms.Encrypt(KeyId=key, Plaintext=PLAIN)["CiphertextBlob"])
        assert "KeyId" in kms.RotateKeyOnDemand(KeyId=key)
        blobs.append(kms.Encrypt(KeyId=key, Plaintext=PLAIN)["CiphertextBlob"])
        assert {kms.Decrypt(CiphertextBlob=blob)["Plaintext"] for blob in blobs} == {PLAIN}
        kinds = [one["RotationType"] for one in kms.ListKeyRotations(KeyId=key)["Rotations"]]
        assert kinds == ["AUTOMATIC"] * 3 + ["ON_DEMAND"]
        assert kms.DisableKeyRotation(KeyId=key) == {}
        clock.tick(1000 * DAY)
        assert len(kms.ListKeyRotations(KeyId=key)["Rotations"]) == 4
        answers = [kms.RotateKeyOnDemand(KeyId=key) for _ in range(25)]
        assert answers[-1] == "LimitExceededException"


def test_reencrypted_under_another_key_and_context(kms, made):
    other = kms.CreateKey()["KeyMetadata"]
    first = kms.Encrypt(KeyId=made["KeyId"], Plaintext=PLAIN, EncryptionContext={"a": "1"})["CiphertextBlob"]
    request = {"CiphertextBlob": first, "DestinationKeyId": other["KeyId"], "DestinationEncryptionContext": {"b": "2"}}
    assert kms.ReEncrypt(**request) == "InvalidCiphertextException"
    found = kms.ReEncrypt(**request, SourceEncryptionContext={"a": "1"})
    assert (found["SourceKeyId"], found["KeyId"]) == (made["Arn"], other["Arn"])
    assert kms.Decrypt(CiphertextBlob=found["CiphertextBlob"]) == "InvalidCiphertextException"
    assert kms.Decrypt(CiphertextBlob=found["CiphertextBlob"], EncryptionContext={"b": "2"})["Plaintext"] == PLAIN
    wrong = {"CiphertextBlob": found["CiphertextBlob"], "EncryptionContext": {"b": "2"}, "KeyId": made["KeyId"]}
    assert kms.Decrypt(**wrong) == "IncorrectKeyException"


def test_aliases_are_listed_moved_and_deleted(kms, made):
    other = kms.CreateKey()["KeyMetadata"]
    for name in ("b", "a", "c"):
        kms.CreateAlias(AliasName=f"alias/{name}", TargetKeyId=made["KeyId"])
    kms.UpdateAlias(AliasName="alias/c", TargetKeyId=other["KeyId"])
    kms.DeleteAlias(AliasName="alias/b")
    listed = kms.ListAliases()["Aliases"]
    assert [(one["AliasName"], one["TargetKeyId"]) for one in listed] == [
        ("alias/a", made["KeyId"]),
        ("alias/c", other["KeyId"]),
    ]
    assert [one["AliasName"] for one in kms.ListAliases(KeyId=other["Arn"])["Aliases"]] == ["alias/c"]
    first = kms.ListAliases(Limit=1)
    assert (first["Truncated"], len(first["Aliases"])) == (True, 1)
    assert [one["AliasName"] for one in kms.ListAliases(Marker=first["NextMarker"])["Aliases"]] == ["alias/c"]


CONTEXTS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), max_size=3)


@pytest.fixture(scope="module")
def shared():
    with Engine() as engine:
        kms = Keys(engine)
        yield kms, kms.CreateKey()["KeyMetadata"]["KeyId"]


@given(plain=st.binary(min_size=1, max_size=200), context=CONTEXTS, other=CONTEXTS, data=st.data())
def test_only_the_same_bytes_and_the_same_context_open_a_ciphertext(shared, plain, context, other, data):
    kms, key = shared
    text = b64encode(plain).decode()
    blob = kms.Encrypt(KeyId=key, Plaintext=text, EncryptionContext=context)["CiphertextBlob"]
    assert kms.Decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == text
    if other != context:
        assert kms.Decrypt(CiphertextBlob=blob, EncryptionContext=other) == "InvalidCiphertextException"
    raw = bytearray(b64decode(blob))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    changed = kms.Decrypt(CiphertextBlob=b64encode(raw).decode(), EncryptionContext=context)
    assert changed in ("InvalidCiphertextException", "NotFoundException")
    assert plain not in b64decode(blob) or len(plain) < 4


def test_keys_are_in_the_file_and_in_snapshots(tmp_path):
    with Engine(tmp_path / "keys.db") as engine:
        kms = Keys(engine)
        start = engine.snapshot()
        key = kms.CreateKey()["KeyMetadata"]["KeyId"]
        blob = kms.Encrypt(KeyId=key, Plaintext=PLAIN)["CiphertextBlob"]
        filled = engine.snapshot()
        engine.restore(start)
        assert kms.Decrypt(CiphertextBlob=blob) == "NotFoundException"
        engine.restore(filled)
    with Engine(tmp_path / "keys.db") as engine:
        assert Keys(engine).Decrypt(CiphertextBlob=blob)["Plaintext"] == PLAIN


def test_a_token_of_a_transaction_cannot_touch_what_else_is_kept(kms, made):
    request = {"TransactItems": [], "ClientRequestToken": f"\0kms/{made['KeyId']}"[:36]}
    for token in (request["ClientRequestToken"], "\0trimmed"):
        table = {
            "TableName": "tab", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }  # fmt: skip
        kms.engine.handle("CreateTable", json.dumps(table).encode())
        put = {"Put": {"TableName": "tab", "Item": {"id": {"S": "1"}}}}
        body = json.dumps({"TransactItems": [put], "ClientRequestToken": token}).encode()
        for _ in range(2):
            assert kms.engine.handle("TransactWriteItems", body) == (200, b"{}")
    assert kms.DescribeKey(KeyId=made["KeyId"]) == {"KeyMetadata": made}
