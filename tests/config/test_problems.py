"""Every mistake is reported at its line, with what to write, and all of them at once."""

from pathlib import Path

import pytest

from monitor.config import ConfigError, load, load_for_store
from monitor.errors import AuthError
from tests.config.conftest import Folder

PROJECT = "projects:\n  - id: 1\n    api_key: k\n"  # three lines, to go on with four blanks

MISTAKES = [
    # keys
    ("shedule: {every: 5m}", "monitor.yaml:1: shedule: unknown key; did you mean schedule?"),
    (
        "\nlimits:\n  classes: 3\n  xyz: 4",
        "monitor.yaml:4: limits.xyz: unknown key; write one of: classes, slice_values",
    ),
    (PROJECT + "    varaints: [int8]", "monitor.yaml:4: projects[0].varaints: unknown key; did you mean variants?"),
    (
        "retention: 7d\nlimits: {}\nretention: 9d",
        "monitor.yaml:3: retention: is written twice, first on line 1; remove one",
    ),
    (
        "limits:\n  classes: 1\n  classes: 2",
        "monitor.yaml:3: limits.classes: is written twice, first on line 2; remove one",
    ),
    ("exposition: {class: false}", "monitor.yaml:1: exposition.class: unknown key; did you mean classes?"),
    ("exposition: {confusion: maybe}", "monitor.yaml:1: exposition.confusion: must be true or false"),
    ("1: x", "monitor.yaml:1: has a key that is not text; put it into quotes"),
    ("limits:\n  ? [a]\n  : b", "monitor.yaml:2: limits: has a key that is not text; put it into quotes"),
    ("projects:\n  - api_key: k", "monitor.yaml:2: projects[0]: has no id; write `id: ...` below it"),
    # sections to come
    ("baseline: {mode: pin}", "monitor.yaml:1: baseline.mode: write pinned, previous or rolling"),
    ("baseline: {mode: rolling}", "monitor.yaml:1: baseline.mode: needs age; write for example `age: 7d` beside it"),
    (
        "baseline:\n  age: 7d",
        "monitor.yaml:2: baseline.age: means nothing but for mode rolling; remove it, or write `mode: rolling`",
    ),
    (
        "baseline: {mode: rolling, age: 7d}\nretention: 1w",
        "monitor.yaml:1: baseline.age: is not less than retention, so that no run gets so old; write a shorter one, "
        "or keep runs longer",
    ),
    (PROJECT + "    refresh: sometimes", "monitor.yaml:4: projects[0].refresh: write never, when_stale or always"),
    (
        "http:\n  web_config_file: w.yml",
        (
            "monitor.yaml:2: http.web_config_file: cannot be read (No such file or directory); write the path of a "
            "file that exists"
        ),
    ),
    # kinds of value
    ("- a", "monitor.yaml:1: must be a mapping; write `key: value` lines below it"),
    ("limits: 3", "monitor.yaml:1: limits: must be a mapping; write `key: value` lines below it"),
    ("\nlimits:", "monitor.yaml:2: limits: is empty; write a value, or remove the key"),
    ("projects:", "monitor.yaml:1: projects: is empty; write a value, or remove the key"),
    ("projects: 3", "monitor.yaml:1: projects: must be a list; write [a, b], or one `- item` per line"),
    ("projects:\n  - 3", "monitor.yaml:2: projects[0]: must be a mapping; write `key: value` lines below it"),
    ("limits:\n  classes: many", "monitor.yaml:2: limits.classes: must be a whole number; write for example 4"),
    ("limits: {classes: true}", "monitor.yaml:1: limits.classes: must be a whole number; write for example 4"),
    ("limits: {classes: 1.0}", "monitor.yaml:1: limits.classes: must be a whole number; write for example 4"),
    ("limits: {classes: -1}", "monitor.yaml:1: limits.classes: must be at least 0"),
    ("studio: {requests_in_flight: 0}", "monitor.yaml:1: studio.requests_in_flight: must be at least 1"),
    ("include: 3", "monitor.yaml:1: include: must be a list; write [a, b], or one `- item` per line"),
    ("include:\n  - a*\n  - 3", "monitor.yaml:3: include[1]: must be text; put it into quotes"),
    # durations and schedules
    (
        "retention: 90",
        "monitor.yaml:1: retention: is not a duration; write a number and a unit, such as 500ms, 30s, 15m, 1h30m, 7d "
        "(also w and y)",
    ),
    ("retention: 0", "monitor.yaml:1: retention: is too short; write at least 1ms"),
    ("retention: 293y", "monitor.yaml:1: retention: is longer than 292 years; write a shorter duration"),
    ("schedule:\n  every: 999ms", "monitor.yaml:2: schedule.every: is too short; write at least 1s"),
    (
        "stale_after: 0 intervals",
        "monitor.yaml:1: stale_after: write `N intervals`, such as `3 intervals`, or a duration such as 45m",
    ),
    ("stale_after: 0s", "monitor.yaml:1: stale_after: is too short; write at least 1ms"),
    ("schedule: {}", "monitor.yaml:1: schedule: needs every or cron; write one of them"),
    (
        "schedule:\n  every: 5m\n  cron: '0 * * * *'",
        "monitor.yaml:3: schedule.cron: cannot stand beside every; remove one of them",
    ),
    (
        "schedule:\n  every: 5m\n  timezone: UTC",
        "monitor.yaml:3: schedule.timezone: means nothing without cron; remove it, or write cron",
    ),
    (
        "schedule:\n  cron: '0 * * *'",
        (
            "monitor.yaml:2: schedule.cron: must have five fields: minute, hour, day of month, month, day of week; "
            "write for example `0 * * * *`"
        ),
    ),
    (
        "schedule:\n  cron: '0 24 * * *'",
        "monitor.yaml:2: schedule.cron: the hour field is not valid; write for example `0 * * * *` (each hour)",
    ),
    (
        "schedule: {cron: '0 0 * * 8'}",
        "monitor.yaml:1: schedule.cron: the day of week field is not valid; write for example `0 * * * *` (each hour)",
    ),
    ("schedule: {cron: '0 0 30 2 *'}", "monitor.yaml:1: schedule.cron: never fires: no month has such a day"),
    (
        "schedule: {cron: '0 0 1 * mon'}",
        "monitor.yaml:1: schedule.cron: names both days of the month and days of the week; write * for one of them",
    ),
    (
        "schedule:\n  cron: '0 * * * *'\n  timezone: Europe/Nowhere",
        "monitor.yaml:3: schedule.timezone: is not a time zone; write a name of the IANA database, such as UTC or "
        "Europe/Berlin",
    ),
    # projects
    ("projects:\n  - id: 1", "monitor.yaml:2: projects[0]: needs api_key or api_key_file; write one of them"),
    (
        PROJECT + "    api_key_file: key",
        "monitor.yaml:4: projects[0].api_key_file: cannot stand beside api_key; remove one of them",
    ),
    (
        "projects:\n  - id: 1\n    api_key:",
        "monitor.yaml:3: projects[0].api_key: is empty; write a value, or remove the key",
    ),
    ("projects:\n  - id: 1\n    api_key: ' '", "monitor.yaml:3: projects[0].api_key: is empty; put the secret into it"),
    (
        "projects:\n  - id: 1\n    api_key: two words",
        (
            "monitor.yaml:3: projects[0].api_key: holds characters that no key has (blanks, line ends or non-ASCII); "
            "put the secret alone into it"
        ),
    ),
    (
        "projects:\n  - id: 1\n    api_key_file: .",
        "monitor.yaml:3: projects[0].api_key_file: must not be empty; write the path of a file",
    ),
    (PROJECT + "    impulses: some", "monitor.yaml:4: projects[0].impulses: write all, or a list such as [1, 4]"),
    (PROJECT + "    impulses: [1, 0]", "monitor.yaml:4: projects[0].impulses[1]: must be at least 1"),
    (
        PROJECT + "    impulses:\n      - 4\n      - four",
        "monitor.yaml:6: projects[0].impulses[1]: must be a whole number; write for example 4",
    ),
    (
        PROJECT + "    impulses: [4, 1, 4]",
        "monitor.yaml:4: projects[0].impulses: entries 1 and 3 are the same; remove one",
    ),
    (
        PROJECT + "    impulses: []",
        "monitor.yaml:4: projects[0].impulses: must not be empty; write at least one entry, or remove the key",
    ),
    (
        PROJECT + "    variants: int8",
        "monitor.yaml:4: projects[0].variants: write enabled, or a list such as [int8, float32]",
    ),
    (PROJECT + "    variants: [int4]", "monitor.yaml:4: projects[0].variants[0]: write int8, float32 or akida"),
    (
        PROJECT + "    category: test",
        "monitor.yaml:4: projects[0].category: write testing, training, validation or post-processing",
    ),
    *(
        (
            PROJECT + f"    slices: [{text}]",
            "monitor.yaml:4: projects[0].slices[0]: is not something to slice by; write metadata.KEY or device_name",
        )
        for text in ("site", "metadata.", "metadata", "'metadata. site'", "'metadata.site '")
    ),
    *(
        (
            PROJECT + f"    group_by: {text}",
            "monitor.yaml:4: projects[0].group_by: is not something to group by; write auto, none or metadata.KEY",
        )
        for text in ("device_name", "metadata.", "day", "' metadata.site'", "'metadata. '", '"metadata.site\\t"')
    ),
    (
        PROJECT + "    labels: [a]",
        "monitor.yaml:4: projects[0].labels: must be a mapping; write `name: value` lines below it",
    ),
    (PROJECT + "    labels: {team: 5}", "monitor.yaml:4: projects[0].labels.team: must be text; put it into quotes"),
    (
        PROJECT + "    labels: {team: ''}",
        "monitor.yaml:4: projects[0].labels.team: must not be empty; write a value, or remove the key",
    ),
    (
        PROJECT + "    labels:\n      a-b: c",
        "monitor.yaml:5: projects[0].labels.a-b: is not a label name; write letters, digits and underscores, with no "
        "digit first",
    ),
    (
        PROJECT + "    labels: {__a: c}",
        "monitor.yaml:4: projects[0].labels.__a: is reserved by Prometheus; write a name without underscores at its "
        "start",
    ),
    *(
        (
            PROJECT + f"    labels: {{{name}: c}}",
            f"monitor.yaml:4: projects[0].labels.{name}: is a label that the monitor or Prometheus sets itself; write "
            "another name",
        )
        for name in (
            "project",
            "project_id",
            "impulse",
            "impulse_id",
            "variant",
            "category",
            "state",
            "job",
            "instance",
            "severity",
        )
    ),
    (
        PROJECT + "    filters: {data_type: video}",
        "monitor.yaml:4: projects[0].filters.data_type: write image or audio",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - {key: site, op: is}",
        "monitor.yaml:6: projects[0].filters.metadata[0].op: write eq or neq",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - {op: eq, values: [lab]}",
        "monitor.yaml:6: projects[0].filters.metadata[0]: has no key; write `key: ...` below it",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - {key: site, values: lab}",
        "monitor.yaml:6: projects[0].filters.metadata[0].values: must be a list; write [a, b], or one `- item` per "
        "line",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - {key: site}\n        - {no_metadata: maybe}",
        "monitor.yaml:7: projects[0].filters.metadata[1].no_metadata: must be true or false",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - {key: site}\n        - {filters_combinator: xor}",
        "monitor.yaml:7: projects[0].filters.metadata[1].filters_combinator: write and or or",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - {no_metadata: true, key: site}",
        "monitor.yaml:6: projects[0].filters.metadata[0].key: unknown key; write one of: no_metadata",
    ),
    (
        PROJECT + "    filters:\n      metadata:\n        - site",
        "monitor.yaml:6: projects[0].filters.metadata[0]: must be a mapping; write `key: value` lines below it",
    ),
    (
        PROJECT + "    filters:\n      metadata: [{no_metadata: true}, {no_metadata: false}]",
        "monitor.yaml:5: projects[0].filters.metadata: has no_metadata more than once; keep one of them",
    ),
    (
        PROJECT + "    filters:\n      metadata: [{filters_combinator: or}]",
        "monitor.yaml:5: projects[0].filters.metadata: has a filters_combinator and nothing to combine; "
        "write conditions such as {key: site, values: [lab]}",
    ),
    (
        PROJECT + "    filters:\n      filename: ''",
        "monitor.yaml:5: projects[0].filters.filename: must not be empty; write a value, or remove the key",
    ),
    (
        PROJECT + "    filters:\n      search: 5",
        "monitor.yaml:5: projects[0].filters.search: must be text; put it into quotes",
    ),
    *(
        (
            PROJECT + f"    filters:\n      {name}: {value}",
            f"monitor.yaml:5: projects[0].filters.{name}: is not a date; write for example 2026-01-31, or "
            "2026-01-31T12:00:00Z",
        )
        for name in ("min_date", "max_date")
        for value in (
            "31.1.2026",
            "2026-02-30",
            "2026-01-31 12:00",
            "5",
            "0001-01-01T00:00+01:00",
            "2026-01-31T12:00:00Zulu",
        )
    ),
    *(
        (
            PROJECT + f"    filters:\n      {name}: x",
            f"monitor.yaml:5: projects[0].filters.{name}: must be a whole number; write for example 4",
        )
        for name in ("min_id", "max_id", "min_length", "max_length")
    ),
    *(
        (
            PROJECT + f"    filters:\n      {name}: x",
            f"monitor.yaml:5: projects[0].filters.{name}: must be a number; write for example 0.03",
        )
        for name in ("min_label", "max_label", "min_frequency", "max_frequency")
    ),
    (
        PROJECT + "    filters:\n      max_frequency: -1",
        "monitor.yaml:5: projects[0].filters.max_frequency: must be at least 0",
    ),
    (PROJECT + "    filters:\n      min_id: -1", "monitor.yaml:5: projects[0].filters.min_id: must be at least 0"),
    (
        PROJECT + "    filters:\n      signature_validity: maybe",
        "monitor.yaml:5: projects[0].filters.signature_validity: write both, valid or invalid",
    ),
    *(
        (
            PROJECT + f"    filters:\n      min_{name}: {low}\n      max_{name}: {high}",
            f"monitor.yaml:6: projects[0].filters.max_{name}: is not beyond min_{name}, so that no sample is left; "
            "write a larger one, or remove it",
        )
        for name, low, high in (
            ("date", "2026-01-31T01:00+01:00", "2026-01-31"),
            ("id", "5", "5"),
            ("label", "0.5", "-1"),
            ("length", "100", "20"),
            ("frequency", "62.5", "16"),
        )
    ),
    # addresses, URLs and paths
    *(
        (
            f"http: {{listen: '{text}'}}",
            "monitor.yaml:1: http.listen: write HOST:PORT, such as 127.0.0.1:9890, [::1]:9890 or :9890 for every "
            "interface",
        )
        for text in ("9890", "localhost", "h:65536", "::1:9890", "[::1:9890", "[1.2.3.4]:80", "http://h:80")
    ),
    *(
        (
            f"studio: {{url: '{text}'}}",
            "monitor.yaml:1: studio.url: is not a URL that can be used here; write for example "
            "https://studio.example.com/v1",
        )
        for text in (
            "studio.edgeimpulse.com",
            "ftp://host/v1",
            "http://host:port/",
            "http://host:99999/",
            "http://[::1/v1",
            "http://a b/",
        )
    ),
    (
        "studio: {url: 'https:///v1'}",
        "monitor.yaml:1: studio.url: names no host; write for example https://studio.example.com/v1",
    ),
    (
        "studio: {url: 'https://u:p@host/v1'}",
        "monitor.yaml:1: studio.url: must not hold a user, a query or a fragment; write for example "
        "https://studio.example.com/v1",
    ),
    (
        "studio: {proxy: 'socks5://host'}",
        "monitor.yaml:1: studio.proxy: is not a URL that can be used here; write for example "
        "http://proxy.example.com:3128",
    ),
    (
        "studio:\n  ca_file: monitor.yaml",
        "monitor.yaml:2: studio.ca_file: holds no certificate; write the path of a file with certificates in PEM form",
    ),
    (
        "studio:\n  ca_file: none.pem",
        (
            "monitor.yaml:2: studio.ca_file: cannot be read (No such file or directory); "
            "write the path of a file with certificates in PEM form"
        ),
    ),
    *(
        (
            f"store: '{text}'",
            (
                f"monitor.yaml:1: store: {wrong}; write sqlite:///file.db (relative to this file), "
                "sqlite:////absolute/file.db or postgresql://user@host/database"
            ),
        )
        for text, wrong in (
            ("runs.db", "is not a store that exists"),
            ("mysql://host/db", "is not a store that exists"),
            ("postgres://host/db", "is not a store that exists"),
            ("sqlite:///", "must name a file, without options"),
            ("sqlite:///:memory:", "must name a file, without options"),
            ("sqlite:///a.db?mode=ro", "must name a file, without options"),
            ("postgresql://host", "names no database"),
        )
    ),
    (
        "store: sqlite:///none/a.db",
        "monitor.yaml:1: store: is in a folder that does not exist; create the folder or write another path",
    ),
    (
        "store: postgresql://host:port/db",
        "monitor.yaml:1: store: is not a URL that can be used here; write for example postgresql://user@host/database",
    ),
    ("store: sqlite:///.", "monitor.yaml:1: store: must not be empty; write the path of a file"),
    (
        "store: sqlite:////tmp",
        (
            "monitor.yaml:1: store: is a folder; write sqlite:///file.db (relative to this file), "
            "sqlite:////absolute/file.db or postgresql://user@host/database"
        ),
    ),
    (
        "\nstore: postgresql://host/db?prepared=off",
        (
            "monitor.yaml:2: store: has options that are not known: prepared; write only application_name, "
            "connect_timeout, host, "
            "passfile, port, prepared_statement_cache_size, prepared_statements, sslmode, target_session_attrs"
        ),
    ),
    (
        "store: postgresql://host/db?sslmode=on",
        (
            "monitor.yaml:1: store: has an option sslmode that cannot be used; "
            "write one of disable, allow, prefer, require, verify-ca, verify-full"
        ),
    ),
    # the environment
    (
        "\nprojects:\n  - id: 1\n    api_key: ${UNSET}",
        (
            "monitor.yaml:4: projects[0].api_key: the environment variable UNSET is not set; "
            "set it, or write $${ for the characters themselves"
        ),
    ),
    (
        "store: a${b-c}",
        "monitor.yaml:1: store: holds a ${ that begins no ${NAME}; write $${ for the characters themselves",
    ),
    (
        "store: ${UNSET",
        "monitor.yaml:1: store: holds a ${ that begins no ${NAME}; write $${ for the characters themselves",
    ),
    (
        "projects: [{id: 1, api_key: '${EMPTY}'}]",
        "monitor.yaml:1: projects[0].api_key: is empty; put the secret into it",
    ),
    # YAML
    (
        "limits:\n  classes: 1\n slices: 2",
        (
            "monitor.yaml:3: is not valid YAML: expected <block end>, but found '<block mapping start>'; fix the "
            "line or the one before it"
        ),
    ),
    (
        "\nprojects: [{id: 1, api_key: ${EI_API_KEY}}]",
        (
            "monitor.yaml:2: is not valid YAML: expected ',' or '}', but got '{'; fix the line or the one before it "
            "(inside [...] and {...}, put ${NAME} into quotes)"
        ),
    ),
    (
        "store: *secret",
        "monitor.yaml:1: refers to an anchor that is not defined; put a text that begins with * into quotes",
    ),
    (
        "\nstore: !secret x",
        "monitor.yaml:2: store: has a YAML tag (!...), which means nothing here; put a text that begins with ! into "
        "quotes",
    ),
    ("limits: &a\n  classes: *a", "monitor.yaml:2: limits.classes: refers to itself; write the values out"),
    (
        "limits: &a\n  <<: *a",
        "monitor.yaml:2: limits: merges (<<) something that is not a mapping; write an alias of a mapping",
    ),
    (
        "projects:\n  - &a {id: 1, id: 2, api_key: k}\n  - {<<: *a, id: 3}\n  - {<<: *a, id: 4}",
        "monitor.yaml:2: projects[0].id: is written twice, first on line 2; remove one",
    ),
    (
        "projects:\n  - {id: 1, api_key: k}\n  - {id: '1${UNSET}', api_key: k}",
        "monitor.yaml:3: projects[1].id: the environment variable UNSET is not set; set it, or write $${ for the "
        "characters themselves",
    ),
    (
        "store: a\n---\nstore: b",
        "monitor.yaml:2: is not valid YAML: but found another document; fix the line or the one before it",
    ),
    ("store: a\nlimits: \x07", "monitor.yaml:2: holds a control character; remove it"),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=[str(index) for index in range(len(MISTAKES))])
