"""What is wrong in a manifest is reported all at once, with file, document, path and the fix; and nothing is
written.
"""

import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import Change, Team, User, VirtualAccount
from providers.manifests.apply import ManifestError
from providers.models import ProviderAccount
from tests.support.manifest_tools import KEY, apply, snapshot

pytestmark = pytest.mark.django_db

HEAD = "type: provider-account/openai\nname: openai-main\nauth_data: {type: api-key, api_key: '${OPENAI_API_KEY}'}\n"
MODEL = HEAD + "integrations:\n  - {name: m, model_types: [chat], %s}"

# manifest -> the faults, each as path and a part of what is said
FAULTS = [
    # the document itself
    ("{name: x}", [("type", "is missing")]),
    ("{type: provider-acount/openai, name: x}", [("type", "Did you mean 'provider-account/openai'?")]),
    ("{type: provider-account/aws-sagemaker, name: x}", [("type", "can't be applied")]),
    ("{type: otel, name: x}", [("type", "Valid values: user, team, virtual-account")]),
    ("{type: 3, name: x}", [("type", "Write a string here")]),
    ("just words", [("", "is not a manifest")]),
    ("- just\n- words", [("", "is not a manifest"), ("", "is not a manifest")]),
    ('{"type": "team", "name": "\\ud800"}', [("name", r"holds \ud800, which no string may hold")]),
    ('type: team\nname: eng\ndisplayName: "a\\0"', [("displayName", r"holds \u0000")]),
    ('{"type": "team", "name": "eng", "members": ["a@x.com", "\\udfff"]}', [("members[1]", r"holds \udfff")]),
    ('{"type": "team", "name": "eng", "\\ud800": 1}', [("", r"holds \ud800")]),
    # fields
    ("{type: team}", [("name", "is missing")]),
    ("{type: team, name: eng, membres: []}", [("", "unknown field 'membres'. Did you mean 'members'?")]),
    ("{type: team, name: eng, xyz: 1}", [("", "unknown field 'xyz'. Valid fields: type, name, displayName")]),
    ("{type: team, name: eng, 1: x}", [("", "unknown field '1'")]),
    ("{type: team, name: Eng Team}", [("name", "lower-case letters")]),
    ("{type: team, name: everyone}", [("name", "already means all users")]),
    ("{type: team, name: 7}", [("name", "put it in quotes")]),
    ("{type: team, name: eng, members: a@x.com}", [("members", "Write a list")]),
    ("{type: team, name: eng, members: [nobody]}", [("members", "'nobody' is not a valid e-mail address")]),
    ("{type: user, email: nobody}", [("email", "valid email")]),
    ("{type: user, email: a@x.com, is_superuser: 'yes'}", [("is_superuser", "true or false")]),
    ("{type: virtual-account, name: app, tags: {env: %s}}" % ("x" * 129), [("tags", "at most 128")]),
    ("{type: virtual-account, name: app, tags: [a]}", [("tags", "names with strings")]),
    ("{type: virtual-account, name: app, tags: {env: 3}}", [("tags.env", "put it in quotes")]),
    ("{type: virtual-account, name: app, ownedBy: {team: eng}}", [("ownedBy.team", "the team 'eng' does not exist")]),
    (
        "{type: virtual-account, name: app, permissions: [{resource_fqn: 'a:b:nope', role_id: "
        "provider-account-access}]}",
        [("permissions", "the provider account 'nope' does not exist")],
    ),
    (
        "{type: virtual-account, name: app, permissions: [{resource_fqn: w, resource_type: workspace, role_id: "
        "admin}]}",
        [
            ("permissions[0].role_id", "Valid values: provider-account-manager"),
            ("permissions[0].resource_type", "'workspace'"),
        ],
    ),
    # accounts
    (HEAD + "base_url: http://api.openai.com", [("base_url", "Plain http is refused")]),
    (HEAD + "base_url: https://127.0.0.1", [("base_url", "loopback")]),
    (HEAD + "base_url: 'https://[::1'", [("base_url", "not a web address")]),
    (HEAD + "discount_percent: 101", [("discount_percent", "less than or equal to 100")]),
    (HEAD + "discount_percent: 1.234", [("discount_percent", "2 decimal places")]),
    (HEAD + "discount_percent: lots", [("discount_percent", "Write a number")]),
    (HEAD + "discount_percent: true", [("discount_percent", "Write a number")]),
    (HEAD + "connect_timeout: 0", [("connect_timeout", "greater than or equal to 0.1")]),
    (HEAD + "connection_limit: -1", [("connection_limit", "whole number of zero or more")]),
    (HEAD + "connection_limit: 1.5", [("connection_limit", "whole number")]),
    (HEAD + "isolation: teams", [("isolation", "Did you mean 'team'?")]),
    (HEAD + "extra_headers: {Authorization: x}", [("", "set by Gatehouse itself")]),
    (HEAD + "organization: 'org-1\n\n  org-2'", [("organization", "no HTTP header can carry")]),
    (HEAD + 'organization: "org-1\\n"', [("organization", "no HTTP header can carry")]),
    (HEAD + 'project: "proj\\u0001"', [("project", "no HTTP header can carry")]),
    (
        HEAD + "organization: Ünï\nproject: Ünï",
        [("organization", "printable ASCII"), ("project", "printable ASCII")],
    ),
    (HEAD + 'extra_headers: {"X-A\\n": x}', [("", "is not a valid header name")]),
    (HEAD + "extra_headers: {X-Ä: x}", [("", "is not a valid header name")]),
    (HEAD + 'extra_headers: {X-A: "a\\nb"}', [("extra_headers.X-A", "printable ASCII")]),
    (HEAD + 'base_url: "https://api.openai.com/v1\\n"', [("base_url", "no spaces, line breaks")]),
    (HEAD + "extra_headers: [X-A]", [("extra_headers", "names with strings")]),
    (HEAD + "api_key: sk-1", [("", "unknown field 'api_key'. Write it as auth_data")]),
    (HEAD + "models: []", [("", "unknown field 'models'. Write models as integrations.")]),
    (
        HEAD + "collaborators: [{subject: 'team:eng', role_id: provider-account-access}]",
        [("collaborators", "the team 'eng' does not exist")],
    ),
    (
        HEAD + "collaborators: [{subject: 'virtualaccount:app', role_id: provider-account-access}]",
        [("collaborators", "the virtual account 'app' does not exist")],
    ),
    (
        HEAD + "collaborators: [{subject: bob, role_id: provider-account-access}]",
        [("collaborators[0].subject", "Write user:EMAIL, team:NAME")],
    ),
    (
        HEAD + "collaborators: [{subject: 'user:bob', role_id: provider-account-access}]",
        [("collaborators", "'bob' is not a valid e-mail address")],
    ),
    (
        HEAD + "collaborators: [{subject: 'user:b@x.com', role_id: provider-account-user}]",
        [("collaborators[0].role_id", "'provider-account-user' is not known. Did you mean 'provider-account-")],
    ),
    (HEAD + "collaborators: [{subject: 'user:b@x.com'}]", [("collaborators[0].role_id", "is missing")]),
    # keys
    ("{type: provider-account/openai, name: a, auth_data: {type: api-key}}", [("auth_data.api_key", "is missing")]),
    (
        "{type: provider-account/openai, name: a, auth_data: {type: oauth, api_key: x}}",
        [("auth_data.type", "'oauth' is not known")],
    ),
    (
        "{type: provider-account/openai, name: a, auth_data: {api_key: 'tfy-secret://o:g:k'}}",
        [("auth_data.api_key", "tfy-secret:// can't be read here. Put the secret into an environment variable")],
    ),
    (
        "{type: provider-account/openai, name: a, auth_data: {api_key: '${NOT_SET}'}}",
        [("auth_data.api_key", "NOT_SET is not set")],
    ),
    (
        "{type: provider-account/openai, name: a, auth_data: {api_key: '${EMPTY}'}}",
        [("auth_data.api_key", "set but empty")],
    ),
    (
        "{type: provider-account/openai, name: a, auth_data: {api_key: '${OPENAI_API_KEY'}}",
        [("auth_data.api_key", "'${' does not begin a variable")],
    ),
    ("{type: provider-account/openai, name: a, auth_data: {api_key: 12}}", [("auth_data.api_key", "Write ${NAME}")]),
    (
        "{type: provider-account/openai, name: a, auth_data: {api_key: sk-ключ}}",
        [("auth_data.api_key", "printable ASCII")],
    ),
    (
        "{type: provider-account/openai, name: a, auth_data: {type: none, api_key: x}}",
        [("auth_data.api_key", "takes no key")],
    ),
    ("{type: team, name: '${NOT_SET}'}", [("name", "NOT_SET is not set")]),
    # models
    (HEAD + "integrations: [{name: m}]", [("integrations[0].model_types", "is missing. Write what the model may be")]),
    (HEAD + "integrations: [{model_types: [chat]}]", [("integrations[0].name", "is missing")]),
    (HEAD + "integrations: [{name: m, model_types: []}]", [("integrations[0].model_types", "blank")]),
    (
        HEAD + "integrations: [{name: m, model_types: [chats]}]",
        [("integrations[0].model_types[0]", "Did you mean 'chat'?")],
    ),
    (HEAD + "integrations: [{name: a b, model_types: [chat]}]", [("integrations[0].name", "1 to 200 letters")]),
    (
        HEAD + "integrations: [{name: m, model_types: [chat]}, {name: m, model_types: [chat]}]",
        [("integrations[1].name", "appears twice")],
    ),
    (MODEL % "type: integration/model/groq", [("integrations[0].type", "write integration/model/openai")]),
    (MODEL % "features: [toolz]", [("integrations[0].features[0]", "Did you mean 'tools'?")]),
    (MODEL % "context_window: big", [("integrations[0].context_window", "Write a number")]),
    (MODEL % "deprecated_on: soon", [("integrations[0].deprecated_on", "'soon' is not a valid day. Write 2027-01-31")]),
    (MODEL % "deprecated_on: 2027-02-30", [("integrations[0].deprecated_on", "is not a valid day")]),
    (MODEL % "hosted_model_name: x", [("integrations[0]", "Write it as model_id")]),
    (MODEL % "url: x", [("integrations[0]", "write it there as base_url")]),
    (
        MODEL % "authorized_subjects: ['team:nope']",
        [("integrations[0].authorized_subjects", "the team 'nope' does not exist")],
    ),
    # prices
    (MODEL % "cost: free", [("integrations[0].cost", "fields with values")]),
    (MODEL % "cost: {}", [("integrations[0].cost.metric", "is missing")]),
    (MODEL % "cost: {metric: per_token}", [("integrations[0].cost.metric", "'per_token' is not known")]),
    (MODEL % "cost: {metric: public_cost, value: 1}", [("integrations[0].cost.value", "takes no value")]),
    (
        MODEL % "cost: {metric: per_1000_tokens, value: {input: 1}}",
        [("integrations[0].cost.value.output", "is missing")],
    ),
    (MODEL % "cost: {metric: per_1000_tokens}", [("integrations[0].cost.value", "fields with values")]),
    (
        MODEL % "cost: {metric: per_1000_tokens, value: {input: -1, output: 1}}",
        [("integrations[0].cost.value", "is not a price")],
    ),
    (
        MODEL % "cost: {metric: per_1000_tokens, value: {inputs: 1, input: 1, output: 1}}",
        [("integrations[0].cost.value", "Did you mean 'input'?")],
    ),
    (MODEL % "cost: {metric: per_1000_embedding_tokens}", [("integrations[0].cost.value", "is missing")]),
    (MODEL % "cost: {metric: per_unit, value: {input_mtokens: 1}}", [("integrations[0].cost.value", "input_mtokens")]),
    (MODEL % "cost: {metric: per_unit, value: {}}", [("integrations[0].cost.value", "Give prices in US dollars")]),
    (MODEL % "cost: {metric: per_unit, value: 3}", [("integrations[0].cost.value", "Write prices by unit")]),
]


