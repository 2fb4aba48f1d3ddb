"""36. Sources: whose notation, whose courses, whose theorems.

    python examples/lessons/36_sources.py

Formulas are printed in many notations. The glossary of examples/README.md puts ours beside those of the five
tutorials, of Ng and of Nielsen; the reference list names what they lean on. Both are checked here against what the
package shows to a user.
"""

from pathlib import Path

import numpy as np
from course import TRUE, claim, start

import jaxmlp

start(__doc__)
page = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
glossary = page.partition("## Symbols")[2].partition("\n## ")[0]
references = page.partition("## References")[2].partition("\n## ")[0]
entries = [line for line in references.splitlines() if line.startswith("- ")]

# %% every symbol of the glossary is a name that a user meets
net = jaxmlp.Network((2, 3, 1), "tanh", "sigmoid")
shown = {
    *jaxmlp.params_to_dict(jaxmlp.init_numpy(net)),
    *jaxmlp.trace(jaxmlp.init_numpy(net), np.ones((2, 1)), net, np.ones((1, 1)))[0],
}
symbols = {"X", "Y", "W", "b", "Z", "A", "dZ", "dA", "dW", "db", "m", "L", "J"}
in_glossary = {symbol for symbol in symbols if f"| `{symbol}`" in glossary}

# %% What was claimed
# fmt: off
claim("2.2", TRUE, "The course fixes its symbols; names in the code are these symbols",
      f"{len(in_glossary)} symbols in the glossary, {len(shown & {'W1', 'b1', 'Z', 'A', 'dZ', 'dA', 'dW', 'db'})} of 8 as names",
      in_glossary == symbols and shown >= {"W1", "b1", "Z", "A", "dZ", "dA", "dW", "db"})
claim("0.25", TRUE, "References: d2l.ai, Coursera, NetEase", f"{len(entries)} entries in the list",
      all(word in references for word in ("d2l.ai", "Coursera", "NetEase")))
claim("2.32", TRUE, "Reference: the mathematics of backpropagation, zhuanlan.zhihu.com/p/22473137", "in the list",
      "zhuanlan.zhihu.com/p/22473137" in references)
claim("4.9", "TRUE IF 1970 is Linnainmaa's reverse accumulation",
      "Backpropagation is of 1970 and was noticed with Rumelhart, Hinton and Williams in 1986", "both in the list",
      all(word in references for word in ("Linnainmaa", "1970", "Rumelhart", "1986")))
claim("5.3", TRUE, "The tutorials' bibliographies: books, courses and eight links", f"one list of {len(entries)}",
      len(entries) >= 20 and all(word in references for word in ("Zhou", "Li Hang", "Zhang Mingchun", "Nielsen", "Kohonen", "zhihu")))
