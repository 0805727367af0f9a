"""Bill of materials of an archive: what it holds, and every package that serves it (CycloneDX 1.6, JSON).

    python deploy/sbom.py model_store/srec.mar model_store/srec.cdx.json

The same archive in the same environment gives the same bytes: its time is the one that archives carry, its
serial number comes from the digests.
"""

import hashlib
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from srec.errors import DataError
from srec.export.archive import read_manifest
from srec.io import new_file

ROOT = "srec"
EXTRAS = frozenset({"serve"})


def requirements(package: Distribution, extras: frozenset[str]) -> list[Requirement]:
    """What ``package`` with ``extras`` needs on this machine."""
    found = [Requirement(text) for text in package.requires or []]
    environments = [{"extra": extra} for extra in extras | {""}]
    return [one for one in found if one.marker is None or any(map(one.marker.evaluate, environments))]


def closure(name: str, extras: frozenset[str]) -> dict[str, list[str]]:
    """Every package that ``name`` with ``extras`` reaches, with its direct dependencies."""
    needs: dict[str, list[str]] = {}
    waiting = [(canonicalize_name(name), extras)]
    while waiting:
        one, wanted = waiting.pop()
        if one in needs:
            continue
        direct = requirements(distribution(one), wanted)
        needs[one] = sorted({canonicalize_name(other.name) for other in direct})
        waiting += [(canonicalize_name(other.name), frozenset(other.extras)) for other in direct]
    return needs


def library(name: str) -> Component:
    """A package as a component."""
    package = distribution(name)
    kind = ComponentType.APPLICATION if name == ROOT else ComponentType.LIBRARY
    url = None if name == ROOT else PackageURL("pypi", name=name, version=package.version)
    licence = package.metadata["License-Expression"] or package.metadata["License"] or ""
    return Component(
        name=name,
        version=package.version,
        type=kind,
        purl=url,
        bom_ref=f"{name}@{package.version}",
        licenses=[LicenseFactory().make_from_string(licence)] if licence and "\n" not in licence else [],
    )


def model(mar: Path) -> Component:
    """The archive itself, with its digest."""
    description: dict[str, Any] = read_manifest(mar)["model"]
    return Component(
        name=mar.name,
        version=str(description["modelVersion"]),
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=mar.name,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(mar.read_bytes()).hexdigest())],
    )


def bill(mar: Path) -> str:
    """The bill as validated JSON; ``DataError`` for a damaged archive."""
    needs = closure(ROOT, EXTRAS)
    components = {name: library(name) for name in sorted(needs)}
    archive = model(mar)
    references = {name: BomRef(f"{name}@{one.version}") for name, one in components.items()}
    serial = uuid.uuid5(uuid.NAMESPACE_OID, " ".join([*map(str, references.values()), str(archive.hashes)]))
    bom = Bom(serial_number=serial, components=[archive, *(components[n] for n in needs if n != ROOT)])
    bom.metadata.timestamp = datetime(1980, 1, 1, tzinfo=UTC)
    bom.metadata.component = components[ROOT]
    for name, direct in needs.items():
        extra = [Dependency(ref=archive.bom_ref)] if name == ROOT else []
        known = [Dependency(ref=references[other]) for other in direct]
        bom.dependencies.add(Dependency(ref=references[name], dependencies=[*known, *extra]))
    text = JsonV1Dot6(bom).output_as_string(indent=1) + "\n"
    wrong = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6).validate_str(text)
    if wrong:
        raise DataError(f"the bill of materials does not follow its schema: {wrong}")
    return text


if __name__ == "__main__":
    with new_file(Path(sys.argv[2])) as unfinished:
        unfinished.write_text(bill(Path(sys.argv[1])))