@pytest.mark.parametrize(("text", "expected"), FAULTS, ids=[text.splitlines()[-1][:60] for text, _ in FAULTS])
def test_faults(text, expected):
    before = snapshot()
    with pytest.raises(ManifestError) as caught:
        apply(text, environment={"OPENAI_API_KEY": KEY, "EMPTY": " "})
    faults = caught.value.faults
    assert [fault.path for fault in faults] == [path for path, _ in expected], str(caught.value)
    for fault, (_, words) in zip(faults, expected, strict=True):
        assert words in fault.problem
        assert fault.source == "a.yaml"
    assert KEY not in str(caught.value)
    assert snapshot() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{type: team, name: a, name: b}", "'name' appears twice in line 1"),
        ('{"type": "team", "name": "a", "name": "b"}', "'name' appears twice"),
        ("type: team\nname: [", "is not valid YAML: did not find expected node content"),
        ("type: team\n  name: x", "in line 2"),
        ("type: !!python/object/apply:os.system [id]", "is not valid YAML: could not determine a constructor"),
        ("&a [*a", "is not valid YAML"),
        ("[" * 3000, "nested too deeply"),
        ("[" * 3_000_000, "nested too deeply"),
        ("- " * 5000 + "x", "nested too deeply"),
        ("{" * 3000, "nested too deeply"),
        ("x" * 10_000_001, "larger than 10 MB"),
        ("a: \x00", "can't be read"),
    ],
)
def test_files_that_can_not_be_read(text, words):
    with pytest.raises(ManifestError) as caught:
        apply("{type: team, name: fine}", text)
    [fault] = caught.value.faults
    assert (fault.source, fault.document) == ("b.yaml", 0)
    assert words in fault.problem
    assert not Team.objects.exists()


