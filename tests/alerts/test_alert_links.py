"""Where an alert leads, and that Studio's names lead nowhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.rules import PullFailing, Rule, Subject, built_in
from monitor.alerts.states import PullHealth, Transition
from monitor.alerts.steps import tick
from monitor.config import Config, load
from monitor.errors import PullState
from monitor.notify.alertmanager import as_alert
from monitor.notify.apprise import texts
from monitor.notify.chat import defang
from monitor.targets import Target, TargetKey

ROOT = Path(__file__).parent.parent.parent
LOCAL = "https://runbooks.example.com/monitor"


def config(tmp_path: Path, **content: object) -> Config:
    """A configuration with this content."""
    path = tmp_path / "monitor.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load(path).config


def fired(rule: Rule, name: str = "pump", variant: str = "int8", external_url: str | None = None) -> Transition:
    """The transition of a rule about failing pulls that begins to fire."""
    subject = Subject.target(Target(TargetKey(1, 2, variant, "testing"), name, "impulse"), external_url)
    step = tick(None, rule, subject, PullHealth(PullState.AUTH, 0.0, 60.0, 0.0, f"said {name}"), 9000.0)
    return step.transitions[0]


def test_built_in_alerts_name_a_runbook_that_exists(tmp_path: Path) -> None:
    """Each built-in alert links to its own page, of this version or where the configuration says;
    each page is there.
    """
    public = {rule.name: rule.links["runbook_url"] for rule in config(tmp_path).rules()}
    own = {rule.name: rule.links["runbook_url"] for rule in config(tmp_path, http={"runbook_url": LOCAL + "/"}).rules()}

    assert {rule.name for rule in built_in()} == public.keys()
    for name, url in public.items():
        assert (ROOT / "docs" / "runbooks" / url.rpartition("/")[2]).is_file()
        assert f"{LOCAL}/{name}.md" == own[name]
        assert url.startswith("https://")


def test_a_runbook_is_an_annotation_and_no_other_rule(tmp_path: Path) -> None:
    """The link arrives with the alert, an operator's own replaces it, and another address does not start the alert
    anew.
    """
    rules = {rule.name: rule for rule in config(tmp_path, http={"runbook_url": LOCAL}).rules()}
    rule = rules["EdgeImpulsePullFailing"]
    mine = Rule(rule.name, PullFailing(), annotations={"runbook_url": "https://mine"}, runbook=rule.runbook)

    assert f"{LOCAL}/{rule.name}.md" == fired(rule).annotations["runbook_url"]
    assert "https://mine" == fired(mine).annotations["runbook_url"]
    assert {each.name: each.digest for each in built_in()} == {name: each.digest for name, each in rules.items()}


@pytest.mark.parametrize(
    "external_url",
    ["https://monitor.example.com/edge impulse", "https://münchen.example/überwachung", "http://[::1]:9890"],
)
@pytest.mark.parametrize("variant", ["int8", "int 8/ä", "a%b?c#d"])
def test_generator_url_is_a_url(tmp_path: Path, external_url: str, variant: str) -> None:
    """Whatever Studio's variants and the operator's addresses are called, the link is plain ASCII that any URL parser
    takes.
    """
    if " " in external_url:
        external_url = external_url.replace(" ", "%20")
    url = fired(
        Rule("Failing", PullFailing()),
        variant=variant,
        external_url=config(tmp_path, http={"external_url": external_url}).http.external_url,
    )

    assert url.generator_url.isascii()
    assert " " not in url.generator_url
    parts = urlsplit(url.generator_url)
    assert "" == parts.query + parts.fragment
    assert "targets" == parts.path.split("/")[-2]


HOSTILE = [
    "<!channel> ",
    "@everyone",
    "<@U024BE7LH>",
    "<https://evil.example|click>",
    "[text](https://evil.example)",
    "www.evil.example",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_mention_nobody_and_lead_nowhere(name: str) -> None:
    """A project's name may hold anything: in a chat it alerts no channel and is no link; what the
    service adds is one.
    """
    transition = fired(
        Rule("Failing", PullFailing(), runbook=f"{LOCAL}/x.md"), name, external_url="https://monitor.example.com"
    )
    title, body = texts([transition])
    alert = as_alert(transition, 9000.0)
    written = [title, *body.splitlines()[:1], alert["annotations"]["summary"], alert["annotations"]["description"]]

    for text in written:
        assert name.strip() not in text
        assert "://" not in text
        assert name.strip() in text.replace("\u200b", "")
    event = f"https://monitor.example.com/alerts/{transition.labels['cause_id']}"
    assert body.splitlines()[-3:] == [transition.generator_url, event, f"{LOCAL}/x.md"]
    assert name.strip() == alert["labels"]["project"].strip()
    assert f"{LOCAL}/x.md" == alert["annotations"]["runbook_url"]


@given(st.text(st.sampled_from("<@!#a/:.w[]()& -"), max_size=40))
def test_harmless_texts_read_the_same(text: str) -> None:
    """Only spaces of no width are added, and nothing that a chat would act on is left."""
    made = defang(text)

    assert text == made.replace("\u200b", "")
    for special in ("<!", "<@", "<#", "@a", "](", "www."):
        assert special not in made
    assert "a://" not in made
