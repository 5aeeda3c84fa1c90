"""The deployment files as data: Kubernetes manifests as kustomize would render them, compose."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

import jsonpatch
import yaml  # type: ignore[import-untyped]

from tests.processes import ROOT

KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
OVERLAYS: Final = ("cpu", "gpu", "engines", "keda")
Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    """What ``kubectl kustomize`` makes of a folder, as far as the features used here go.

    Raises:
        AssertionError: the kustomization uses a feature that this does not know.
    """
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "patches"}
    assert kustomization.keys() <= known
    manifests: list[Manifest] = []
    for resource in kustomization["resources"]:
        path = (folder / resource).resolve()
        manifests += rendered(path) if path.is_dir() else _documents(path)
    for manifest in manifests:
        if "namespace" in kustomization and manifest["kind"] != "Namespace":
            manifest["metadata"]["namespace"] = kustomization["namespace"]
        for labels in kustomization.get("labels", []):
            manifest["metadata"].setdefault("labels", {}).update(labels["pairs"])
    for patch in kustomization.get("patches", []):
        target = patch["target"]
        matching = [
            number
            for number, manifest in enumerate(manifests)
            if (manifest["kind"], manifest["metadata"]["name"]) == (target["kind"], target["name"])
        ]
        assert len(matching) == 1, f"{folder}: {target} names {len(matching)} manifests"
        operations = yaml.safe_load(patch["patch"])
        if isinstance(operations, dict):
            assert operations.pop("$patch") == "delete"
            del manifests[matching[0]]
            continue
        manifests[matching[0]] = jsonpatch.apply_patch(manifests[matching[0]], operations)
    for image in kustomization.get("images", []):
        for container in map(container_of, pods(manifests).values()):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['name']}:{image['newTag']}"
    return manifests


def _documents(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


@functools.cache
def base() -> list[Manifest]:
    """The manifests of ``base``."""
    return rendered(KUBERNETES / "base")


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod specification of each stage."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in manifests
        if manifest["kind"] == "Deployment"
    }


def container_of(pod: Manifest) -> Manifest:
    """The one container of a pod."""
    (container,) = pod["containers"]
    found: Manifest = container
    return found


def variables(container: Manifest) -> dict[str, str]:
    """Environment variables that a container's manifest sets, those of fields as ""."""
    return {entry["name"]: str(entry.get("value", "")) for entry in container.get("env", [])}


@functools.cache
def compose() -> Manifest:
    """The compose file, merge keys resolved."""
    loaded: Manifest = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())
    return loaded