def test_all_faults_of_all_files_are_told_at_once():
    with pytest.raises(ManifestError) as caught:
        apply(
            "{type: team, name: eng, membres: []}\n---\n{type: team, name: Ops}",
            HEAD + "isolation: teams\nintegrations: [{name: m, model_types: [chats]}]",
            HEAD.replace("openai-main", "other") + "base_url: http://x\ncollaborators:\n"
            "- {subject: 'team:eng', role_id: provider-account-access}\n- {subject: 'team:nope', role_id: "
            "provider-account-access}",
        )
    told = [(fault.source, fault.document, fault.path) for fault in caught.value.faults]
    assert told == [
        ("a.yaml", 1, ""),
        ("a.yaml", 2, "name"),
        ("b.yaml", 1, "isolation"),
        ("b.yaml", 1, "integrations[0].model_types[0]"),
        ("c.yaml", 1, "base_url"),
        ("c.yaml", 1, "collaborators"),
    ]
    assert str(caught.value).splitlines()[0] == ("a.yaml, document 1: unknown field 'membres'. Did you mean 'members'?")


def test_a_document_with_faults_of_reading_is_judged_to_its_end():
    with pytest.raises(ManifestError) as caught:
        apply(
            """
type: provider-account/openai
name: Open AI
isolation: teams
base_url: http://api.openai.com
auth_data: {type: api-key}
discount_percent: 300
colaborators: []
collaborators: [{subject: "team:nope", role_id: provider-account-access}]
integrations:
  - {name: a b, model_types: [chats], authorized_subjects: ["virtualaccount:nope"]}
  - {name: m, model_types: [chat], context_window: -5, cost: {metric: per_unit, value: {}}}
"""
        )
    assert sorted(fault.path for fault in caught.value.faults) == [
        "",
        "auth_data.api_key",
        "base_url",
        "collaborators",
        "discount_percent",
        "integrations[0].authorized_subjects",
        "integrations[0].model_types[0]",
        "integrations[0].name",
        "integrations[1].context_window",
        "integrations[1].cost.value",
        "isolation",
        "name",
    ]


