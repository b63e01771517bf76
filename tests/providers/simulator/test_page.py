"""The page about the simulator lists the faults that there are."""

from pathlib import Path

from providers.simulator import FAULTS

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"


def test_every_fault_is_on_the_page_with_what_it_does_and_its_number() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index("| fault | what the simulator does | number |") + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")))
    assert rows == [
        (
            name,
            kind.does,
            kind.number if kind.default is None else f"{kind.number} ({kind.default:g})",
        )
        for name, kind in FAULTS.items()
    ]
