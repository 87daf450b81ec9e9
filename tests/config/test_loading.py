"""What a valid configuration means."""

import os
from pathlib import Path

import pytest

from monitor.config import (
    Address,
    ConfigError,
    FilterConfig,
    FiltersCombinator,
    Loaded,
    MetadataFilter,
    NoMetadata,
    StaleAfter,
    fingerprint,
    load,
)
from monitor.errors import AuthError
from tests.config.conftest import Folder

EXAMPLE = Path(__file__).parents[2] / "config" / "monitor.yaml"
KEY = "ei_8c1d0f5e77secret"

NOBODY = "monitor.yaml:{}: notify: no receiver is configured, so nobody is notified of alerts; write one below notify:"


def test_defaults(folder: Folder) -> None:
    """Without a word in it, a file has the documented defaults, and a warning that nothing is watched."""
    loaded = folder.load("")

    config = loaded.config
    assert (
        config.studio.url,
        config.studio.timeout,
        config.studio.requests_in_flight,
        config.studio.requests_in_flight_per_key,
        config.studio.discover,
        config.studio.proxy,
        config.studio.ca_file,
    ) == (
        "https://studio.edgeimpulse.com/v1",
        60.0,
        4,
        2,
        3600.0,
        None,
        None,
    )
    assert f"sqlite:///{folder.path}/impulse-monitor.db" == config.store.get_secret_value()
    assert (900.0, 90 * 86400.0, StaleAfter(intervals=3)) == (
        config.schedule.interval,
        config.retention,
        config.stale_after,
    )
    assert (config.limits.classes, config.limits.slice_values) == (30, 20)
    assert config.exposition.left_out == frozenset()
    assert (Address("127.0.0.1", 9890), None, None) == (
        config.http.listen,
        config.http.external_url,
        config.http.admin_token_file,
    )
    assert (config.shutdown_grace, config.include, config.projects) == (10.0, (), ())
    assert texts(folder, loaded) == [
        "monitor.yaml:1: no project is configured, so nothing is watched; write one below projects:",
        NOBODY.format(1),
    ]
    assert (folder.main,) == loaded.files


@pytest.mark.parametrize(
    ("studio", "pages"),
    [
        ("{}", "https://studio.edgeimpulse.com"),
        ("{url: 'https://studio.example.com/v1/'}", "https://studio.example.com"),
        ("{url: 'https://example.com/edge/v1'}", "https://example.com/edge"),
        ("{url: 'https://example.com/api'}", "https://example.com/api"),
        ("{url: 'https://10.0.0.1/v1', site: 'https://studio.example.com/'}", "https://studio.example.com"),
    ],
)
def test_where_studios_pages_are(folder: Folder, studio: str, pages: str) -> None:
    """Links into Studio lead to where its API is, unless `site` says otherwise."""
    assert pages == folder.load(f"studio: {studio}").config.studio.pages


def test_project_defaults(folder: Folder) -> None:
    """An entry needs an id and a key; the rest has the documented defaults and the general schedule."""
    loaded = folder.load("projects: [{id: 5, api_key: k}]")

    (project,) = loaded.config.projects
    assert (project.id, project.impulses, project.variants, project.category) == (5, "all", "enabled", "testing")
    assert (project.labels, project.filters, project.slices, project.group_by) == ({}, None, (), "auto")
    assert loaded.config.schedule is loaded.config.schedule_of(project)
    assert loaded.config.stale_after_of(project) == 2700.0
    assert [NOBODY.format(1)] == texts(folder, loaded)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("projects: [{id: 5, api_key: k}]", 1),
        ("projects: [{id: 5, api_key: k}]\nnotify: []", 2),
        ("projects: [{id: 5, api_key: k}]\ndefaults: 'off'", None),
        ("projects: [{id: 5, api_key: k}]\nnotify: [{alertmanager: {url: 'http://127.0.0.1:9093'}}]", None),
    ],
)
def test_nobody_is_told(folder: Folder, text: str, line: int | None) -> None:
    """Alerts without a receiver are warned of, at the line of `notify` where it is written."""
    assert ([NOBODY.format(line)] if line else []) == texts(folder, folder.load(text))


