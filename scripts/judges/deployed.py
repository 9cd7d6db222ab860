"""The files of scripts/deploy as hadolint, checkov, Helm, Kubernetes and the Compose Specification judge them.

Prints a line for each check. Ends with status 1 if one fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from compose_spec import PyCompose
from helm_python import chart
from kubernetes_validate import validate

DEPLOY = Path(__file__).parents[1] / "deploy"
CONTAINERFILE = DEPLOY / "container/Containerfile"
COMPOSE = DEPLOY / "container/compose.yml"
CHART = DEPLOY / "helm/certindex"
NAMESPACE = "certindex"
KUBERNETES = ("1.27", "1.37")
"""The oldest version that the chart takes, and the newest that is known here."""

SECRETS: dict[str, Any] = {"indexer": {"secret": "certindex-indexer"}, "api": {"secret": "certindex-api"}}
DELIVER: dict[str, Any] = {
    "deliver": {
        "enabled": True,
        "secret": "certindex-deliver",
        "subscriptions": '[[subscription]]\nname = "acme"\nurl = "env:ACME_URL"\nsecrets = ["env:ACME_SECRET"]\n',
    }
}
PINNED = SECRETS | DELIVER | {"image": {"digest": f"sha256:{'5' * 64}"}}
VALUES: dict[str, dict[str, Any]] = {
    "its own values": SECRETS,
    "all that can be chosen": {
        "image": PINNED["image"] | {"pullSecrets": ["registry"]},
        "indexer": SECRETS["indexer"] | {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]},
        "api": SECRETS["api"] | {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {"clients": [{"podSelector": {}}], "scrapers": []},
        "deliver": DELIVER["deliver"] | {"settings": {"ALLOW_NETWORKS": "10.0.0.0/8"}},
    },
    "nothing that can be left out": {
        "indexer": SECRETS["indexer"] | {"settings": {"START_BLOCK": None}},
        "api": SECRETS["api"] | {"autoscaling": {"enabled": False}},
        "networkPolicy": {"enabled": False},
    },
}
"""Values of the chart, by what they stand for."""

ACCEPTED = ("CKV_K8S_35",)
"""Secrets as files: settings are read from the environment."""

OFFLINE = {"BC_SKIP_MAPPING": "TRUE"}
"""Keeps checkov from fetching its guidelines."""


def main() -> int:
    """Runs all checks and returns the exit status."""
    failures = 0
    for name, check in _checks():
        try:
            check()
            print(f"ok  {name}")
        except Exception as error:
            print(f"FAIL {name}: {error}")
            failures += 1
    return int(failures > 0)


def _checks() -> Iterator[tuple[str, Callable[[], object]]]:
    yield "hadolint accepts the Containerfile", _hadolint
    yield "checkov accepts the Containerfile", partial(_checkov, "dockerfile", "Dockerfile", CONTAINERFILE.read_text())
    yield "the compose file is of the Compose Specification", _compose
    yield "helm lint accepts the chart", _lint
    for name, values in VALUES.items():
        yield f"Kubernetes has the fields of the chart with {name}", partial(_validate, values)
    yield "checkov accepts the chart", lambda: _checkov("kubernetes", "chart.yaml", _rendered(PINNED))
    yield "a Secret that is missing is named", partial(_refused, {}, "secret: name the Secret")
    silent = SECRETS | {"deliver": DELIVER["deliver"] | {"subscriptions": ""}}
    yield "missing subscriptions are named", partial(_refused, silent, "deliver.subscriptions: write")
    misspelled = SECRETS | {"api": SECRETS["api"] | {"setings": {}}}
    yield "a value that does not exist is named", partial(_refused, misspelled, "setings")


def _hadolint() -> None:
    _run(Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", CONTAINERFILE)


def _checkov(framework: str, name: str, text: str) -> None:
    """Raises if checkov fails a check of this text, or runs none. It knows what a file is by its name."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(text)
        scan = ("--framework", framework, "--directory", folder)
        skipped = ("--skip-check", ",".join(ACCEPTED))
        output = _run(sys.executable, "-m", "checkov.main", *scan, "--compact", "--quiet", "--skip-download", *skipped)
    if not re.search(r"Passed checks: [1-9]\d*, Failed checks: 0, Skipped checks: 0", output):
        raise ValueError(output)


def _compose() -> None:
    # with its anchors resolved, as `docker compose` does
    PyCompose.from_json(json.dumps(yaml.safe_load(COMPOSE.read_text()))).validate()


def _lint() -> None:
    report = chart.lint(str(CHART), PINNED, strict=True, namespace=NAMESPACE)
    if report["errors"] or report["total_charts_linted"] != 1:
        raise ValueError(report)


def _validate(values: dict[str, Any]) -> None:
    """Raises if Kubernetes does not know a field. Resources of other programs (ServiceMonitor) are not judged."""
    resources = [resource for resource in yaml.safe_load_all(_rendered(values)) if resource]
    for resource in resources:
        if "monitoring.coreos.com" not in resource["apiVersion"]:
            for version in KUBERNETES:
                validate(resource, version, strict=True)


def _rendered(values: dict[str, Any]) -> str:
    """Returns the resources that Helm makes of the chart."""
    loaded = chart.Chart.load(str(CHART))
    loaded.validate_schema(values)
    return "\n---\n".join(loaded.render(values, name="register", namespace=NAMESPACE).values())


def _refused(values: dict[str, Any], reason: str) -> None:
    """Raises unless Helm refuses the values, for this reason."""
    try:
        _rendered(values)
    except Exception as error:
        if reason not in str(error):
            raise
    else:
        raise ValueError(f"{values} are taken")


def _run(*command: str | Path) -> str:
    """Returns the output. Raises with it if the status is not 0."""
    done = subprocess.run(command, env=os.environ | OFFLINE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
