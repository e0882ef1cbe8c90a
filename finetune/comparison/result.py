"""What a comparison found, as one value."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.errors import RunError
from finetune.run_directory import read_json, write_json, write_text

RESULT = "comparison.json"
PAGE, SUMMARY, PLOTS = "comparison.html", "comparison.md", "plots"
FOLDER, RUNS = "comparison", "runs"
"""Of a comparison, where no other is named; of its runs, in it."""
WIDTH = 100
"""Characters of a line of the text."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of `compare`.

    Attributes:
        content: Of comparison.json: terms, and for each method its search, cells, scores, verdict and costs.
        out: Folder of the comparison.
    """

    content: dict[str, Any]
    out: Path

    @classmethod
    def read(cls, out: str | Path) -> Comparison:
        """The result that lies in a folder.

        Raises:
            RunError: There is none, or it is damaged.
        """
        path = Path(out) / RESULT
        if not path.exists():
            raise RunError(f"{out} has no {RESULT}: a comparison that is finished has one.")
        return cls(read_json(path), Path(out))

    def __repr__(self) -> str:
        names = ", ".join(method["name"] for method in self.content["methods"])
        return f"Comparison of {self.content['recipe']} in {self.out}: {names}"

    @property
    def complete(self) -> bool:
        """Whether every run of every method has a result that a fresh process confirmed."""
        return all(cell["status"] == "complete" for method in self.content["methods"] for cell in method["cells"])

    @property
    def saved(self) -> bool:
        """Whether its folder has all that `save` writes of it."""
        files = [self.out / name for name in (RESULT, PAGE, SUMMARY, PLOTS)]
        return all(path.exists() for path in files) and read_json(self.out / RESULT) == self.content

    def table(self) -> str:
        """Scores, verdicts, costs and terms as plain text."""
        from rich.console import Console

        from finetune.comparison.table import print_comparison

        text = io.StringIO()
        print_comparison(Console(file=text, width=WIDTH, force_terminal=False), self.content)
        return text.getvalue()

    def save(self, out: str | Path | None = None) -> list[Path]:
        """Write comparison.json, the page, the summary for a README, and the plots.

        Args:
            out: Folder; None: that of the comparison. Paths of runs in them count from the latter.

        Returns:
            What was written.
        """
        from finetune.comparison.markdown import markdown
        from finetune.comparison.page import page
        from finetune.comparison.plots import draw

        folder = self.out if out is None else Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RESULT, self.content)
        write_text(folder / PAGE, page(self.content))
        write_text(folder / SUMMARY, markdown(self.content))
        return [folder / RESULT, folder / PAGE, folder / SUMMARY, *draw(self.content, folder / PLOTS)]

    def _repr_html_(self) -> str:
        from finetune.comparison.fragment import fragment

        return fragment(self.content)