def test_every_key(folder: Folder) -> None:
    """Every key of an entry arrives as it was written."""
    folder.write("key", "key.txt")
    loaded = folder.load(
        """\
        stale_after: 2 intervals
        projects:
          - id: 5
            api_key_file: key.txt
            impulses: [1, 4]
            variants: [int8, akida]
            category: training
            schedule: {every: 1h}
            labels: {team: edge}
            filters:
              data_type: image
              labels: [idle, snake]
              metadata:
                - {key: site, op: neq, values: [lab]}
                - key: line
                - {no_metadata: true}
                - {filters_combinator: or}
              filename: run
              search: idle press
              min_date: 2026-01-31
              max_date: 2026-02-28T12:30+01:00
              min_id: 0
              max_id: 1000000
              min_label: -0.5
              max_label: 2
              min_length: 100
              max_length: ${LENGTH}
              min_frequency: 62.5
              max_frequency: 16000
              signature_validity: valid
            group_by: metadata.session
            slices: [metadata.site, device_name]
        """,
        LENGTH="2000",
    )

    (project,) = loaded.config.projects
    assert (project.impulses, project.variants, project.category) == ((1, 4), ("int8", "akida"), "training")
    assert project.labels == {"team": "edge"}
    assert project.slices == ("metadata.site", "device_name")
    assert project.group_by == "metadata.session"
    assert project.filters is not None
    assert (project.filters.data_type, project.filters.labels) == ("image", ("idle", "snake"))
    first, second, third, fourth = project.filters.metadata or ()
    assert (first, second) == (MetadataFilter(key="site", op="neq", values=("lab",)), MetadataFilter(key="line"))
    assert (third, fourth) == (NoMetadata(no_metadata=True), FiltersCombinator(filters_combinator="or"))
    assert project.filters.model_dump(exclude={"data_type", "labels", "metadata"}) == {
        "filename": "run",
        "search": "idle press",
        "min_date": "2026-01-31T00:00:00.000Z",
        "max_date": "2026-02-28T11:30:00.000Z",
        "min_id": 0,
        "max_id": 1_000_000,
        "min_label": -0.5,
        "max_label": 2.0,
        "min_length": 100,
        "max_length": 2000,
        "min_frequency": 62.5,
        "max_frequency": 16000.0,
        "signature_validity": "valid",
    }
    assert loaded.config.stale_after_of(project) == 7200.0
    assert project.read_key().get_secret_value() == "key"


def test_filters_as_text() -> None:
    """Runs are told apart by every filter; those that older versions knew are written as they wrote them, so that
    baselines stay.
    """
    metadata = [{"key": "site", "op": "neq", "values": ["lab"]}, {"key": "line"}]
    old = FilterConfig.model_validate({"data_type": "image", "labels": ["é"], "metadata": metadata})
    assert old.text() == (
        '{"data_type": "image", "labels": ["é"], "metadata": '
        '[{"key": "site", "op": "neq", "values": ["lab"]}, {"key": "line", "op": "eq", "values": []}]}'
    )

    written = {
        "min_date": "2026-01-31",
        "max_date": "2026-02-01",
        "signature_validity": "both",
        "filename": "a",
        "search": "a",
    }
    numbers = {
        f"{end}_{name}": value
        for end, value in (("min", 1), ("max", 2))
        for name in ("id", "label", "length", "frequency")
    }
    options = [[{"key": "a"}], [{"key": "a"}, {"no_metadata": True}], [{"key": "a"}, {"filters_combinator": "or"}]]
    each = [{name: value} for name, value in {**written, **numbers}.items()] + [
        {"metadata": items} for items in options
    ]
    assert len({FilterConfig.model_validate(one).text() for one in each}) == len(each)
    assert set(FilterConfig.model_fields) == {*written, *numbers, "data_type", "labels", "metadata"}


def test_example(tmp_path: Path) -> None:
    """The example in the repository loads with EI_API_KEY alone, warns of nothing but that nobody is notified, and
    shows the defaults.
    """
    loaded = load(EXAMPLE, {"EI_API_KEY": KEY})
    bare = tmp_path / "monitor.yaml"
    bare.write_text("projects: [{id: 12345, api_key: '${EI_API_KEY}'}]")
    defaults = load(bare, {"EI_API_KEY": KEY})

    assert ["notify"] == [warning.key for warning in loaded.warnings]
    ignored = {"store": loaded.config.store}  # relative to its own folder
    assert loaded.config == defaults.config.model_copy(update=ignored)