def test_mistake(folder: Folder, text: str, expected: str) -> None:
    """One mistake gives one problem, at its line, that says what to write."""
    folder.write("k", "key")

    assert [expected] == folder.problems(text)


def test_all_at_once(folder: Folder) -> None:
    """Problems of every kind and of every file come together, file by file and line by line."""
    folder.write(
        """\
        projects:
          - id: 1
            api_key: k
            colour: red
        """,
        "projects.d/b.yaml",
    )
    folder.write("projects: [", "projects.d/a.yaml")
    folder.write("limits: {classes: 3}\n", "projects.d/c.yaml")

    assert folder.problems(
        """\
        retention: 90
        retention: 90d
        include: [projects.d/*.yaml, none.yaml]
        http:
          listen: ${NO_SUCH}
          external_url: example.com
        projects:
          - id: 1
            schedule: {every: 5m, cron: nonsense, timezone: Mars}
            api_key: a
            impulses: [x, 2, 0]
          - impulses: all
            labels: {job: x, "9": y}
        """
    ) == [
        "monitor.yaml:1: retention: is not a duration; write a number and a unit, such as 500ms, 30s, 15m, 1h30m, 7d "
        "(also w and y)",
        "monitor.yaml:2: retention: is written twice, first on line 1; remove one",
        "monitor.yaml:3: include[1]: names a file that cannot be read (No such file or directory); fix its path or "
        "permissions",
        "monitor.yaml:5: http.listen: the environment variable NO_SUCH is not set; set it, or write $${ for the "
        "characters themselves",
        "monitor.yaml:6: http.external_url: is not a URL that can be used here; write for example "
        "https://studio.example.com/v1",
        "monitor.yaml:9: projects[0].schedule.cron: cannot stand beside every; remove one of them",
        (
            "monitor.yaml:9: projects[0].schedule.cron: must have five fields: minute, hour, day of month, month, day "
            "of week; "
            "write for example `0 * * * *`"
        ),
        (
            "monitor.yaml:9: projects[0].schedule.timezone: is not a time zone; "
            "write a name of the IANA database, such as UTC or Europe/Berlin"
        ),
        "monitor.yaml:11: projects[0].impulses[0]: must be a whole number; write for example 4",
        "monitor.yaml:11: projects[0].impulses[2]: must be at least 1",
        "monitor.yaml:12: projects[1]: needs api_key or api_key_file; write one of them",
        "monitor.yaml:12: projects[1]: has no id; write `id: ...` below it",
        "monitor.yaml:13: projects[1].labels.job: is a label that the monitor or Prometheus sets itself; write "
        "another name",
        "monitor.yaml:13: projects[1].labels.9: is not a label name; write letters, digits and underscores, with no "
        "digit first",
        "projects.d/b.yaml:4: projects[0].colour: unknown key; write one of: id, impulses, variants, category, "
        "api_key, api_key_file,"
        " schedule, labels, filters, group_by, slices, refresh",
        "projects.d/c.yaml:1: limits: unknown key; write one of: projects",
        (
            "projects.d/a.yaml:1: is not valid YAML: expected the node content, but found '<stream end>'; fix the "
            "line or the one before it"
        ),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("", ""),
        ("impulses: [1, 4]", "impulses: [4]"),
        ("impulses: all", "impulses: [4]"),
        ("variants: enabled", "variants: [int8]"),
        ("variants: [int8, float32]", "variants: [float32]"),
        ("category: testing", "filters: {labels: [a]}"),
        ("", "unknown: 1"),
    ],
)
def test_same_target(folder: Folder, first: str, second: str) -> None:
    """Two entries that can give the same target are refused, also where another key of one is wrong."""
    problems = folder.problems(
        f"projects:\n  - id: 7\n    api_key: k\n    {first}\n  - id: 7\n    api_key: k\n    {second}\n"
    )

    assert (
        "monitor.yaml:5: projects[1]: gives the same target as the entry at monitor.yaml:2; "
        "keep impulses, variants or category apart, or remove one"
    ) in problems


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("impulses: [1]", "impulses: [4]"),
        ("variants: [int8]", "variants: [float32, akida]"),
        ("category: testing", "category: training"),
    ],
)
def test_different_targets(folder: Folder, first: str, second: str) -> None:
    """Entries of one project that share no target stand side by side."""
    loaded = folder.load(
        f"projects:\n  - id: 7\n    api_key: k\n    {first}\n  - id: 7\n    api_key: k\n    {second}\n"
    )

    assert [project.id for project in loaded.config.projects] == [7, 7]


