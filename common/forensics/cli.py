"""``stt-inspect``: what happened to the corrupt frames that a server keeps (``--quarantine``)."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from common.forensics.hex_view import hex_view
from common.forensics.records import SUFFIX, Corruption, QuarantineError, read
from common.forensics.what_happened import Finding, compare, guess
from common.receipts.statement import rfc3339
from common.wire import printable

EXIT_OK: Final = 0
EXIT_UNREADABLE: Final = 2


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(
        prog="stt-inspect",
        description=(__doc__ or "").partition(": ")[2],
        epilog="A folder is summed up by client and by what happened; a file is shown record by "
        "record.",
    )
    add = result.add_argument
    add("path", type=Path, metavar="FILE|DIR", help=f"a *{SUFFIX} file, or a folder of such files")
    add("--all", action="store_true", help="of a folder, too, each record")
    add("--json", action="store_true", help="one JSON object a record")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: the exit status is 2 if something cannot be read."""
    options = parser().parse_args(argv)
    path: Path = options.path
    is_folder = path.is_dir()
    files = sorted(path.glob(f"*{SUFFIX}")) if is_folder else [path]
    status = EXIT_OK
    records: list[Corruption] = []
    for file in files:
        try:
            records.extend(read(file))
        except (OSError, QuarantineError) as error:
            print(f"stt-inspect: {error}", file=sys.stderr)
            status = EXIT_UNREADABLE
    if options.json:
        for record in records:
            print(json.dumps(facts(record)))
        return status
    if options.all or not is_folder:
        for record in records:
            print("\n".join(shown(record)))
    if is_folder:
        print("\n".join(summary(records)))
    return status


def found(record: Corruption) -> Finding:
    """What happened to a frame."""
    return compare(record.message, record.good) if record.good else guess(record.message)


def facts(record: Corruption) -> dict[str, object]:
    """A record without its bytes, and what happened."""
    finding = found(record)
    fields = record._asdict()
    for name in ("message", "good"):
        fields[name] = len(fields[name])
    told = finding._asdict()
    told["happened"] = told.pop("kind")
    return {**fields, "time": rfc3339(record.time_ns), **told}


def shown(record: Corruption) -> Iterator[str]:
    """A record for people."""
    finding = found(record)
    yield (
        f"{rfc3339(record.time_ns)}  {printable(record.client)}  frame {record.sequence}: "
        f"{record.kind}; {len(record.message)} bytes"
    )
    if record.diagnosis:
        yield f"  the server said: {printable(record.diagnosis)}"
    yield f"  {finding.text}"
    if record.good:
        yield from (
            f"  {line}"
            for line in hex_view(record.message, record.good, finding.at, finding.length)
        )
    yield ""


def summary(records: Iterable[Corruption]) -> Iterator[str]:
    """How often what happened to whom."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        address = record.client.rpartition(":")[0] or record.client
        counts[printable(address), found(record).kind] += 1
    if not counts:
        yield "no corrupt frame was kept"
        return
    width = max(len(address) for address, _ in counts)
    yield f"{'client':{width}}  frames  what happened"
    for (address, kind), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield f"{address:{width}}  {count:6d}  {kind}"


if __name__ == "__main__":
    sys.exit(main())
