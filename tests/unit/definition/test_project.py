"""Which project a file belongs to, and what its settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.definition.project import ENDINGS, Retention, find_project
from runner.errors import ConfigError


def test_the_settings_file_is_found_upwards(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("project: shop\n")
    (tmp_path / "a/b").mkdir(parents=True)
    project = find_project(tmp_path / "a/b/order.yaml")
    assert project.root == tmp_path
    assert project.name == project.namespace == "shop"


def test_a_link_that_leads_to_itself_has_a_project_like_any_other_name(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("project: shop\n")
    link = tmp_path / "order.yaml"
    link.symlink_to(link.name)
    assert find_project(link).root == tmp_path


def test_without_settings_the_parent_of_a_definitions_folder_is_the_root(tmp_path: Path):
    (tmp_path / "definitions/eu").mkdir(parents=True)
    file = tmp_path / "definitions/eu/order.yaml"
    file.touch()
    assert find_project(file).root == tmp_path


def test_without_settings_a_folder_below_finds_the_one_that_holds_definitions(tmp_path: Path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "workers/gateway").mkdir(parents=True)
    assert find_project(tmp_path / "workers/gateway").root == tmp_path


def test_a_folder_that_no_url_or_log_can_name_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"not UTF-8: '/.*'; rename it"):
        find_project(tmp_path / "caf\udce9" / "definitions")


def test_else_the_folder_itself_is_the_root_and_everything_has_its_default(tmp_path: Path):
    project = find_project(tmp_path)
    assert project.root == tmp_path
    assert project.config is None
    assert project.name == "sagarun"
    assert project.workers == ("workers",)
    assert project.log_file == tmp_path / "logs/sagarun.log"
    assert project.redis_url is None


def test_a_named_settings_file_decides_the_root(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    config = tmp_path / "elsewhere/test.yaml"
    config.write_text("project: other\nlog: {file: out.log, level: debug}\nretention: 2d\n")
    project = find_project(tmp_path, config)
    assert project.root == tmp_path / "elsewhere"
    assert project.log_file == tmp_path / "elsewhere/out.log"
    assert project.log.level == "debug"
    assert project.retention == Retention(172_800_000, 172_800_000, 172_800_000, 172_800_000)


def test_figures_are_counted_unless_the_settings_say_no(tmp_path: Path):
    assert find_project(tmp_path).monitor.figures is True
    (tmp_path / "sagarun.yaml").write_text("monitor: {figures: false}\n")
    assert find_project(tmp_path).monitor.figures is False


def test_a_file_of_comments_only_marks_the_root(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("# nothing yet\n")
    assert find_project(tmp_path).name == "sagarun"


def test_a_named_settings_file_that_is_missing_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no settings file .*nope\.yaml"):
        find_project(tmp_path, tmp_path / "nope.yaml")


def test_every_mistake_is_told_with_its_place_and_what_was_meant(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("projct: shop\nretention: soon\n")
    with pytest.raises(ConfigError) as raised:
        find_project(tmp_path)
    text = str(raised.value)
    assert 'sagarun.yaml:1:1: error[SR102]: unknown key "projct" (did you mean "project"?)' in text
    assert "sagarun.yaml:2:12" in text


def test_yaml_that_cannot_be_read_is_a_config_error(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("project: [\n")
    with pytest.raises(ConfigError, match=r"sagarun\.yaml:"):
        find_project(tmp_path)


def test_hosts_and_secrets_are_read_and_there_are_none_by_default(tmp_path: Path):
    assert find_project(tmp_path).http.allow == ()
    assert find_project(tmp_path).secrets == {}
    (tmp_path / "sagarun.yaml").write_text(
        'http: {allow: [api.example.com, "*.internal:8443", "http://[::1]:8080", "*:*"], ca_file: ca.pem,\n'
        '       proxy: "http://proxy.internal:3128"}\n'
        "secrets: {TOKEN: {env: API_TOKEN}, key_2: {file: secrets/key}}\n"
    )
    project = find_project(tmp_path)
    assert project.http.allow == ("api.example.com", "*.internal:8443", "http://[::1]:8080", "*:*")
    assert (project.http.proxy, project.http.ca_file) == ("http://proxy.internal:3128", "ca.pem")
    assert project.secrets == {"TOKEN": {"env": "API_TOKEN"}, "key_2": {"file": "secrets/key"}}


@pytest.mark.parametrize(
    "text",
    [
        "http: {allow: api.example.com}", 'http: {allow: ["https://api.example.com/path"]}', 'http: {allow: ["a b"]}',
        'http: {allow: ["*.*.com"]}', "http: {alow: []}", 'http: {proxy: "http://user:pass@proxy"}',
        "secrets: {TOKEN: geheim}", "secrets: {TOKEN: {value: geheim}}", "secrets: {TOKEN: {env: A, file: b}}",
        "secrets: {TOKEN: {}}", 'secrets: {"a b": {env: A}}', "secrets: {TOKEN: {env: A-B}}",
    ],
)  # fmt: skip
def test_hosts_and_secrets_that_make_no_sense_are_told(tmp_path: Path, text: str):
    (tmp_path / "sagarun.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"sagarun\.yaml:1:"):
        find_project(tmp_path)


def test_retention_may_depend_on_how_a_run_ended(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("retention: {completed: 1d, abandoned: 0s}\narchive: sqlite:///a.db\n")
    project = find_project(tmp_path)
    assert [project.retention.of(status) for status in ENDINGS] == [86_400_000, 604_800_000, 604_800_000, 0]
    assert project.archive == "sqlite:///a.db"


def test_a_status_that_no_run_ends_with_has_no_retention(tmp_path: Path):
    (tmp_path / "sagarun.yaml").write_text("retention: {failed: 1d}\n")
    with pytest.raises(ConfigError, match="failed"):
        find_project(tmp_path)