def test_missing_file(tmp_path: Path) -> None:
    """A configuration that does not exist is a problem like any other."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", {})

    assert (
        f"{tmp_path}/none.yaml:1: cannot be read (No such file or directory); name a file that exists with --config"
        == str(caught.value)
    )


def test_not_utf8(folder: Folder) -> None:
    """Other encodings are named as the problem, at the line of the first byte that is wrong."""
    folder.main.write_bytes(b"store: a\nlimits: \xff\n")

    with pytest.raises(ConfigError, match=r"monitor.yaml:2: is not UTF-8 text; save the file as UTF-8$"):
        load(folder.main, {})


@pytest.mark.slow
def test_too_deep(folder: Folder) -> None:
    """A file nested beyond any sense is refused, not a crash."""
    assert folder.problems("[" * 5000) == ["monitor.yaml:1: is nested too deeply; write it flatter"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty; put the secret into it"),
        (b" \n", "is empty; put the secret into it"),
        (b"a\nb\n", "holds characters that no key has (blanks, line ends or non-ASCII); put the secret alone into it"),
        (b"\xff\xfe", "is not a text file; write the path of a file that holds the secret"),
    ],
)
def test_unusable_key_file(folder: Folder, content: bytes, reason: str) -> None:
    """A key file that holds no key is found when the configuration is read, not at the first pull; only an admin token
    must be there.
    """
    (folder.path / "key").write_bytes(content)

    assert [f"monitor.yaml:3: projects[0].api_key_file: {reason}"] == folder.unreadable(
        "projects:\n  - id: 1\n    api_key_file: key\n"
    )
    assert [f"monitor.yaml:1: http.admin_token_file: {reason}"] == folder.problems("http: {admin_token_file: key}")


def test_missing_key_files(folder: Folder) -> None:
    """Files that are missing keep nothing else from being used; beside another problem they are told with it."""
    folder.write("key", "key")
    text = """
        projects:
          - {id: 1, api_key_file: none}
          - {id: 2, api_key_file: key}
        notify:
          - webhook: {url_file: nowhere}
          - webhook: {url: "https://hooks.example.com", secret_file: lost}
    """
    missing = "cannot be read (No such file or directory); write the path of a file that holds the secret"
    receivers = [
        f"monitor.yaml:6: notify[0].webhook.url_file: {missing}",
        f"monitor.yaml:7: notify[1].webhook.secret_file: {missing}",
    ]
    project = f"monitor.yaml:3: projects[0].api_key_file: {missing}"
    loaded = folder.load(text)

    assert [*receivers, project] == folder.unreadable(text)
    assert [folder.path / "none", folder.path / "key"] == [entry.api_key_file for entry in loaded.config.projects]
    with pytest.raises(AuthError, match=r"project 1: the API key file .*/none cannot be read"):
        loaded.config.projects[0].read_key()
    told = folder.problems(f"{text.rstrip()}\n        retention: 1x\n")
    assert [project, *receivers] == told[:3]
    assert told[3].startswith("monitor.yaml:8: retention: is not a duration")


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://studio.edgeimpulse.com", "https://studio.edgeimpulse.com/v1"),
        ("https://studio.edgeimpulse.com/studio/12345", "https://studio.edgeimpulse.com/v1"),
        ("http://127.0.0.1:4800/", "http://127.0.0.1:4800/v1"),
    ],
)
def test_studio_without_its_api(tmp_path: Path, url: str, written: str) -> None:
    """The address of Studio's pages is not that of its API, which is named."""
    path = tmp_path / "monitor.yaml"
    path.write_text(f"studio:\n  url: {url}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(path)

    assert f"{path}:2: studio.url: is not the address of Studio's API; write {written}" == str(refused.value)


def test_a_built_in_alert_misspelt(tmp_path: Path) -> None:
    """The one that is meant is named."""
    path = tmp_path / "monitor.yaml"
    path.write_text("alerts:\n  - alert: EdgeImpulseAccuracyRegresed\n    severity: critical\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load(path)

    assert f"{path}:2: alerts[0].alert: names no built-in alert; did you mean EdgeImpulseAccuracyRegressed?" in str(
        refused.value
    )


def test_the_store_needs_no_key(tmp_path: Path) -> None:
    """What only reads the store does without the variables that others need: a key's, a receiver's, one of an included
    file. Those of the store's own address, and every other problem, are problems as ever.
    """
    path = tmp_path / "monitor.yaml"
    (tmp_path / "more.yaml").write_text("projects: [{id: 2, api_key: '${UNSET}'}]\n")
    rest = "projects: [{id: 1, api_key: '${UNSET}'}]\nnotify: [{webhook: {url: '${UNSET}'}}]\ninclude: [more.yaml]\n"
    address = "store: sqlite:///other.db\nstudio: {site: 'https://studio.example.com', proxy: '${UNSET}'}\n"
    path.write_text(address + rest)
    config = load_for_store(path, {})

    assert f"sqlite:///{tmp_path}/other.db" == config.store.get_secret_value()
    assert "https://studio.example.com" == config.studio.pages
    wrong = {
        f"store: 'sqlite:///${{WHERE}}'\n{rest}": "monitor.yaml:1: store: the environment variable WHERE is not set",
        f"studio: {{url: '${{WHERE}}'}}\n{rest}": "monitor.yaml:1: studio.url: the environment variable WHERE",
        f"stores: sqlite:///other.db\n{rest}": "monitor.yaml:1: stores: ",
    }
    for text, problem in wrong.items():
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_for_store(path, {})
        assert any(problem in str(each) for each in caught.value.problems), caught.value.problems
