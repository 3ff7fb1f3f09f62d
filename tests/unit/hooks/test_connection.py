"""From a connection to settings: each field, each form of a connection, each mistake."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.models.connection import Connection as DatabaseConnection
from airflow.sdk import Connection

from airflow_provider_orchestration.api.settings import ClientSettings
from airflow_provider_orchestration.exceptions import ConnectionConfigError
from airflow_provider_orchestration.get_provider_info import CONNECTION_TYPE, get_provider_info
from airflow_provider_orchestration.hooks.connection import EXTRA_FIELDS, settings_from_connection
from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

STACK = "https://stack.example.com"


def read(extra=None, **fields) -> ClientSettings:
    fields = {"host": STACK, "login": "me", "password": "s3cret"} | fields
    if extra is not None:
        fields["extra"] = extra if isinstance(extra, str) else json.dumps(extra)
    return settings_from_connection(Connection(conn_id="c", conn_type="formance", **fields))


def test_defaults():
    assert read() == ClientSettings(
        base_url=f"{STACK}/api/orchestration",
        token_url=f"{STACK}/api/auth/oauth/token",
        client_id="me",
        client_secret="s3cret",
        scopes="openid orchestration:read orchestration:write",
        connect_timeout=10.0,
        read_timeout=30.0,
        verify=True,
        proxy=None,
        client_cert=None,
        allow_http=False,
    )


@pytest.mark.parametrize(
    "fields, address",
    [
        ({"host": "stack.example.com"}, STACK),
        ({"host": "stack.example.com/"}, STACK),
        ({"host": f"  {STACK}/ "}, STACK),
        ({"host": "stack.example.com:8443"}, f"{STACK}:8443"),
        ({"host": "stack.example.com", "port": 8443}, f"{STACK}:8443"),
        ({"host": f"{STACK}:8443", "port": 8443}, f"{STACK}:8443"),
        ({"host": f"{STACK}/a/b/"}, f"{STACK}/a/b"),
        ({"host": "stack.example.com/a", "port": 8443}, f"{STACK}:8443/a"),
        ({"host": "HTTPS://STACK.example.com"}, STACK),
        ({"host": "stack.example.com", "schema": "https"}, STACK),
        ({"host": "localhost", "schema": "http"}, "http://localhost"),
        ({"host": "stack.example.com", "schema": "a/b"}, f"{STACK}/a/b"),
        ({"host": "localhost", "schema": "http/a"}, "http://localhost/a"),
        ({"host": STACK, "schema": "https"}, STACK),
        ({"host": "http://127.0.0.1", "port": 8081}, "http://127.0.0.1:8081"),
        ({"host": "::1", "port": 8443}, "https://[::1]:8443"),
        ({"host": "[2001:db8::1]:8443/a"}, "https://[2001:db8::1]:8443/a"),
        ({"host": "http://[::1]:8081"}, "http://[::1]:8081"),
        ({"host": "https://straße.example"}, "https://straße.example"),
        ({"host": "my_stack"}, "https://my_stack"),
        ({"host": "stack.example.com", "port": "8443"}, f"{STACK}:8443"),
        ({"host": "stack.example.com", "port": 0}, STACK),
        ({"host": f"{STACK}:8443", "port": "0"}, f"{STACK}:8443"),
        ({"host": "stack.example.com", "schema": "HTTPS"}, STACK),
        ({"host": "localhost", "schema": "http://"}, "http://localhost"),
        ({"host": "localhost", "schema": "Http:"}, "http://localhost"),
        ({"host": "HTTPS://stack.example.com", "schema": "https"}, STACK),
        ({"host": f"{STACK}/api/orchestration"}, STACK),
        ({"host": f"{STACK}/a/api/orchestration/workflows/"}, f"{STACK}/a"),
        ({"host": f"{STACK}/api/orchestrations"}, f"{STACK}/api/orchestrations"),
        ({"host": "https.example.com"}, "https://https.example.com"),
        ({"host": "https:8443"}, "https://https:8443"),
    ],
)
def test_address(fields, address):
    settings = read(**fields)
    assert settings.base_url == f"{address}/api/orchestration"
    assert settings.token_url == f"{address}/api/auth/oauth/token"


@pytest.mark.parametrize("path", ["/flows", "flows", "flows/", " /flows/ "])
def test_path_of_flows(path):
    assert read({"flows_path": path}).base_url == f"{STACK}/flows"


def test_flows_at_the_address_itself():
    assert read({"flows_path": "/"}).base_url == STACK


def test_extra(tmp_path):
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    for file in (ca, cert, key):
        file.touch()
    settings = read(
        {
            "auth_url": "https://auth.example.com/token",
            "scopes": " openid  orchestration:read ",
            "connect_timeout": "2.5",
            "read_timeout": 60,
            "verify": str(ca),
            "proxy": "http://u:p%40w@proxy.example.com:3128",
            "client_cert": f"{cert}, {key}",
            "allow_http": True,
        }
    )
    assert settings.token_url == "https://auth.example.com/token"
    assert settings.scopes == "openid orchestration:read"
    assert (settings.connect_timeout, settings.read_timeout) == (2.5, 60.0)
    assert settings.verify == str(ca)
    assert settings.proxy == "http://u:p%40w@proxy.example.com:3128"
    assert settings.client_cert == (str(cert), str(key))
    assert settings.allow_http is True
    assert read({"client_cert": str(cert)}).client_cert == str(cert)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_field_has_its_default(empty):
    assert read(dict.fromkeys(EXTRA_FIELDS, empty)) == read()


@pytest.mark.parametrize("value, flag", [(True, True), ("true", True), ("False", False), (False, False)])
def test_flags_as_form_json_and_uri_write_them(value, flag):
    assert read({"verify": value}).verify is flag
    assert read({"allow_http": value}).allow_http is flag


def test_without_authentication():
    settings = read(login=None, password="")
    assert (settings.token_url, settings.client_id, settings.client_secret) == (None, "", "")
    assert read(host="http://stack", login=None, password=None).base_url == "http://stack/api/orchestration"


def test_plain_http_where_allowed():
    assert read({"allow_http": "true"}, host="http://stack").base_url == "http://stack/api/orchestration"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no host": ({"host": None}, "host is empty"),
    "blank host": ({"host": " "}, "host is empty"),
    "host is no host": ({"host": "https://"}, "host is 'https://'"),
    "host with a blank": ({"host": "my stack"}, "host is 'https://my stack'"),
    "host of another kind": ({"host": "ftp://stack"}, "'ftp' is not http or https"),
    "host with a query": ({"host": f"{STACK}/?a=b"}, "query"),
    "host with credentials": ({"host": "https://you:hidden@stack"}, "login and password"),
    "host with credentials and half a scheme": ({"host": "https:/you:hidden@stack"}, "login and password"),
    "host with credentials alone": ({"host": "you:hidden@stack"}, "login and password"),
    "host with a wrong port": ({"host": f"{STACK}:port"}, "host is"),
    "host with too high a port": ({"host": f"{STACK}:70000"}, "host is"),
    "two ports": ({"host": f"{STACK}:1", "port": 2}, "port is 2"),
    "port 0 in the host": ({"host": f"{STACK}:0"}, "host is .*0 is no port"),
    "port is a word": ({"port": "https"}, "port is 'https': give a number from 1 to 65535"),
    "port is a text with a sign": ({"port": "-1"}, "port is '-1'"),
    "half a scheme": ({"host": "https//stack.example.com"}, "write it as https://stack.example.com"),
    "the other half": ({"host": "HTTP:/stack.example.com"}, "write it as http://stack.example.com"),
    "login with a blank": ({"login": "id "}, "login begins or ends with a blank or a line break"),
    "password with a newline": ({"password": "s3cret\n"}, "password begins or ends with a blank or a line break"),
    "proxy of another kind": ({"extra": {"proxy": "socks5://proxy:1080"}}, "proxy is 'socks5://proxy:1080'"),
    "port too high": ({"port": 70000}, "port is 70000"),
    "two schemes": ({"host": STACK, "schema": "http"}, "schema is 'http'"),
    "plain http": ({"host": "http://stack.example.com"}, "host is 'http://stack.example.com.*allow_http"),
    "plain http to an address": ({"host": "http://10.0.0.1"}, "in the open"),
    "plain http to the token": ({"extra": {"auth_url": "http://auth"}}, "auth_url is 'http://auth'"),
    "login alone": ({"password": None}, "password is empty"),
    "password alone": ({"login": ""}, "login is empty"),
    "auth_url is none": ({"extra": {"auth_url": "auth"}}, "auth_url is 'auth'"),
    "auth_url with credentials": ({"extra": {"auth_url": "https://you:hidden@auth"}}, "auth_url"),
    "auth_url with credentials and no scheme": ({"extra": {"auth_url": "you:hidden@auth/token"}}, "auth_url"),
    "auth_url is a number": ({"extra": {"auth_url": 1}}, "auth_url is 1: give a text"),
    "scopes with commas": ({"extra": {"scopes": "a,b"}}, "scopes is 'a,b'"),
    "scopes are a list": ({"extra": {"scopes": ["a"]}}, r"scopes is \['a'\]"),
    "path is an address": ({"extra": {"flows_path": "https://x"}}, "flows_path"),
    "path is an address with credentials": ({"extra": {"flows_path": "https://you:hidden@x/api"}}, "flows_path"),
    "path with a query": ({"extra": {"flows_path": "/a?b"}}, "flows_path is '/a\\?b'"),
    "timeout 0": ({"extra": {"connect_timeout": 0}}, "connect_timeout is 0: give seconds above 0"),
    "timeout below 0": ({"extra": {"read_timeout": "-1"}}, "read_timeout is '-1'"),
    "timeout is text": ({"extra": {"read_timeout": "10s"}}, "read_timeout is '10s'"),
    "timeout is true": ({"extra": {"read_timeout": True}}, "read_timeout is True"),
    "timeout without end": ({"extra": {"read_timeout": "inf"}}, "read_timeout is 'inf'"),
    "timeout is a list": ({"extra": {"read_timeout": [1]}}, "read_timeout"),
    "verify is no file": ({"extra": {"verify": "/no/such/file"}}, "verify is '/no/such/file'"),
    "verify is yes": ({"extra": {"verify": "yes"}}, "verify is 'yes'"),
    "verify is a number": ({"extra": {"verify": 1}}, "verify is 1"),
    "proxy without scheme": ({"extra": {"proxy": "proxy:3128"}}, "proxy is 'proxy:3128'"),
    "proxy without host": ({"extra": {"proxy": "http://you:hidden@"}}, "proxy is 'http://\\*\\*\\*@'"),
    "proxy with credentials and no scheme": ({"extra": {"proxy": "you:hidden@proxy:3128"}}, "proxy is"),
    "proxy as requests has it": ({"extra": {"proxy": {"https": "http://you:hidden@proxy:3128"}}}, "proxy is"),
    "proxy with a wrong port": ({"extra": {"proxy": "http://you:hidden@proxy:x"}}, "proxy is"),
    "certificate is no file": ({"extra": {"client_cert": "/no/such"}}, "client_cert is '/no/such'"),
    "three certificates": ({"extra": {"client_cert": f"{__file__},{__file__},{__file__}"}}, "client_cert is"),
    "allow_http is a word": ({"extra": {"allow_http": "maybe"}}, "allow_http is 'maybe'"),
    "extra is no JSON": ({"extra": "{hidden"}, "extra is no JSON object"),
    "extra is a list": ({"extra": "[1]"}, "extra is no JSON object"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong(case):
    fields, said = WRONG[case]
    with pytest.raises(ConnectionConfigError, match=said) as caught:
        read(**fields)
    assert str(caught.value).startswith("connection 'c': ")
    assert "hidden" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_an_unknown_field_is_warned_of(caplog):
    assert read({"verfy": "false"}) == read()
    assert "'verfy', which nothing reads; known are auth_url" in caplog.text


# --- the same connection in every form that Airflow has

FIELDS: dict[str, Any] = {
    "host": "http://stack.example.com:8081/prefix",
    "login": "me@example.com",
    "password": "s3cret/+:@?",
    "extra": {"allow_http": True, "read_timeout": 60, "verify": "false", "scopes": "openid orchestration:read"},
}
EXPECTED = ClientSettings(
    base_url="http://stack.example.com:8081/prefix/api/orchestration",
    token_url="http://stack.example.com:8081/prefix/api/auth/oauth/token",
    client_id="me@example.com",
    client_secret="s3cret/+:@?",
    scopes="openid orchestration:read",
    read_timeout=60.0,
    verify=False,
    allow_http=True,
)


def _forms():
    fields = FIELDS | {"extra": json.dumps(FIELDS["extra"]), "conn_type": "formance"}
    in_memory = Connection(conn_id="c", **fields)
    in_database = DatabaseConnection(conn_id="c", **fields)
    login = f"{quote(FIELDS['login'], safe='')}:{quote(FIELDS['password'], safe='')}"
    query = "allow_http=true&read_timeout=60&verify=false&scopes=openid+orchestration%3Aread"
    uris = {
        "from the task SDK's URI": in_memory.get_uri(),
        "from the server's URI": in_database.get_uri(),
        "host quoted": f"formance://{login}@{quote(FIELDS['host'], safe='')}/?{query}",
        "scheme in the URI, path as schema": f"formance://http://{login}@stack.example.com:8081/prefix?{query}",
        "scheme as schema": f"formance://{login}@stack.example.com:8081/http%2Fprefix?{query}",
    }
    yield pytest.param(in_memory, id="in memory")
    yield pytest.param(in_database, id="in the database")
    for name, uri in uris.items():
        yield pytest.param(Connection.from_uri(uri, conn_id="c"), id=f"{name}, task SDK")
        yield pytest.param(DatabaseConnection(conn_id="c", uri=uri), id=f"{name}, server")


@pytest.mark.parametrize("connection", list(_forms()))
def test_forms(connection):
    assert settings_from_connection(connection) == EXPECTED


def test_from_the_environment_as_json(airflow_connection):
    conn_id = airflow_connection(**FIELDS)
    assert OrchestrationHook(conn_id).get_conn().settings == EXPECTED


def test_from_the_environment_as_uri(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FORMANCE_URI", "formance://me:s3cret@stack.example.com:443/")
    settings = OrchestrationHook("formance_uri").get_conn().settings
    assert settings.base_url == "https://stack.example.com:443/api/orchestration"
    assert (settings.client_id, settings.client_secret) == ("me", "s3cret")


def test_in_an_event_loop(airflow_connection):
    conn_id = airflow_connection(**FIELDS)
    assert asyncio.run(OrchestrationHook.get_async_settings(conn_id)) == EXPECTED


def test_nothing_of_airflow_is_needed_to_read_a_connection():
    fields = dict.fromkeys(["host", "port", "schema", "login", "password", "extra"])
    conn = SimpleNamespace(conn_id="c", **fields | {"host": "localhost"})
    assert settings_from_connection(conn).base_url == "https://localhost/api/orchestration"


# --- the form


def test_the_form_asks_for_what_is_read():
    assert tuple(CONNECTION_TYPE["conn-fields"]) == EXTRA_FIELDS


def test_airflow_hides_only_the_field_that_may_hold_a_password():
    from airflow._shared.secrets_masker import should_hide_value_for_key

    assert [name for name in EXTRA_FIELDS if should_hide_value_for_key(name)] == ["proxy"]


def test_the_defaults_of_the_form_are_those_of_the_settings():
    fields = CONNECTION_TYPE["conn-fields"]
    assert read({name: fields[name]["schema"].get("default") for name in fields}) == read()


def test_what_airflow_reads_is_valid():
    from airflow.providers_manager import _create_provider_info_schema_validator

    info = get_provider_info()
    _create_provider_info_schema_validator().validate(info)
    for name, field in CONNECTION_TYPE["conn-fields"].items():
        assert set(field) == {"label", "description", "schema"}, name
        assert set(field["schema"]) <= {"type", "default", "format", "minimum"}, name
    assert info["connection-types"][0]["connection-type"] == OrchestrationHook.conn_type
    assert info["connection-types"][0]["hook-name"] == OrchestrationHook.hook_name
