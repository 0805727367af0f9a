"""The manifest of a folder that srec wrote: which format, which files with which digests."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from srec.errors import DataError, InputError
from srec.io import digest_of, read_json, sha256


@dataclass(frozen=True)
class Manifest:
    """What kind of folder it is, and how its manifest is read.

    Attributes:
        what: the folder's content in words.
        name: the manifest's file name; it holds ``format``, ``files`` {name: sha256}, ``digest`` over them.
        verb: the verb of the command that writes such a folder.
        format: the format that this version reads and writes.
    """

    what: str
    name: str
    verb: str
    format: int = 1

    def read(self, folder: Path) -> dict[str, Any]:
        """Return the manifest; ``InputError`` where there is none, ``DataError`` where it cannot be used."""
        if not (folder / self.name).is_file():
            raise InputError(f"{folder} holds no {self.what} ({self.name}): make it with `srec {self.verb}`")
        content = read_json(folder / self.name)
        fields: dict[str, Any] = content if isinstance(content, dict) else {}
        if fields.get("format") != self.format:
            raise DataError(
                f"{folder / self.name} has format {fields.get('format')}, this srec reads {self.format}: "
                f"{self._again}"
            )
        if not isinstance(fields.get("files"), dict) or not isinstance(fields.get("digest"), str):
            raise DataError(f"{folder / self.name} names no files or no digest: {self._again}")
        return fields

    def verify(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Compare every file with the manifest; ``DataError`` names the first that differs."""
        for name, digest in manifest["files"].items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise DataError(f'{folder / self.name} names "{name}", a file outside: {self._again}')
            if not (folder / name).is_file() or sha256(folder / name) != digest:
                raise DataError(f"{folder / name} is missing or damaged: {self._again}")
        if digest_of(manifest["files"]) != manifest["digest"]:
            raise DataError(f"{folder / self.name} does not fit its own digest: {self._again}")

    def seal(self, folder: Path) -> dict[str, Any]:
        """Format, digests and the digest over them of all files that ``folder`` holds now."""
        files = {str(p.relative_to(folder)): sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
        return {"format": self.format, "files": files, "digest": digest_of(files)}

    def check_target(self, out: Path) -> None:
        """Refuse to replace what is not such a folder: it may be all that a person has."""
        if out.is_dir() and ((out / self.name).is_file() or not any(out.iterdir())) and out.name:
            return
        if out.exists() or not out.name:
            raise InputError(f"{out} exists and is no {self.what}: name another folder, nothing was changed")

    @property
    def _again(self) -> str:
        return f"run `srec {self.verb}` again"


DATA = Manifest("prepared data", "manifest.json", "prepare")
RUN = Manifest("finished run", "run.json", "train")
ARTIFACT = Manifest("artifact", "manifest.json", "export", format=2)
