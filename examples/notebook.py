"""Write a script with `# %%` cells as a notebook: `examples/colab.py` becomes `examples/colab.ipynb`.

    python examples/notebook.py

A cell begins with `# %%`; after `# %% [markdown]` its comment lines are the text. The notebook holds no outputs, and
the same script always gives the same file.
"""

import json
import re
from pathlib import Path

SCRIPT = Path(__file__).parent / "colab.py"


def notebook_of(script: str) -> str:
    """Return the notebook of a script with `# %%` cells, as the text of a file.

    >>> cells = json.loads(notebook_of("# %% [markdown]\\n# # Title\\n\\n# %%\\nx = 1\\n"))["cells"]
    >>> [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    [('markdown', '# Title'), ('code', 'x = 1')]
    """
    cells = []
    for i, part in enumerate(re.split(r"^# %%", script, flags=re.MULTILINE)[1:]):
        marker, _, body = part.partition("\n")
        cell = {"cell_type": "code", "execution_count": None, "id": f"cell-{i}", "metadata": {}, "outputs": []}
        if "[markdown]" in marker:
            cell = {"cell_type": "markdown", "id": f"cell-{i}", "metadata": {}}
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        cells.append(cell | {"source": body.strip("\n").splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "accelerator": "GPU"}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    target = SCRIPT.with_suffix(".ipynb")
    target.write_text(notebook_of(SCRIPT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {target.name}")