def test_nothing_is_written_when_the_last_document_is_wrong():
    Change.objects.all().delete()
    with pytest.raises(ManifestError):
        apply(
            "{type: user, email: a@x.com}",
            "{type: team, name: eng, members: [b@x.com]}",
            HEAD,
            "{type: team, name: NO}",
        )
    assert not User.objects.exists()
    assert not Team.objects.exists()
    assert not ProviderAccount.objects.exists()
    assert not Change.objects.exists()


def test_an_anchor_that_holds_itself_or_grows_without_bound_is_judged_at_once():
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\n" + "\n".join(f"{n}: &l{n} [*l{n - 1}, *l{n - 1}]" for n in range(1, 40))
    with pytest.raises(ManifestError) as caught:
        apply("type: team\nname: eng\ndescription: &d\n  - *d\n", bomb.replace("*l0", "*b"))
    assert [(fault.source, fault.path) for fault in caught.value.faults] == [
        ("a.yaml", "description"),
        ("b.yaml", "type"),
    ]


@pytest.mark.parametrize(
    "cost",
    ["{metric: per_1000_tokens, value: {input: 1, output: x}}", "{metric: per_unit, value: {input_mtok: '${NOPE}'}}"],
)
def test_a_bad_price_hides_no_other_fault(cost):
    with pytest.raises(ManifestError) as caught:
        apply(HEAD + f"isolation: x\nintegrations:\n  - {{name: a b, model_types: [chat], cost: {cost}}}")
    assert len(caught.value.faults) == 3
    assert {fault.path.split(".")[-1] for fault in caught.value.faults} >= {"isolation", "name"}


