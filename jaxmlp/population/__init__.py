"""Many networks at once: `fit_many` trains them in one compiled program, `Ensemble` lets them answer together."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules
from jaxmlp.population.fit_many import fit_many as fit_many

__getattr__, __dir__ = _lazy_modules(__name__)