def test_yaml_traps(folder: Folder) -> None:
    """Words and numbers that YAML 1.1 would turn into something else stay what they look like."""
    loaded = folder.load(
        """\
        projects:
          - id: 012
            api_key: no
            labels: {a: on, b: off, c: yes, d: 2024-01-01, e: 1:30:45, f: 0x1f, g: 1_000, h: =}
            filters: {labels: [no, off]}
        """
    )

    (project,) = loaded.config.projects
    assert project.id == 12
    assert list(project.labels.values()) == ["on", "off", "yes", "2024-01-01", "1:30:45", "0x1f", "1_000", "="]
    assert project.filters is not None
    assert project.filters.labels == ("no", "off")
    assert project.read_key().get_secret_value() == "no"


def test_environment(folder: Folder) -> None:
    """${NAME} is replaced anywhere in a text and never read as YAML again; $${ stands for itself."""
    loaded = folder.load(
        """\
        schedule: {every: "${MINUTES}m"}
        limits:
          classes: ${PORT}
        http:
          listen: 127.0.0.1:${PORT}
        projects:
          - id: ${PORT}
            api_key: ${ODD}
            labels: {a: "$${PORT} $PORT ${PORT}-${MINUTES}", b: "${ODD}"}
        """,
        ODD="a:#{b}*${PORT}",
    )

    (project,) = loaded.config.projects
    assert (loaded.config.schedule.every, loaded.config.limits.classes, project.id) == (300.0, 9999, 9999)
    assert Address("127.0.0.1", 9999) == loaded.config.http.listen
    assert project.labels == {"a": "${PORT} $PORT 9999-5", "b": "a:#{b}*${PORT}"}
    assert project.read_key().get_secret_value() == "a:#{b}*${PORT}"


def test_merge(folder: Folder) -> None:
    """An entry can take its keys from another one's anchor and override them."""
    loaded = folder.load(
        """\
        projects:
          - &one
            id: 1
            api_key: k
            variants: [int8]
            labels: {team: edge}
          - <<: *one
            id: 2
            category: training
          - <<: [{id: 3, api_key: l}, *one]
        """
    )

    assert [(project.id, project.category) for project in loaded.config.projects] == [
        (1, "testing"),
        (2, "training"),
        (3, "testing"),
    ]
    assert [project.variants for project in loaded.config.projects] == [("int8",)] * 3
    assert [project.read_key().get_secret_value() for project in loaded.config.projects] == ["k", "k", "l"]


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("0.0.0.0:80", "0.0.0.0", 80, "0.0.0.0:80"),
        ("localhost:0", "localhost", 0, "localhost:0"),
        (":9890", "", 9890, ":9890"),
        ("'[::1]:9890'", "::1", 9890, "[::1]:9890"),
    ],
)
def test_listen(folder: Folder, text: str, host: str, port: int, shown: str) -> None:
    """Addresses of both families, names, and every interface can be written."""
    listen = folder.load(f"http:\n  listen: {text}\n").config.http.listen

    assert (host, port) == listen
    assert shown == str(listen)


def test_urls(folder: Folder) -> None:
    """A slash at a URL's end makes no difference."""
    config = folder.load(
        "studio: {url: 'http://[::1]:4800/v1/'}\nhttp: {external_url: 'https://monitor.example.com/'}"
    ).config

    assert (config.studio.url, config.http.external_url) == ("http://[::1]:4800/v1", "https://monitor.example.com")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:///a.db", "sqlite:///{folder}/a.db"),
        ("sqlite:///sub/a.db", "sqlite:///{folder}/sub/a.db"),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
        (
            "postgresql://user:pa%20ss@host:5432/db?sslmode=require",
            "postgresql://user:pa%20ss@host:5432/db?sslmode=require",
        ),
    ],
)
def test_store(folder: Folder, text: str, expected: str) -> None:
    """A relative SQLite file lies beside the configuration; other URLs stay as they are."""
    (folder.path / "sub").mkdir()

    assert expected.format(folder=folder.path) == folder.load(f"store: {text}").config.store.get_secret_value()


