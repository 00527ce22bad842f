"""For a paper: a run as tables, figures, a methods section and its bibliography, in files that LaTeX takes."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.report.paper.formats import FORMATS as FORMATS
    from demograd.report.paper.formats import check_formats as check_formats
    from demograd.report.paper.formats import write_formats as write_formats

make_lazy(__name__)