@pytest.mark.parametrize("kind", ["team", "virtual-account"])
def test_the_same_thing_twice(kind):
    with pytest.raises(ManifestError, match=r"b\.yaml, document 1: .* 'x' appears in a\.yaml, document 1, too"):
        apply(f"{{type: {kind}, name: x}}", f"{{type: {kind}, name: x}}")


def test_one_name_in_two_kinds_of_account_is_twice_too():
    with pytest.raises(ManifestError, match="appears in"):
        apply(HEAD, HEAD.replace("/openai", "/groq"))


def test_words_of_old_yaml_are_texts_here():
    apply("{type: team, name: no, displayName: yes, description: 2027-01-31}")
    team = Team.objects.get()
    assert (team.name, team.display_name, team.description) == ("no", "yes", "2027-01-31")


def test_anchors_and_merge_keys_work():
    apply("{type: virtual-account, name: a, tags: &t {env: prod}}\n---\n{type: virtual-account, name: b, tags: {x: y}}")
    apply("{type: virtual-account, name: a, tags: {<<: {env: dev, tier: one}, env: prod}}")
    assert VirtualAccount.objects.get(name="a").tags == {"env": "prod", "tier": "one"}


# --- the commands ---


def run(command, *args):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(command, *args, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue(), str(error)
    return out.getvalue(), err.getvalue(), None


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_apply_from_files_folders_and_standard_input(tmp_path, monkeypatch, key):
    (tmp_path / "b.yaml").write_text(HEAD)
    (tmp_path / "a.json").write_text('{"type": "team", "name": "eng"}')
    (tmp_path / "notes.txt").write_text("{{{")
    out, _, error = run("apply", "-f", str(tmp_path))
    assert error is None
    assert out.splitlines()[0] == "+ team eng"
    assert out.splitlines()[-1] == "Added 2, changed 0, removed 0; 0 unchanged."
    monkeypatch.setattr("sys.stdin", io.StringIO("{type: team, name: ops}"))
    out, _, error = run("apply", "-f", "-", "-f", str(tmp_path / "b.yaml"))
    assert (out.splitlines()[0], error) == ("+ team ops", None)


def test_apply_prints_notes_beside_the_plan(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("{type: team, name: eng, tags: {a: b}}")
    out, err, _ = run("apply", "-f", str(file), "--dry-run")
    assert err == f"note: {file}, document 1, tags: passed over: teams carry no tags here.\n"
    assert "Nothing is written" in out
    assert not Team.objects.exists()


def test_apply_fails_with_all_faults(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("{type: team, name: NO}\n---\n{type: team, name: eng, x: 1}")
    out, _, error = run("apply", "-f", str(file))
    assert out == ""
    assert error.splitlines()[-1] == "2 faults; nothing was written."
    assert f"{file}, document 2: unknown field 'x'" in error


def test_apply_speaks_json(tmp_path, key):
    file = tmp_path / "a.yaml"
    file.write_text(HEAD + "discount_percent: 12.5")
    out, _, _ = run("apply", "-f", str(file), "--json")
    assert json.loads(out)["counts"] == {"add": 1, "change": 0, "remove": 0, "keep": 0}
    file.write_text(HEAD + "isolation: x")
    out, _, error = run("apply", "-f", str(file), "--json")
    [fault] = json.loads(out)["faults"]
    assert (fault["file"], fault["document"], fault["path"]) == (str(file), 1, "isolation")
    assert error.endswith("1 fault; nothing was written.")


def test_files_that_are_not_there(tmp_path):
    assert "No such file" in run("apply", "-f", str(tmp_path / "none.yaml"))[2]
    assert "holds no .yaml" in run("apply", "-f", str(tmp_path))[2]
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    assert "not UTF-8" in run("apply", "-f", str(tmp_path / "latin.yaml"))[2]
    assert "required" in run("apply")[2]


def test_export_of_one_account(tmp_path, key):
    (tmp_path / "a.yaml").write_text(HEAD)
    run("apply", "-f", str(tmp_path))
    out, _, _ = run("export", "--account", "openai-main")
    assert "auth_data: {type: api-key, api_key: '${OPENAI_MAIN_API_KEY}'}" in out
    assert KEY not in out
    assert "Valid values: openai-main" in run("export", "--account", "openai-mian")[2]