def test_relative_paths(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths start at the file they stand in, not at the working directory, and through symbolic links as they are."""
    folder.write("token\n", "data-1/token")
    folder.write("key-of-b\n", "projects.d/key")
    folder.write("projects: [{id: 2, api_key_file: key}]", "projects.d/b.yaml")
    folder.write("http: {admin_token_file: token}\ninclude: ['../projects.d/*.yaml']", "data-1/monitor.yaml")
    (folder.path / "data").symlink_to("data-1")
    monkeypatch.chdir(folder.path)

    loaded = load(Path("data/monitor.yaml"), {})

    assert folder.path / "data" / "token" == loaded.config.http.admin_token_file
    assert loaded.config.projects[0].read_key().get_secret_value() == "key-of-b"
    assert loaded.config.projects[0].api_key_file is not None
    assert loaded.config.projects[0].api_key_file.is_absolute()


def test_include(folder: Folder) -> None:
    """Included files add their projects in the order of their names, each file once; empty ones and idle patterns do no
    harm.
    """
    folder.write("projects: [{id: 3, api_key: k}]", "projects.d/b.yaml")
    folder.write("projects: [{id: 2, api_key: k}]", "projects.d/a.yaml")
    folder.write("# nothing yet\n", "projects.d/c.yaml")

    loaded = folder.load(
        "\ninclude: [projects.d/*.yaml, projects.d/a.yaml, 'more/*.yaml']\nprojects: [{id: 1, api_key: k}]"
    )

    assert [project.id for project in loaded.config.projects] == [1, 2, 3]
    assert [file.name for file in loaded.files] == ["monitor.yaml", "a.yaml", "b.yaml", "c.yaml"]
    assert texts(folder, loaded) == [
        "monitor.yaml:2: include[2]: matches no file; check the pattern if there should be one",
        NOBODY.format(1),
    ]


def test_include_same_target(folder: Folder) -> None:
    """Entries of different files are compared too, and the message names both places."""
    folder.write("\nprojects:\n  - {id: 1, api_key: k}", "projects.d/a.yaml")

    assert folder.problems("include: [projects.d/a.yaml]\nprojects: [{id: 1, api_key: k}]") == [
        "projects.d/a.yaml:3: projects[0]: gives the same target as the entry at monitor.yaml:2; "
        "keep impulses, variants or category apart, or remove one"
    ]


def test_include_itself(folder: Folder) -> None:
    """A pattern that also matches the main file is refused with a hint, not read as an included file."""
    assert folder.problems("include: ['*.yaml']") == [
        "monitor.yaml:1: include[0]: includes this file itself; keep included files in a folder of their own"
    ]


def test_short_intervals(folder: Folder) -> None:
    """Schedules under a minute, and figures that leave before the next pull, are warned about at their lines."""
    loaded = folder.load(
        """\
        schedule:
          every: 59s
        stale_after: 30m
        notify: [{alertmanager: {url: "http://127.0.0.1:9093"}}]
        projects:
          - id: 1
            api_key: k
            schedule:
              every: 1s
          - id: 2
            api_key: k
            schedule: {every: 1h}
        """
    )

    short = "is under 1m: many requests for results that change rarely; write 1m or more"
    assert [
        f"monitor.yaml:9: projects[0].schedule.every: {short}",
        f"monitor.yaml:2: schedule.every: {short}",
        "monitor.yaml:3: stale_after: is shorter than a schedule's interval: figures leave between two pulls; write 3 "
        "intervals",
    ] == texts(folder, loaded)


def test_equal_by_value(folder: Folder) -> None:
    """A reload sees equal configurations as equal and any change as a change."""
    text = "projects: [{id: 1, api_key: '${EI_API_KEY}', labels: {team: edge}}]"

    assert folder.load(text).config == folder.load(f"# a comment\n{text}").config
    assert folder.load(text).config != folder.load(text, EI_API_KEY="ei_other").config
    assert folder.load(text).config != folder.load(text.replace("edge", "core")).config


def test_key_rotation(folder: Folder) -> None:
    """A key file is read at each use, without the whitespace around the key."""
    file = folder.write("first\n", "key")
    config = folder.load("projects: [{id: 1, api_key_file: key}]\nhttp: {admin_token_file: key}").config

    assert config.projects[0].read_key().get_secret_value() == "first"
    file.write_text("  second \r\n")
    assert config.projects[0].read_key().get_secret_value() == "second"
    token = config.http.read_admin_token()
    assert token is not None
    assert token.get_secret_value() == "second"


def test_key_file_gone(folder: Folder) -> None:
    """A key file that vanishes later is an error that names the file; for a project it is one of authentication."""
    file = folder.write("key", "key")
    config = folder.load("projects: [{id: 1, api_key_file: key}]\nhttp: {admin_token_file: key}").config
    file.unlink()

    with pytest.raises(
        AuthError, match=rf"^project 1: the API key file {file} cannot be read \(No such file or directory\)"
    ):
        config.projects[0].read_key()
    with pytest.raises(ConfigError, match=rf"^{file}:1: the file of http.admin_token_file cannot be read"):
        config.http.read_admin_token()


def test_no_admin_token(folder: Folder) -> None:
    """Without a token file there is no token, which is how the POST endpoints are off."""
    assert folder.load("").config.http.read_admin_token() is None


@pytest.mark.parametrize(
    "where",
    [
        "store: '${KEY}'",
        "retention: '${KEY}'",
        "stale_after: '${KEY}'",
        "shutdown_grace: '${KEY}'",
        "schedule: {every: '${KEY}'}",
        "schedule: {cron: '${KEY}'}",
        "schedule: {cron: '${KEY} * * * *'}",
        "schedule: {cron: '0 * * * *', timezone: '${KEY}'}",
        "studio: {url: '${KEY}'}",
        "studio: {url: 'http://host:${KEY}/'}",
        "studio: {url: 'http://[${KEY}]/'}",
        "studio: {proxy: '${KEY}'}",
        "studio: {ca_file: '${KEY}'}",
        "studio: {requests_in_flight: '${KEY}'}",
        "store: 'postgresql://u:${KEY}@host'",
        "http: {listen: '${KEY}'}",
        "http: {external_url: '${KEY}'}",
        "http: {admin_token_file: '${KEY}'}",
        "include: ['${KEY}']",
        "limits: '${KEY}'",
        "projects: '${KEY}'",
        "projects: ['${KEY}']",
        "projects: [{id: '${KEY}', api_key: k}]",
        "projects: [{id: 1, api_key: 'x ${KEY}'}]",
        "projects: [{id: 1, api_key: '${KEY}', impulses: '${KEY}', variants: ['${KEY}'], category: '${KEY}'}]",
        "projects: [{id: 1, api_key: '${KEY}', slices: ['${KEY}'], group_by: '${KEY}', "
        "filters: {data_type: '${KEY}', metadata: '${KEY}'}}]",
        "projects: [{id: 1, api_key: '${KEY}', labels: {'a-b': '${KEY}'}}]",
    ],
)
def test_errors_hide_values(folder: Folder, where: str) -> None:
    """Wherever a variable's value is wrong, no problem repeats it, nor does anything the exception drags along."""
    with pytest.raises(ConfigError) as caught:
        folder.load(where, KEY=KEY)

    assert caught.value.problems
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error}{error!r}"
        error = None if error.__suppress_context__ else error.__context__


def test_unreadable_hides_values(folder: Folder) -> None:
    """Nor does what is said of a key file that is missing."""
    loaded = folder.load("projects: [{id: 1, api_key_file: '${KEY}'}]", KEY=KEY)

    assert loaded.unreadable
    assert KEY not in str(loaded.unreadable)


def test_repr_hides_secrets(folder: Folder) -> None:
    """Keys, the store's password and the proxy's never show in a repr or a string of the configuration."""
    loaded = folder.load(
        """\
        store: postgresql://user:${KEY}@host/db
        studio:
          proxy: http://user:${KEY}@proxy:3128
        projects:
          - id: 1
            api_key: ${KEY}
        """,
        KEY=KEY,
    )

    assert loaded.config.projects[0].read_key().get_secret_value() == KEY
    assert KEY not in f"{loaded!r}{loaded}{loaded.config}{loaded.config!r}"


def test_immutable(folder: Folder) -> None:
    """Nothing can change a configuration in use."""
    config = folder.load("").config

    with pytest.raises(ValueError, match="frozen"):
        config.studio.timeout = 1.0


def test_fingerprint(folder: Folder) -> None:
    """It moves with the content of every file that would be read, whatever state the files are in, and with nothing
    else.
    """
    folder.write("include: ['projects.d/*.yaml']")
    seen = [fingerprint(folder.main, {})]

    folder.write("projects: []", "projects.d/a.yaml")
    seen.append(fingerprint(folder.main, {}))
    folder.write("projects: [", "projects.d/a.yaml")
    seen.append(fingerprint(folder.main, {}))
    folder.write("projects: {", "projects.d/a.yaml")  # as long as before
    seen.append(fingerprint(folder.main, {}))
    folder.write("other", "projects.d/a.txt")
    os.utime(folder.main, (1, 1))
    assert seen[-1] == fingerprint(folder.main, {})
    folder.write("include: [")
    seen.append(fingerprint(folder.main, {}))
    folder.main.unlink()
    seen.append(fingerprint(folder.main, {}))

    assert len(seen) == len(set(seen))


def texts(folder: Folder, loaded: Loaded) -> list[str]:
    """The warnings, with paths relative to the folder."""
    return [str(warning).replace(f"{folder.path}/", "") for warning in loaded.warnings]
